"""The models and rewards of a run as files, and back."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import rllab.policy.tabular  # noqa: F401  (registers the tabular models with transformers)
from rllab.core.errors import LabError
from rllab.policy.loading import load_network
from rllab.policy.policy import Policy
from rllab.reward.reward import Reward, RewardModel, TextReward
from rllab.trainer.checkpoints.folders import shared_folder, shared_version
from rllab.value.critic import Critic, ValueFunction, ZeroCritic

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LANGUAGE, SCALAR = AutoModelForCausalLM, AutoModelForSequenceClassification


def save_shared(run: Path, kind: str, model: PreTrainedModel) -> str:
    """Keep a model that never changes once for all saves of a run; return the name of its folder."""
    name = f"{kind}-{fingerprint(model)[:16]}"
    with shared_folder(run, name) as folder:
        if folder is not None:
            model.save_pretrained(folder)
    return name


def load_model(kind: Any, folder: Path, *, device: torch.device) -> PreTrainedModel:
    """Load a model from safetensors; a configuration that wants to bring code of its own is refused."""
    try:
        settings = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LabError("model folder", str(folder), "its config.json cannot be read") from error
    if "auto_map" in settings:
        raise LabError("model folder", str(folder), "its config.json asks to run code that came with it; refused")
    # a copy of its own: weights that stay mapped to the file would pin it, and are not aligned like fresh ones
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
    """Write saved weights into a model, and tell whether the two are alike.

    What is the same stays where it is; what differs gets memory of its own, because what is frozen may be shared.
    """
    mine, theirs = dict(model.named_parameters()), dict(saved.named_parameters())
    if {name: one.shape for name, one in mine.items()} != {name: one.shape for name, one in theirs.items()}:
        return False
    for name, one in mine.items():
        if not torch.equal(one, theirs[name]):
            one.data = theirs[name].detach().clone()
    return True


def describe_reward(run: Path, reward: Reward | None) -> dict[str, Any] | None:
    """Say what a file can say about a reward: a network is kept whole, a Python function only by name."""
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
