"""A case: a run with a hidden fault, what can be looked at, and the answer with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord
from rllab.course.clinic.faults import HEALTHY, RUNS, Fault, catalogue, fault
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import OpenedUpdate, open_update, token_rows
from rllab.worlds.world import World

UPDATES = 20


@dataclass(frozen=True)
class Verdict:
    """What the grader says of one answer."""

    right: bool
    explanation: str
    threads: tuple[str, ...]  # where it happened; empty as long as the fault is not named


class Case:
    """One run with a fault that only the grader knows.

    `history` and `tokens` are what a learner looks at. `healthy` is the same run without the fault, with the same
    seed: its first batch is the same, so what differs comes from the fault.
    """

    def __init__(self, world: World, hidden: Fault, *, run: str = "", seed: int = 0) -> None:
        self._hidden, self.seed, self._world = hidden, seed, world
        self._run = run or hidden.runs[0]
        if self._run not in hidden.runs:
            raise LabError("run", run, f"this fault is brought out by {', '.join(hidden.runs)}")
        self.trainer = begin(world, self._run, stages=hidden.stages, seed=seed)
        self.twin = begin(world, self._run, seed=seed)
        self.opened: OpenedUpdate | None = None
        self.answers: list[str] = []

    @property
    def history(self) -> list[UpdateRecord]:
        """Return the run's updates."""
        return self.trainer.history

    @property
    def healthy(self) -> list[UpdateRecord]:
        """Return the updates of the same run without the fault."""
        return self.twin.history

    @property
    def last(self) -> OpenedUpdate:
        """Return the last update with all its tensors."""
        if self.opened is None:
            raise LabError("case", "not run yet", "run it first")
        return self.opened

    @property
    def tokens(self) -> list[dict[str, Any]]:
        """Return every response of the last update with all that is known of its tokens."""
        return list(token_rows(self.trainer, self.last))

    @property
    def solved(self) -> bool:
        """Tell whether the fault has been named."""
        return self._hidden.name in self.answers

    def run(self, n: int = UPDATES, *, job: Job = NO_JOB) -> None:
        """Run the case and its healthy twin n updates further; a run that is stopped goes on from there."""
        if n < 1:
            raise LabError("updates", n, "give a whole number of at least 1")
        first = self.twin.index
        while (done := self.twin.index - first) < n:
            job.report(done, n, f"update {self.twin.index + 1}")
            if self.trainer.index == self.twin.index:
                self.opened = open_update(self.trainer, job=job)
            self.twin.update(job=job)
        job.report(n, n, f"update {self.twin.index}")

    def start_again(self, **changes: Any) -> Trainer:
        """Return the run as it was before its first update, fault included, with some settings changed."""
        config = self.trainer.config.replace(**changes)
        return Trainer(self._world, self.trainer.algorithm.name, config, seed=self.seed, stages=self.trainer.stages)

    def answer(self, name: str) -> Verdict:
        """Judge an answer: why it is right, or what would be seen if it were."""
        named, hidden = fault(name), self._hidden
        self.answers.append(name)
        if named is hidden:
            said = f"Yes: {hidden.title}. {hidden.story} {hidden.mend}"
            return Verdict(right=True, explanation=said, threads=hidden.threads)
        if named.name == HEALTHY:
            return Verdict(right=False, explanation=f"Something is wrong here. {hidden.hint}", threads=())
        said = f"Not this one. “{named.title}” shows in this: {named.shows}. {hidden.hint}"
        return Verdict(right=False, explanation=said, threads=())

    def hint(self) -> str:
        """Say where to look."""
        return self._hidden.hint

    def reveal(self) -> Fault:
        """Give up: return the fault."""
        return self._hidden


def begin(world: World, run: str, *, stages: Stages = STAGES, seed: int = 0) -> Trainer:
    """Begin one of the clinic's runs, with a fault in its stages or without."""
    algorithm, settings = RUNS[run]
    return Trainer(world, algorithm, world.config(algorithm, **settings), seed=seed, stages=stages)


def draw_case(world: World, *, seed: int, among: Sequence[str] = ()) -> Case:
    """Hide one of the faults, or none, in a run that can show it; the same seed hides the same."""
    names, generator = list(among) or list(catalogue()), torch.Generator().manual_seed(seed)
    hidden = fault(names[_below(len(names), generator)])
    return Case(world, hidden, run=hidden.runs[_below(len(hidden.runs), generator)], seed=seed)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
