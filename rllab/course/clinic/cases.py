"""A case: a run with a hidden fault, the checks that can be ordered for it, and the answer with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rllab.core.config import check_count
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord
from rllab.course.clinic.faults import HEALTHY, RUNS, Fault, catalogue, fault
from rllab.maths.masking import apply_mask
from rllab.plots.text import fixed
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import OpenedUpdate, open_update, token_rows
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

UPDATES = 20
COMPARED = {"policy loss": "loss/policy_avg", "gradient norm": "grad_norm"}
SAME = 1e-4  # relative: rounding in float32 stays below


@dataclass(frozen=True)
class Verdict:
    """The grader's verdict on one answer."""

    right: bool
    explanation: str
    threads: tuple[str, ...]  # where it happened; empty as long as the fault is not named


class Case:
    """One run with a fault that only the grader knows.

    `history` and `tokens` are what a learner looks at. `healthy` is the same run without the fault, with the same
    seed: its first batch is the same, so every difference comes from the fault.

    Args:
        world: The world of both runs.
        hidden: The fault.
        run: One of the fault's runs; by default its first.
        seed: Of both runs.

    Raises:
        LabError: If the fault does not show in that run.
    """

    def __init__(self, world: World, hidden: Fault, *, run: str = "", seed: int = 0) -> None:
        self._hidden, self.seed, self.world = hidden, seed, world
        self._run = run or hidden.runs[0]
        if self._run not in hidden.runs:
            raise LabError.choice("run", run, hidden.runs, reason="this fault does not show there")
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
        """Return the last update with all its tensors; raise LabError before the first."""
        if self.opened is None:
            raise LabError("case", "not run yet", "run it first")
        return self.opened

    @property
    def tokens(self) -> list[dict[str, Any]]:
        """Return every response of the last update with all that is known of its tokens."""
        return list(token_rows(self.trainer, self.last))

    @property
    def solved(self) -> bool:
        """Return whether the fault has been named."""
        return self._hidden.name in self.answers

    def run(self, n: int = UPDATES, *, job: Job = NO_JOB) -> None:
        """Run the case and its healthy twin for more updates; after a stop the next call continues.

        Args:
            n: The number of updates.
            job: Stops the run, and receives the progress.

        Raises:
            LabError: If n is not a positive integer.
        """
        check_count("updates", n)
        first = self.twin.index
        while (done := self.twin.index - first) < n:
            job.report(done, n, f"update {self.twin.index + 1}")
            if self.trainer.index == self.twin.index:
                self.opened = open_update(self.trainer, job=job)
            self.twin.update(job=job)
        job.report(n, n, f"update {self.twin.index}")

    def answer(self, name: str) -> Verdict:
        """Return the verdict on an answer: why it is right, or what you would see if it were.

        Args:
            name: A fault of the catalogue.

        Raises:
            LabError: If there is no such fault.
        """
        named, hidden = fault(name), self._hidden
        self.answers.append(name)
        if named is hidden:
            reason = f"Yes: {hidden.title}. {hidden.story} {hidden.mend}"
            return Verdict(right=True, explanation=reason, threads=hidden.threads)
        if named.name == HEALTHY:
            return Verdict(right=False, explanation=f"Something is wrong here. {hidden.hint}", threads=())
        reason = f"Not this one. What “{named.title}” would show: {named.shows}. {hidden.hint}"
        return Verdict(right=False, explanation=reason, threads=())

    def hint(self) -> str:
        """Return where to look."""
        return self._hidden.hint

    def reveal(self) -> Fault:
        """Return the fault: the learner gives up."""
        return self._hidden


def begin(world: World, run: str, *, stages: Stages = STAGES, seed: int = 0) -> Trainer:
    """Return a new trainer for a run of the clinic.

    Args:
        world: The world to train in.
        run: A name of RUNS.
        stages: The stages of an update, with a fault in one of them or without.
        seed: Of the run.
    """
    algorithm, settings = RUNS[run]
    return Trainer(world, algorithm, world.config(algorithm, **settings), seed=seed, stages=stages)


