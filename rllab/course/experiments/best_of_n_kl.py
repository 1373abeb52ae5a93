"""How far best-of-n moves away. KL <= log n - (n - 1)/n, nearly met where there are many answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.truth.optimum import best_of_law

NS = (1, 2, 4, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Size:
    """Numbers of equally likely answers with distinct scores; the last one stands for very many."""

    answers: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Best of n among so many answers."""

    answers: int
    n: int
    kl: float  # nats, exact
    bound: float  # nats
    win_rate: float  # against one fresh sample; a tie is no win


@dataclass(frozen=True)
class Result:
    """All n at every number of answers."""

    rows: tuple[Row, ...]

    def of(self, answers: int) -> tuple[Row, ...]:
        """Return the rows of one number of answers."""
        return tuple(row for row in self.rows if row.answers == answers)


# With more answers the rounding of their summed chances would show in the eighth decimal of the KL.
FAST, WORKSHOP = Size((2, 10, 100_000)), Size((2, 10, 100, 1_000, 100_000))


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Compute the law of the best of n exactly."""
    rows = []
    for number, answers in enumerate(size.answers):
        job.check()
        job.report(number, len(size.answers), f"{answers:,} answers")
        rows += [_row(answers, n) for n in NS]
    return Result(tuple(rows))


def _row(answers: int, n: int) -> Row:
    """Compute one row; score and number of an answer are the same."""
    logprobs = torch.full((answers,), -math.log(answers), dtype=torch.float64)
    place = torch.arange(answers, dtype=torch.float64)
    law = best_of_law(logprobs, place, n=n)
    below = place / answers  # chance that a fresh sample scores less
    return Row(answers, n, law.kl, law.bound, float((law.logprobs.exp() * below).sum()))
