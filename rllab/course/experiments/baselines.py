"""Baselines. They remove the variance that comes from the reward's level; the mean of the others is nearly as good.

An eight-armed bandit with a softmax policy. Means and variances are exact, by listing every batch of up to four
samples; larger batches are sampled.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.maths.advantages import leave_one_out
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, significant

ACTIONS = 8
SHIFTS = (0.0, 1.0, 2.0, 5.0)
GROUPS = (2, 4, 8, 16)
LISTED = 4  # the largest group whose 8^k batches are all listed
BLOCK = 50_000  # batches computed at once: the job is checked between blocks


@dataclass(frozen=True)
class Size:
    """How many batches are sampled where there are too many to list."""

    draws: int


@dataclass(frozen=True)
class Shifted:
    """Variance of the gradient of one sample, summed over the logits, with a number added to every reward."""

    shift: float
    none: float
    mean: float  # the expected reward as baseline
    best: float  # the baseline of least variance
    bias: float  # largest of the three


@dataclass(frozen=True)
class Group:
    """Leave-one-out with k samples."""

    k: int
    variance_times_k: float
    ratio: float  # to the variance with the expected reward as baseline
    bias: float  # |mean - g|
    chance: float  # how large that is by chance; 0 where every batch is listed


@dataclass(frozen=True)
class Result:
    """Baselines under shifts, and leave-one-out over group sizes."""

    shifts: tuple[Shifted, ...]
    groups: tuple[Group, ...]


FAST, WORKSHOP = Size(draws=20_000), Size(draws=500_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure every baseline.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Variances under three baselines by the reward's level, and with leave-one-out by the group's size.
    """
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(torch.randn(ACTIONS, generator=generator, dtype=torch.float64), dim=0)
    rewards = 0.5 * torch.randn(ACTIONS, generator=generator, dtype=torch.float64)
    rewards = rewards - (probs * rewards).sum()  # level 0 under this policy, so that the shift is the level
    groups = []
    for number, k in enumerate(GROUPS):
        job.report(number, len(GROUPS), f"{k} samples")
        blocks = _sampled_batches(probs, k, size.draws, generator)
        if k <= LISTED:
            batches = torch.tensor(list(itertools.product(range(ACTIONS), repeat=k)))  # (8^k, k)
            blocks = iter([(batches, probs[batches].prod(dim=1))])
        groups.append(_group(probs, rewards, k, blocks, job))
    return Result(tuple(_shifted(probs, rewards, shift) for shift in SHIFTS), tuple(groups))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    level, last = result.shifts[0], result.shifts[-1]
    ratios = [group.ratio for group in result.groups]
    return unmet(
        {
            "no baseline changes the mean": max(row.bias for row in result.shifts) <= 1e-12,
            "a baseline removes the level": all(
                math.isclose(row.mean, level.mean) and math.isclose(row.best, level.best) for row in result.shifts
            ),
            "the best constant has the least variance": all(
                row.best <= min(row.mean, row.none) + 1e-12 for row in result.shifts
            ),
            "without a baseline every level adds variance": all(row.none > level.none for row in result.shifts[1:]),
            "without a baseline the largest level costs ten times": last.none > 10 * last.mean,
            "leave-one-out falls with the group": all(small > large for small, large in itertools.pairwise(ratios)),
            "leave-one-out comes near the true mean as baseline": 1.0 < ratios[-1] < 1.2 < ratios[0],
            "leave-one-out leaves the mean unchanged": all(
                group.bias <= 4 * group.chance + 1e-12 for group in result.groups
            ),
            "small groups are exact": all((group.chance == 0.0) == (group.k <= LISTED) for group in result.groups),
        }
    )


def baseline_variance(result: Result) -> Picture:
    """Draw the variance of the gradient under three baselines, over what is added to every reward.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the factor by which the largest shift raises the variance without a baseline.
    """
    shifts = [row.shift for row in result.shifts]
    lines = [
        Line("no baseline", shifts, [row.none for row in result.shifts], "reward", mode="lines+markers"),
        Line("mean reward", shifts, [row.mean for row in result.shifts], "policy", mode="lines+markers"),
        Line("best constant", shifts, [row.best for row in result.shifts], "ink", "dot"),
    ]
    drawn = line_chart(lines, Axes("added to every reward", "variance of one gradient", log_y=True, ticks=shifts))
    first, last = result.shifts[0], result.shifts[-1]
    factor = last.none / first.none
    words = (
        f"With {last.shift:g} added to every reward the variance without a baseline is {significant(last.none)}, "
        f"{significant(factor, 3)} times that at level 0; with the mean reward subtracted it stays "
        f"{significant(last.mean)}. The mean of the gradient is the same in all of them."
    )
    return Picture(drawn, words, "variance of the gradient by baseline and level of the reward", factor, ("exact",))


