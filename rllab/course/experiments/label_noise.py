"""What a reward model can learn from labels. More pairs help, noise sets a ceiling, and gold is seen through it.

A judge with noise labels pairs of texts: the better one by gold wins with probability sigma(gap / noise). Nobody can
foresee more of such labels than E[max(p, 1 - p)], the share that the judge would give again; that is the ceiling. A
linear reward model (the task is that of learned_reward) comes near it with many pairs, from below. Asked for gold's
own order instead of the judge's next label, it is right more often than the labels that it was fitted to.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments.learned_reward import draw_texts, fit_gaps, make_task

NOISES = (0.5, 1.5, 4.0)  # units of gold
HELD_OUT = 4_000  # pairs that nothing is fitted to


@dataclass(frozen=True)
class Size:
    """How many pairs are labelled, and how many tasks are drawn."""

    pairs: tuple[int, ...]
    seeds: int


@dataclass(frozen=True)
class Point:
    """One reward model on held-out pairs; shares are of pairs, and exact in the judge's chance."""

    noise: float
    pairs: int
    seed: int
    accuracy: float  # of the judge's fresh labels it foresees
    ceiling: float  # the most that anybody can foresee
    gold: float  # of the pairs it ranks as gold does


@dataclass(frozen=True)
class Result:
    """All reward models."""

    points: tuple[Point, ...]

    def of(self, noise: float, pairs: int) -> list[Point]:
        """Return the models of one noise and number of pairs, by seed."""
        return [one for one in self.points if (one.noise, one.pairs) == (noise, pairs)]

    def mean(self, noise: float, pairs: int) -> tuple[float, float, float]:
        """Return accuracy, ceiling and agreement with gold, averaged over seeds."""
        found = self.of(noise, pairs)
        parts = ([one.accuracy for one in found], [one.ceiling for one in found], [one.gold for one in found])
        accuracy, ceiling, gold = (statistics.fmean(part) for part in parts)
        return accuracy, ceiling, gold

    @property
    def pairs(self) -> list[int]:
        """Return the numbers of pairs, from few to many."""
        return sorted({one.pairs for one in self.points})


FAST, WORKSHOP = Size((10, 30, 100, 300, 1_000), 5), Size((10, 30, 100, 300, 1_000, 3_000, 10_000), 20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Fit a reward model for every noise, number of pairs and seed."""
    points = []
    for seed in range(size.seeds):
        job.check()
        job.report(seed, size.seeds, f"seed {seed}")
        for noise in NOISES:
            points += _one_judge(noise, size, seed=seed)
    return Result(tuple(points))


def _one_judge(noise: float, size: Size, *, seed: int) -> list[Point]:
    """Let one judge label, and fit a reward model to more and more of the labels."""
    task, generator = make_task(seed), torch.Generator().manual_seed(3000 + seed)
    count = max(size.pairs) + HELD_OUT
    first, second = (draw_texts(task.shares, count, generator=generator) for _ in range(2))
    gap = task.gold(first) - task.gold(second)
    likely = torch.sigmoid(gap / noise)
    wins = torch.rand(count, generator=generator, dtype=torch.float64) < likely
    texts = torch.where(wins[:, None], first - second, second - first)[:-HELD_OUT]  # chosen less rejected counts
    held, better, fresh = (first - second)[-HELD_OUT:], gap[-HELD_OUT:] > 0, likely[-HELD_OUT:]
    points = []
    for pairs in size.pairs:
        prefers = held @ fit_gaps(texts[:pairs]) > 0
        accuracy = float(torch.where(prefers, fresh, 1 - fresh).mean())
        ceiling, gold = float(torch.maximum(fresh, 1 - fresh).mean()), float((prefers == better).double().mean())
        points.append(Point(noise, pairs, seed, accuracy, ceiling, gold))
    return points
