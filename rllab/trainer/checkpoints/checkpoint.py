"""A run as one record, written to a run folder and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import UpdateRecord
from rllab.reward.reward import Reward
from rllab.trainer.checkpoints.folders import current_version, new_version, shared_version
from rllab.trainer.checkpoints.lines import history_text, read_history
from rllab.trainer.checkpoints.parts import (
    describe_reward,
    find_reward,
    load_critic,
    load_policy,
    save_critic,
    save_shared,
)
from rllab.worlds import load_world
from rllab.worlds.world import World

FORMAT = 1
Moments = Mapping[int, Mapping[str, Tensor]]  # parameter number -> Adam's moments


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped: its randomness comes from seed and update alone."""

    world: World
    algorithm: str
    config: Config
    seed: int
    kl_coef: float
    history: Sequence[UpdateRecord]
    moments: Moments
    stages: tuple[str, ...]  # names of the stages that were replaced


def write_checkpoint(path: Path, kept: Checkpoint) -> None:
    """Save a run; the save before stays until the new one is whole, and is kept beside it."""
    world = kept.world
    with new_version(path) as folder:
        with world.policy.lock:
            world.policy.model.save_pretrained(folder / "policy")
            world.policy.tokenizer.save_pretrained(folder / "policy")
            critic = save_critic(world.critic, folder / "critic")
            tensors = {f"{i}.{name}": one for i, group in kept.moments.items() for name, one in group.items()}
            save_file(tensors, folder / "optimizer.safetensors")
        (folder / "history.jsonl").write_text(history_text(kept.history), "utf-8")
        settings = _settings(path, kept, critic=critic)
        (folder / "run.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_checkpoint(path: Path, *, reward: Reward | None = None, gold: Reward | None = None) -> Checkpoint:
    """Read a run back; rewards that are Python functions have to be handed over."""
    folder = current_version(path)
    settings = _read_settings(folder)
    return Checkpoint(
        world=_world(folder, settings, reward=reward, gold=gold),
        algorithm=str(settings["algorithm"]),
        config=Config(**settings["config"]),
        seed=int(settings["seed"]),
        kl_coef=float(settings["kl_coef"]),
        history=read_history(folder / "history.jsonl"),
        moments=_moments(load_file(folder / "optimizer.safetensors")),
        stages=tuple(settings["stages"]),
    )


def _settings(run: Path, kept: Checkpoint, *, critic: str) -> dict[str, Any]:
    """Gather what is neither tensor nor history."""
    world = kept.world
    return {
        "format": FORMAT,
        "world": world.name,
        "algorithm": kept.algorithm,
        "seed": kept.seed,
        "update": len(kept.history),
        "kl_coef": kept.kl_coef,
        "config": asdict(kept.config),
        "stages": list(kept.stages),
        "prompts": list(world.prompts),
        "max_new_tokens": world.max_new_tokens,
        "critic": critic,
        "reward": describe_reward(run, world.reward),
        "gold": describe_reward(run, world.gold),
        "reference": save_shared(run, "reference", world.reference.model),
        "policy_is_reference": world.policy.weights is world.reference.weights,
        "version": world.policy.version,
    }


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LabError("run file", str(folder / "run.json"), "it cannot be read; load an older save") from error
    if settings.get("format") != FORMAT:
        raise LabError("format of the run", settings.get("format"), f"this version of the lab reads format {FORMAT}")
    return settings


def _world(folder: Path, settings: Mapping[str, Any], *, reward: Reward | None, gold: Reward | None) -> World:
    """Load the named world and put the run's own models and rewards into it."""
    base, run = load_world(settings["world"]), folder.parent
    device = base.policy.device
    policy = load_policy(folder / "policy", base=base.policy)
    reference = load_policy(shared_version(run, str(settings["reference"])), base=base.reference)
    reference.model.requires_grad_(requires_grad=False)
    policy.version = int(settings["version"])
    if settings["policy_is_reference"]:
        policy.weights = reference.weights
    known = (base.reward, base.gold)
    return base.replace(
        policy=policy,
        reference=reference,
        critic=load_critic(settings["critic"], folder / "critic", base=base.critic, device=device),
        reward=find_reward(settings["reward"], run=run, given=reward, known=known, field="reward", device=device),
        gold=find_reward(settings["gold"], run=run, given=gold, known=known, field="gold", device=device),
        prompts=tuple(settings["prompts"]),
        max_new_tokens=int(settings["max_new_tokens"]),
    )


def _moments(tensors: Mapping[str, Tensor]) -> Moments:
    """Sort Adam's numbers by parameter again; clones, because the file's own memory is not aligned."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", maxsplit=1)
        moments.setdefault(int(number), {})[name] = tensor.clone()
    return dict(sorted(moments.items()))