def groups(result: Result, k: int = 4) -> Picture:
    """Draw leave-one-out's variance over the group's size, in units of that with the true mean as the baseline.

    Args:
        result: What `run` returned, or a recorded result.
        k: The group size that the sentence is about.

    Returns:
        The picture.
    """
    sizes, ratios = [group.k for group in result.groups], [group.ratio for group in result.groups]
    lines = [
        Line("leave one out", sizes, ratios, "policy", mode="lines+markers"),
        Line("true mean", sizes, [1.0] * len(sizes), "ink", "dot"),
    ]
    axes = Axes("samples in the group, k", "variance × k, true mean = 1", log_x=True, around=1.0, ticks=sizes, mark=k)
    words = (
        f"With {k} samples the mean of the others costs {fixed(ratios[sizes.index(k)])} times the variance, per "
        f"sample, of the true mean, which is unknown in practice. A rule of thumb says k/(k\u00a0\u2212\u00a01), "
        f"here {fixed(k / (k - 1))}."
    )
    kinds = ("exact",) if k <= LISTED else ("average",)
    return Picture(line_chart(lines, axes), words, "variance with leave-one-out by group size", kinds=kinds)


def _scores(probs: Tensor) -> Tensor:
    """Return the gradient of each action's log-prob in the logits, (A, A): chosen minus pi."""
    return torch.eye(len(probs), dtype=torch.float64) - probs


def _shifted(probs: Tensor, rewards: Tensor, shift: float) -> Shifted:
    """Return the variance under each baseline, with a number added to every reward."""
    scores, lifted = _scores(probs), rewards + shift
    truth = (probs * lifted) @ scores
    weight = probs * scores.square().sum(dim=1)
    found = [
        _moments([(probs, (lifted - baseline)[:, None] * scores)], truth)
        for baseline in (0.0, float((probs * lifted).sum()), float((weight * lifted).sum() / weight.sum()))
    ]
    (none, _), (mean, _), (best, _) = found
    return Shifted(shift, none, mean, best, bias=max(bias for _, bias in found))


def _moments(blocks: Iterable[tuple[Tensor, Tensor]], truth: Tensor) -> tuple[float, float]:
    """Return the variance, summed over the logits, and |mean - truth| of blocks of (probabilities, gradients)."""
    off, square = torch.zeros_like(truth), torch.zeros_like(truth)
    for chance, gradients in blocks:
        off += chance @ (gradients - truth)
        square += chance @ (gradients - truth).square()
    return float((square - off.square()).sum()), float(off.norm())


def _group(probs: Tensor, rewards: Tensor, k: int, blocks: Iterable[tuple[Tensor, Tensor]], job: Job) -> Group:
    """Measure leave-one-out with k samples on blocks of batches (n, k) and their probabilities (n,)."""
    scores, count = _scores(probs), 0

    def gradients() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal count
        for batches, chance in blocks:
            job.check()
            count += len(batches)
            index = torch.arange(len(batches)).repeat_interleave(k)
            advantages = leave_one_out(rewards[batches].flatten(), index).reshape(batches.shape)
            yield chance, (advantages[:, :, None] * scores[batches]).mean(dim=1)  # (n, A)

    variance, bias = _moments(gradients(), (probs * rewards) @ scores)
    single = _shifted(probs, rewards, 0.0).mean
    by_chance = 0.0 if k <= LISTED else (variance / count) ** 0.5
    return Group(k, variance * k, variance * k / single, bias, by_chance)


def _sampled_batches(probs: Tensor, k: int, draws: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield sampled batches of k actions, block by block, all of one weight."""
    for start in range(0, draws, BLOCK):
        count = min(BLOCK, draws - start)
        batches = torch.multinomial(probs, count * k, replacement=True, generator=generator).reshape(count, k)
        yield batches, torch.full((count,), 1 / draws, dtype=torch.float64)
