"""How far best-of-n moves from the reference: KL <= log n - (n - 1)/n, nearly met where there are many answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed
from rllab.truth.optimum import best_of_law

NS = (1, 2, 4, 16, 64, 256, 1024)
BOUNDS = (0.0, 0.193, 0.636, 1.835, 3.175, 4.549, 5.932)  # nats, for each n
ROLES = ("policy", "value", "reward", "down", "kl")  # colours of lines that have no meaning of their own


@dataclass(frozen=True)
class Size:
    """Numbers of equally likely answers with distinct scores; the last means very many."""

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
    """Compute the distribution of the best of n exactly.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        KL, bound and win rate for each n and number of answers.
    """
    rows = []
    for number, answers in enumerate(size.answers):
        job.check()
        job.report(number, len(size.answers), f"{answers:,} answers")
        logprobs = torch.full((answers,), -math.log(answers), dtype=torch.float64)
        place = torch.arange(answers, dtype=torch.float64)  # the number of an answer is its score
        below = place / answers  # probability that a fresh sample scores less
        for n in NS:
            law = best_of_law(logprobs, place, n=n)
            rows.append(Row(answers, n, law.kl, law.bound, float((law.logprobs.exp() * below).sum())))
    return Result(tuple(rows))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    many = result.of(max(row.answers for row in result.rows))
    few = {answers: result.of(answers)[-1].kl for answers in (2, 10)}
    return unmet(
        {
            "the KL is within its bound": all(row.kl <= row.bound + 1e-9 for row in result.rows),
            "the win rate is at most n/(n + 1)": all(row.win_rate <= row.n / (row.n + 1) + 1e-9 for row in result.rows),
            "the bound is log n - (n - 1)/n": all(
                abs(row.bound - bound) < 6e-4 for row, bound in zip(many, BOUNDS, strict=True)
            ),
            "many answers meet the bound": all(abs(row.kl - row.bound) < 1e-3 for row in many if row.n <= 64),
            "few answers end at log of their number": all(
                abs(kl - math.log(answers)) < 1e-6 for answers, kl in few.items()
            ),
        }
    )


def best_of_kl(result: Result) -> Picture:
    """Draw how far the best of n is from a single sample, for few and for many answers, with the bound.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture.
    """
    counts = sorted({row.answers for row in result.rows})
    lines = [
        Line(f"{count:,} answers", NS, [row.kl for row in result.of(count)], role)
        for count, role in zip(counts, ROLES, strict=False)
    ]
    most = result.of(counts[-1])
    lines.append(Line("bound", NS, [row.bound for row in most], "ink", "dot"))
    axes = Axes("n (logarithmic)", "KL(best of n ‖ one sample) (nats)", log_x=True, ticks=NS)
    at = NS.index(16)
    words = (
        f"At n = 16 the bound is {fixed(most[at].bound, 3)} nats. With {counts[-1]:,} answers the KL is "
        f"{fixed(most[at].kl, 3)}, with {counts[0]} answers only {fixed(result.of(counts[0])[at].kl, 3)}."
    )
    return Picture(line_chart(lines, axes), words, "KL of best-of-n by n and number of answers")
