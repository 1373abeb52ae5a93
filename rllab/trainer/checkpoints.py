"""Runs as files: a policy that transformers and TRL load as it is, the rest as safetensors and JSON."""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.files import (
    HOLDER,
    LOCK,
    check_manifest,
    locked,
    remove_recorded,
    remove_unfinished,
    replaced_folder,
    sha256,
    write_atomically,
)
from rllab.core.records import UpdateRecord, history_text, read_history
from rllab.policy.loading import load_network
from rllab.policy.policy import Policy
from rllab.reward.reward import Reward, RewardModel, TextReward
from rllab.value.critic import Critic, ValueFunction, ZeroCritic
from rllab.worlds import load_world
from rllab.worlds.world import World

# ---- Numbered folders that appear whole or not at all, and the pointer that says which one counts ----

POINTER, SHARED = "latest.json", "shared"
VERSION = re.compile(r"[0-9]{6,}")
NOTHING = "nothing has been saved there; name a folder that Trainer.save wrote"
UNREADABLE = "it cannot be read; load one of the numbered folders"


@contextlib.contextmanager
def new_version(run: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end it takes the next number and the pointer turns to it.

    The pointer names every version before its first byte is written, so that later saves know which folders
    are the run's own: nothing else is ever removed.
    """
    with friendly_errors(run):
        _check_own(run)
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(run):
            before = _pointer(run) if (run / POINTER).is_file() else Pointer()
            taken = [
                int(name) for name in (*before.written, *(path.name for path in run.iterdir())) if _is_number(name)
            ]
            name = f"{max(taken, default=0) + 1:06d}"
            there = tuple(old for old in before.written if (run / old).is_dir())
            _write_pointer(run, replace(before, written=(*there, name)))
            for left in (run, run / SHARED):  # no other process saves here now
                remove_unfinished(left)
            with replaced_folder(run / name) as fresh:
                yield fresh
            manifest = sha256(run / name / "manifest.json")
            _write_pointer(run, Pointer(name, manifest, before.folder, (*there, name)))
            for old in there:
                if old != before.folder:
                    remove_recorded(run / old)


@contextlib.contextmanager
def shared_folder(run: Path, name: str) -> Iterator[Path | None]:
    """Yield an empty folder to fill under a name derived from its content; None where it exists already."""
    target = run / SHARED / name
    if (target / "manifest.json").is_file():
        yield None
        return
    with friendly_errors(run), replaced_folder(target) as fresh:
        yield fresh


def shared_version(run: Path, name: str) -> Path:
    """Return a shared folder, its hashes checked."""
    folder = run / SHARED / name
    try:
        check_manifest(folder, rebuild="Trainer.save")
    except LabError as error:
        raise LabError("saved model", str(folder), "it is missing or changed since it was written") from error
    return folder


def current_version(path: Path) -> Path:
    """Return the folder to read for a run folder, or for one of its numbered folders; its hashes are checked."""
    if (path / "run.json").is_file():
        version, previous = path, None
    else:
        pointer = _pointer(path)
        if pointer.folder is None:
            raise LabError("run folder", str(path), NOTHING)
        version, previous = path / pointer.folder, pointer.previous
        if not version.is_dir() or sha256(version / "manifest.json") != pointer.manifest:
            raise LabError("saved run", str(version), _other(path, previous))
    try:
        check_manifest(version, rebuild="Trainer.save")
    except LabError as error:
        raise LabError("saved run", str(version), _other(path, previous)) from error
    return version


def _other(run: Path, previous: str | None) -> str:
    """Return the remedy for a damaged save."""
    broken = "a file of it is missing or changed since it was written"
    return f"{broken}; the save before it is {run / previous}" if previous is not None else broken


@dataclass(frozen=True)
class Pointer:
    """Which of a run's versions counts, and which ones the run has written."""

    folder: str | None = None
    manifest: str = ""
    previous: str | None = None
    written: tuple[str, ...] = ()


def _pointer(run: Path) -> Pointer:
    """Read which folder counts."""
    file = run / POINTER
    if not file.is_file():
        raise LabError("run folder", str(run), NOTHING)
    try:
        found = json.loads(file.read_text("utf-8"))
        written = tuple(found.get("written", [name for name in (found["previous"], found["folder"]) if name]))
        pointer = Pointer(found["folder"], found["manifest"], found["previous"], written)
        names = [name for name in (pointer.folder, pointer.previous, *written) if name is not None]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError("run pointer", str(file), UNREADABLE) from error
    if not all(_is_number(name) for name in names) or not isinstance(pointer.manifest, str):
        raise LabError("run pointer", str(file), UNREADABLE)
    return pointer


def _is_number(name: object) -> bool:
    """Return whether a name is one that a version may have."""
    return isinstance(name, str) and VERSION.fullmatch(name) is not None


def _write_pointer(run: Path, pointer: Pointer) -> None:
    write_atomically(run / POINTER, json.dumps(asdict(pointer), indent=1) + "\n")


def _check_own(run: Path) -> None:
    """Raise LabError where a folder holds something else than saves of a run."""
    if (run / POINTER).is_file() or not run.is_dir():
        return
    ours = (LOCK, HOLDER, f".{POINTER}.", f".{HOLDER}.")  # what a process that was killed can leave before its pointer
    others = sorted(path.name for path in run.iterdir() if not path.name.startswith(ours))
    if others:
        named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise LabError("run folder", str(run), f"it holds something else ({named}); name a new or an empty folder")


@contextlib.contextmanager
def friendly_errors(run: Path) -> Iterator[None]:
    """Turn what the file system or the weight writer says into a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or "os error 28" in str(error)
        why = "there is no room left on the disk" if full else f"it cannot be written ({error})"
        raise LabError("run folder", str(run), f"{why}; what was saved before is as it was") from error


# ---- The models and rewards of a run as files, and back ----

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LANGUAGE, SCALAR = AutoModelForCausalLM, AutoModelForSequenceClassification


def save_shared(run: Path, kind: str, model: PreTrainedModel) -> str:
    """Save a model that never changes once for all saves of a run; return the name of its folder."""
    name = f"{kind}-{fingerprint(model)[:16]}"
    with shared_folder(run, name) as folder:
        if folder is not None:
            model.save_pretrained(folder)
    return name


def load_model(kind: Any, folder: Path, *, device: torch.device) -> PreTrainedModel:
    """Load a saved model into memory of its own.

    Weights that stay mapped to the file would pin it, and are not aligned like fresh ones.
    """
    return copy.deepcopy(load_network(kind, folder, dtype="auto", device=str(device)))


def save_critic(critic: ValueFunction, folder: Path) -> str:
    """Save a critic's network; return what kind of critic it is."""
    if isinstance(critic, ZeroCritic):
        return "zero"
    if not isinstance(critic, Critic):
        raise LabError("critic", type(critic).__name__, "only a Critic around a transformers model can be saved")
    critic.model.save_pretrained(folder)
    return "network"


def load_critic(kind: str, folder: Path, *, base: ValueFunction, device: torch.device) -> ValueFunction:
    """Load the critic that `save_critic` wrote, into a copy of the world's own where the two are alike."""
    if kind == "zero":
        return ZeroCritic()
    saved, twin = load_model(SCALAR, folder, device=device), base.copy()
    return twin if isinstance(twin, Critic) and refill(twin.model, saved) else Critic(saved)


def load_policy(folder: Path, *, base: Policy) -> Policy:
    """Load a policy into a copy of the world's own where the two are alike: frozen parts stay shared."""
    saved, twin = load_model(LANGUAGE, folder, device=base.device), base.copy()
    twin.weights = object()
    return twin if refill(twin.model, saved) else Policy(saved, base.tokenizer)


def refill(model: nn.Module, saved: nn.Module) -> bool:
    """Write saved weights into a model; return whether the two have the same shapes.

    What is the same stays where it is; what differs gets memory of its own, because what is frozen may be shared.
    """
    mine, theirs = dict(model.named_parameters()), dict(saved.named_parameters())
    if {name: parameter.shape for name, parameter in mine.items()} != {
        name: parameter.shape for name, parameter in theirs.items()
    }:
        return False
    for name, parameter in mine.items():
        if not torch.equal(parameter, theirs[name]):
            parameter.data = theirs[name].detach().clone()
    return True


def describe_reward(run: Path, reward: Reward | None) -> dict[str, Any] | None:
    """Describe a reward for a file: a network is saved whole, a Python function only by name."""
    if reward is None:
        return None
    if isinstance(reward, RewardModel):
        folder = save_shared(run, "reward", reward.model)
        return {"name": reward.name, "folder": folder, "shift": reward.shift, "scale": reward.scale}
    return {"name": reward.name, "function": function_name(reward)}


def find_reward(
    description: Mapping[str, Any] | None,
    *,
    run: Path,
    given: Reward | None,
    known: Sequence[Reward | None],
    field: str,
    device: torch.device,
) -> Reward | None:
    """Return the reward that was described: the one handed in, the saved network, or one that the world knows."""
    if description is None:
        return given
    if given is not None:
        if given.name != description["name"]:
            raise LabError(field, given.name, f"this run was made with {description['name']!r}; hand that one over")
        return given
    if "folder" in description:
        model = load_model(SCALAR, shared_version(run, str(description["folder"])), device=device)
        return RewardModel(description["name"], model, shift=description["shift"], scale=description["scale"])
    for reward in known:
        if reward is not None and description["function"] and function_name(reward) == description["function"]:
            return reward
    remedy = f"it is a Python function, which no file can hold; hand it over as Trainer.load(path, {field}=...)"
    raise LabError(field, description["name"], remedy)


def function_name(reward: Reward) -> str:
    """Name the lab's own judge inside a reward, with its weights; empty for a learner's own function."""
    judge = getattr(reward, "judge", None)
    module = getattr(judge, "__module__", "")
    if not isinstance(reward, TextReward) or not module.startswith("rllab."):
        return ""
    weights = ", ".join(f"{part} {weight:g}" for part, weight in sorted(reward.weights.items()))
    return f"{module}.{getattr(judge, '__qualname__', '')} ({weights})"


def fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights of a model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


# ---- A run as one record, written to a run folder and read back ----

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
    """Save a run; the save before stays until the new one is whole, and is kept too."""
    world = kept.world
    with new_version(path) as folder:
        with world.policy.lock:
            world.policy.model.save_pretrained(folder / "policy")
            world.policy.tokenizer.save_pretrained(folder / "policy")
            critic = save_critic(world.critic, folder / "critic")
            tensors = {f"{i}.{name}": tensor for i, group in kept.moments.items() for name, tensor in group.items()}
            save_file(tensors, folder / "optimizer.safetensors")
        write_atomically(folder / "history.jsonl", history_text(kept.history))
        settings = _settings(path, kept, critic=critic)
        write_atomically(folder / "run.json", json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


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


def saved_update(path: Path) -> int | None:
    """Return after which update a run was saved last, None where nothing can be read."""
    try:
        return int(_read_settings(current_version(path))["update"])
    except (LabError, KeyError, TypeError, ValueError):
        return None


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
    """Group Adam's moments by parameter; clones, because the file's own memory is not aligned."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", maxsplit=1)
        moments.setdefault(int(number), {})[name] = tensor.clone()
    return dict(sorted(moments.items()))
