"""The mutable side of a run: what learns, with its optimizer, copies of its state, and whose turn it is."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import UpdateRecord
from rllab.policy.policy import Policy, choose_trainable
from rllab.value.critic import ValueFunction


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All state of a run after one update: what can be trained, the optimizer, the KL coefficient."""

    update: int
    policy: tuple[Tensor, ...]
    critic: tuple[Tensor, ...]
    optimizer: Mapping[str, Any]
    kl_coef: float
    version: int
    weights: object

    @property
    def bytes(self) -> int:
        """Return the memory that the parameters and the optimizer's two moments take."""
        return 3 * sum(tensor.numel() * tensor.element_size() for tensor in (*self.policy, *self.critic))


@dataclass(frozen=True, eq=False)
class RunState:
    """Where a run is and how it came there: enough to be there again, and to go back further."""

    history: tuple[UpdateRecord, ...]
    snapshots: tuple[Snapshot, ...]
    present: Snapshot
    config: Config
    seed: int


class ActorCritic:
    """A policy and a critic under one Adam, each with its own learning rate."""

    def __init__(self, policy: Policy, critic: ValueFunction, config: Config) -> None:
        self.policy = policy
        self.parameters = choose_trainable(policy.model, config.trainable)
        self.critic = tuple(critic.parameters())
        groups = [{"params": self.parameters, "lr": config.lr}]
        if self.critic:
            groups.append({"params": list(self.critic), "lr": config.critic_lr})
        self.optimizer = torch.optim.Adam(groups, eps=config.adam_eps)

    def begin(self, config: Config) -> None:
        """Set the learning rates of an update, and drop left-over gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        for group, rate in zip(self.optimizer.param_groups, (config.lr, config.critic_lr), strict=False):
            group["lr"] = rate

    def resume(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Load the moments of an earlier process into the optimizer."""
        state = self.optimizer.state_dict()
        state["state"] = {number: dict(tensors) for number, tensors in moments.items()}
        self.optimizer.load_state_dict(state)

    def take(self, *, update: int, kl_coef: float) -> Snapshot:
        """Return a copy of all state."""
        with self.policy.lock:
            return Snapshot(
                update=update,
                policy=_copies(self.parameters),
                critic=_copies(self.critic),
                optimizer=copy.deepcopy(self.optimizer.state_dict()),
                kl_coef=kl_coef,
                version=self.policy.version,
                weights=self.policy.weights,
            )

    def load(self, snapshot: Snapshot) -> None:
        """Write a snapshot's numbers into policy, critic and optimizer; gradients left over go."""
        policy = self.policy
        with policy.lock, torch.no_grad():
            _write(self.parameters, snapshot.policy)
            _write(self.critic, snapshot.critic)
            self.optimizer.load_state_dict(copy.deepcopy(dict(snapshot.optimizer)))
            policy.version, policy.weights = snapshot.version, snapshot.weights
            self.optimizer.zero_grad(set_to_none=True)


class RunLock:
    """A lock on a run: one change at a time, and none by other threads while one holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: int | None = None

    @contextlib.contextmanager
    def exclusive(self, update: int) -> Iterator[None]:
        """Reserve the run: a second start, a rewind or a save is refused meanwhile."""
        free = self._lock.acquire(blocking=False)
        if free and self._keeper not in {None, threading.get_ident()}:
            self._lock.release()
            free = False
        if not free:
            raise LabError("run", f"update {update}", "an update is under way already; stop it first")
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def held(self, update: int) -> Iterator[None]:
        """Reserve the run for this thread between several changes too."""
        with self.exclusive(update):
            self._keeper = threading.get_ident()
        try:
            yield
        finally:
            self._keeper = None


def prune_snapshots(snapshots: Sequence[Snapshot], *, budget: int) -> list[Snapshot]:
    """Drop every second snapshot until the rest fit into a budget in bytes; the first and the last stay."""
    kept = list(snapshots)
    while len(kept) > 2 and sum(snapshot.bytes for snapshot in kept) > budget:
        kept = [kept[0], *kept[2:-1:2], kept[-1]]
    return kept


def _copies(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
    return tuple(parameter.detach().clone() for parameter in parameters)


def _write(parameters: Sequence[nn.Parameter], kept: Sequence[Tensor]) -> None:
    for parameter, numbers in zip(parameters, kept, strict=True):
        parameter.copy_(numbers)
