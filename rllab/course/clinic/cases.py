"""A case: a run with a hidden fault, what can be looked at, and the answer with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord
from rllab.course.clinic.faults import HEALTHY, RUNS, Fault, catalogue, fault
from rllab.maths.masking import apply_mask
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import OpenedUpdate, open_update, token_rows
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

# ---- A case: a run with a hidden fault, what can be looked at, and the answer with its reasons ----

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


# ---- Checks that can be ordered for a case: numbers that no curve shows, because something has to be done ----

COMPARED = {"policy loss": "loss/policy_avg", "gradient norm": "grad_norm"}
SAME = 1e-4  # relative: what rounding in float32 stays below


@dataclass(frozen=True)
class Sighting:
    """What a check has shown."""

    words: str
    agrees: bool  # the two numbers that were compared are the same


@dataclass(frozen=True)
class Check:
    """One thing that can be done again."""

    name: str
    title: str
    do: Callable[[Case, Job], Sighting]


def score_again(case: Case, job: Job) -> Sighting:
    """Let the reward judge the texts of the last update once more."""
    del job  # no network is run again but the reward's
    written = case.last.scores.total
    again = case.trainer.world.objective.score(case.last.rollout).total
    off = ~_close(written, again)
    if not bool(off.any()):
        return Sighting(f"Scored again, all {len(again)} responses get the score that they had.", agrees=True)
    row = int((again - written).abs().argmax())
    had, gets = (_written(float(scores[row])) for scores in (written, again))
    return Sighting(
        f"Scored again, {int(off.sum())} of {len(again)} responses get another score; "
        f"{case.last.rollout.responses[row]!r} had {had} and gets {gets}.",
        agrees=False,
    )


def read_again(case: Case, job: Job) -> Sighting:
    """Go back to before the last update, and read policy and critic on its texts."""
    rows, then = case.last.rollout, case.trainer.fork()
    then.rewind(case.trainer.index - 1, job=job)
    again = evaluate(then.world.policy, rows, critic=then.world.critic, temperature=then.config.temperature, job=job)
    read = {"log π": (rows.logprobs, again.logprobs), "V": (rows.values, again.values)}
    off = {name: _furthest(*pair, rows.response_mask) for name, pair in read.items()}
    words = " and ".join(f"{name} by at most {size:.2g}" for name, size in off.items())
    return Sighting(
        f"Read again with the weights of that moment, what was written down is off: {words}.",
        agrees=max(off.values()) < SAME,
    )


def cut_again(case: Case, job: Job) -> Sighting:
    """Do the first update once more, with the batch cut into other micro-batches."""
    config, first = case.trainer.config, case.history[0].metrics
    size = config.batch_size if config.micro_batch_size < config.batch_size else config.batch_size // 4
    again = case.start_again(micro_batch_size=size).update(job=job)
    pairs = {title: (first[name], again[name]) for title, name in COMPARED.items()}
    said = ", ".join(f"{title} {_written(one)} and {_written(other)}" for title, (one, other) in pairs.items())
    return Sighting(
        f"The first update with micro-batches of {config.micro_batch_size}, and again with {size}: {said}.",
        agrees=all(abs(one - other) <= SAME * (1 + abs(one)) for one, other in pairs.values()),
    )


CHECKS = (
    Check("score again", "Score the texts again", score_again),
    Check("read again", "Read policy and critic again", read_again),
    Check("cut again", "Cut the batch into other pieces", cut_again),
)


def _close(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs() <= SAME * (1 + first.abs())


def _furthest(first: Tensor, second: Tensor, mask: Tensor) -> float:
    """Return the largest difference where the mask holds."""
    return float(apply_mask(first - second, mask).abs().max())


def _written(value: float) -> str:
    """Write a number with a true minus sign; a rounded zero has none."""
    return f"{round(value, 4) + 0.0:.4f}".replace("-", "\u2212")
