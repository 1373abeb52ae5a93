"""A case: a run with a hidden fault, what can be looked at, and the answer with its reasons."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rllab.clinic.faults import HEALTHY, Fault, catalogue, fault
from rllab.errors import LabError
from rllab.generation import Progress
from rllab.opened_update import OpenedUpdate, open_update, token_rows
from rllab.records import UpdateRecord
from rllab.stages import STAGES, Stages
from rllab.trainer import Trainer
from rllab.worlds.world import World

UPDATES = 20


@dataclass(frozen=True)
class Verdict:
    """What the grader says of one answer."""

    right: bool
    explanation: str


class Case:
    """One run with a fault that only the grader knows.

    `history` and `tokens` are what a learner looks at. `healthy` is the same run without the fault, with the same
    seed: its first batch is the same, so what differs comes from the fault.
    """

    def __init__(self, world: World, hidden: Fault, *, seed: int = 0) -> None:
        self._hidden, self.seed, self._world = hidden, seed, world
        self._trainer = self._begin(hidden.stages)
        self._twin = self._begin(STAGES)
        self.opened: OpenedUpdate | None = None
        self.healthy_opened: OpenedUpdate | None = None
        self.answers: list[str] = []

    @property
    def algorithm(self) -> str:
        """Return the name of the algorithm that runs."""
        return self._trainer.algorithm.name

    @property
    def history(self) -> list[UpdateRecord]:
        """Return the run's updates."""
        return self._trainer.history

    @property
    def healthy(self) -> list[UpdateRecord]:
        """Return the updates of the same run without the fault."""
        return self._twin.history

    @property
    def tokens(self) -> list[dict[str, Any]]:
        """Return every response of the last update with all that is known of its tokens."""
        if self.opened is None:
            raise LabError("case", "not run yet", "run it first")
        return list(token_rows(self._trainer, self.opened))

    def run(self, n: int = UPDATES, *, stop: threading.Event | None = None, progress: Progress | None = None) -> None:
        """Run the case and its healthy twin n updates further."""
        if n < 1:
            raise LabError("updates", n, "give a whole number of at least 1")
        for done in range(n):
            if progress is not None:
                progress(done, n, f"update {self._trainer.index + 1}")
            self.opened = open_update(self._trainer, stop=stop)
            self.healthy_opened = open_update(self._twin, stop=stop)
        if progress is not None:
            progress(n, n, f"update {self._trainer.index}")

    def answer(self, name: str) -> Verdict:
        """Judge an answer: why it is right, or what would be seen if it were."""
        named, hidden = fault(name), self._hidden
        self.answers.append(name)
        if named is hidden:
            return Verdict(right=True, explanation=f"Yes: {hidden.title}. {hidden.story} {hidden.mend}")
        if named.name == HEALTHY:
            return Verdict(right=False, explanation=f"Something is wrong here. {hidden.hint}")
        return Verdict(
            right=False, explanation=f"Not this one. If it were that {named.title}: {named.shows}. {hidden.hint}"
        )

    def reveal(self) -> Fault:
        """Give up: return the fault."""
        return self._hidden

    def _begin(self, stages: Stages) -> Trainer:
        algorithm, settings = self._hidden.run
        config = self._world.config(algorithm, **settings)
        return Trainer(self._world, algorithm, config, seed=self.seed, stages=stages)


def draw_case(world: World, *, seed: int, among: Sequence[str] = ()) -> Case:
    """Hide one of the faults, or none, in a run; the same seed hides the same."""
    names = list(among) or list(catalogue())
    chosen = int(torch.randint(len(names), (), generator=torch.Generator().manual_seed(seed)))
    return Case(world, fault(names[chosen]), seed=seed)