def draw_case(world: World, *, seed: int, among: Sequence[str] = ()) -> Case:
    """Return a case with a fault drawn at random, or none, in a run that can show it.

    Args:
        world: The world of the run.
        seed: Of the draw and of the run; the same seed hides the same fault.
        among: Names to draw from; by default the whole catalogue.

    Raises:
        LabError: If there is no such fault.
    """
    names, generator = list(among) or list(catalogue()), torch.Generator().manual_seed(seed)
    hidden = fault(names[int(torch.randint(len(names), (), generator=generator))])
    run = hidden.runs[int(torch.randint(len(hidden.runs), (), generator=generator))]
    return Case(world, hidden, run=run, seed=seed)


# ---- Checks: numbers that no curve shows, because something has to be computed again ----


@dataclass(frozen=True)
class Sighting:
    """What a check has shown."""

    words: str
    agrees: bool  # the compared numbers are the same


@dataclass(frozen=True)
class Check:
    """One thing that can be computed again."""

    name: str
    title: str
    do: Callable[[Case, Job], Sighting]


def _score_again(case: Case, job: Job) -> Sighting:
    """Score the texts of the last update again."""
    del job  # no network is run again but the reward's
    recorded = case.last.scores.total
    again = case.trainer.world.objective.score(case.last.rollout).total
    off = ~((recorded - again).abs() <= SAME * (1 + recorded.abs()))  # true of NaN too
    if not bool(off.any()):
        return Sighting(f"Scored again, all {len(again)} responses get the same score.", agrees=True)
    row = int((again - recorded).abs().argmax())
    had, gets = (fixed(float(scores[row]), 4) for scores in (recorded, again))
    return Sighting(
        f"Scored again, {int(off.sum())} of {len(again)} responses get another score; "
        f"{case.last.rollout.responses[row]!r} had {had} and gets {gets}.",
        agrees=False,
    )


def _read_again(case: Case, job: Job) -> Sighting:
    """Go back to before the last update, and evaluate policy and critic on its texts."""
    rows, then = case.last.rollout, case.trainer.fork()
    then.rewind(case.trainer.index - 1, job=job)
    again = evaluate(then.world.policy, rows, critic=then.world.critic, temperature=then.config.temperature, job=job)
    pairs = {"log π": (rows.logprobs, again.logprobs), "V": (rows.values, again.values)}
    off = {
        name: float(apply_mask(recorded - now, rows.response_mask).abs().max())
        for name, (recorded, now) in pairs.items()
    }
    sizes = " and ".join(f"{name} by at most {size:.2g}" for name, size in off.items())
    return Sighting(
        f"Evaluated again with the weights of that moment, the recorded numbers are off: {sizes}.",
        agrees=max(off.values()) < SAME,
    )


def _cut_again(case: Case, job: Job) -> Sighting:
    """Do the first update again, with the batch cut into other micro-batches."""
    old, first = case.trainer.config, case.history[0].metrics
    size = old.batch_size if old.micro_batch_size < old.batch_size else old.batch_size // 4
    config = old.replace(micro_batch_size=size)
    trainer = Trainer(case.world, case.trainer.algorithm.name, config, seed=case.seed, stages=case.trainer.stages)
    again = trainer.update(job=job)
    pairs = {title: (first[name], again[name]) for title, name in COMPARED.items()}
    listed = ", ".join(f"{title} {fixed(before, 4)} and {fixed(after, 4)}" for title, (before, after) in pairs.items())
    return Sighting(
        f"The first update with micro-batches of {old.micro_batch_size}, and again with {size}: {listed}.",
        agrees=all(abs(before - after) <= SAME * (1 + abs(before)) for before, after in pairs.values()),
    )


CHECKS = (
    Check("score again", "Score the texts again", _score_again),
    Check("read again", "Evaluate policy and critic again", _read_again),
    Check("cut again", "Cut the batch into other micro-batches", _cut_again),
)
