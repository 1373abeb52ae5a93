"""What a reward model can learn from labels. More pairs help, noise sets a ceiling, and gold is recovered through it.

A judge with noise labels pairs of texts: the better one by gold wins with probability sigma(gap / noise). No model can
predict more of such labels than E[max(p, 1 - p)], the share that the judge would repeat; that is the ceiling. A linear
reward model (on the task of learned_reward) approaches it with many pairs, from below. Asked for gold's own order
instead of the judge's next label, it is right more often than the labels it was fitted to.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.experiments.learned_reward import draw_texts, fit_gaps, make_task
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture

NOISES = (0.5, 1.5, 4.0)  # units of gold
ROLES = ("value", "policy", "reward")  # their colours
HELD_OUT = 4_000  # pairs that nothing is fitted to
NEAR = 0.04  # an accuracy this close to the ceiling has reached it
ALL = 0.97  # an accuracy above this is nearly perfect


@dataclass(frozen=True)
class Size:
    """How many pairs are labelled, and how many random tasks there are."""

    pairs: tuple[int, ...]
    seeds: int


@dataclass(frozen=True)
class Point:
    """One reward model on held-out pairs; all are shares of pairs, exact in the judge's probability."""

    noise: float
    pairs: int
    seed: int
    accuracy: float  # of the judge's fresh labels that it predicts
    ceiling: float  # the most that any model can predict
    gold: float  # of the pairs that it ranks as gold does


@dataclass(frozen=True)
class Result:
    """All reward models."""

    points: tuple[Point, ...]

    def of(self, noise: float, pairs: int) -> list[Point]:
        """Return the models of one noise and number of pairs, by seed."""
        return [point for point in self.points if (point.noise, point.pairs) == (noise, pairs)]

    def mean(self, noise: float, pairs: int) -> tuple[float, float, float]:
        """Return accuracy, ceiling and agreement with gold, averaged over seeds."""
        parts = zip(*((point.accuracy, point.ceiling, point.gold) for point in self.of(noise, pairs)), strict=True)
        accuracy, ceiling, gold = (statistics.fmean(part) for part in parts)
        return accuracy, ceiling, gold

    @property
    def pairs(self) -> list[int]:
        """Return the numbers of pairs, from few to many."""
        return sorted({point.pairs for point in self.points})


FAST, WORKSHOP = Size((10, 30, 100, 300, 1_000), 5), Size((10, 30, 100, 300, 1_000, 3_000, 10_000), 20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Fit a reward model for every noise, number of pairs and seed.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        All reward models on held-out pairs.
    """
    points = []
    for seed in range(size.seeds):
        job.check()
        job.report(seed, size.seeds, f"seed {seed}")
        for noise in NOISES:
            points += _one_judge(noise, size, seed=seed)
    return Result(tuple(points))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    few, many = result.pairs[0], result.pairs[-1]
    ends = {noise: result.mean(noise, many) for noise in NOISES}
    noisier = [(pairs, *both) for pairs in result.pairs for both in itertools.pairwise(NOISES)]
    return unmet(
        {
            "more pairs are more accurate, on every seed": all(
                start.accuracy < end.accuracy
                for noise in NOISES
                for start, end in zip(result.of(noise, few), result.of(noise, many), strict=True)
            ),
            "no model is above the ceiling": all(
                0.5 < point.ceiling < 1 and point.accuracy <= point.ceiling for point in result.points
            ),
            "with many pairs the ceiling is near": all(
                ceiling - accuracy < 0.06 for accuracy, ceiling, _ in ends.values()
            ),
            "gold's order is predicted better than the labels": all(
                gold > accuracy for accuracy, _, gold in ends.values()
            ),
            "noise lowers the ceiling and what can be learned": all(
                quiet > loud
                for pairs, low, high in noisier
                for quiet, loud in zip(result.mean(low, pairs)[:2], result.mean(high, pairs)[:2], strict=True)
            ),
        }
    )


def accuracy_by_pairs(result: Result) -> Picture:
    """Draw how many fresh labels a reward model predicts, over the pairs it was fitted to; ceilings dotted.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says where the noisiest judge's model ends: "all", "ceiling" or "below".
    """
    lines = []
    for noise, role in zip(NOISES, ROLES, strict=True):
        shares = [100 * result.mean(noise, pairs)[0] for pairs in result.pairs]
        ceiling = 100 * result.mean(noise, result.pairs[-1])[1]
        lines.append(Line(f"noise {noise:g}", result.pairs, shares, role, mode="lines+markers"))
        lines.append(Line("", [result.pairs[0], result.pairs[-1]], [ceiling] * 2, role, "dot"))
    axes = Axes("labelled pairs", "fresh labels predicted (%)", log_x=True, ticks=result.pairs)
    accuracy, ceiling, gold = result.mean(NOISES[-1], result.pairs[-1])
    words = (
        f"Noise {NOISES[-1]:g}, {result.pairs[-1]:,} pairs: {accuracy:.0%} of fresh labels predicted; the ceiling "
        f"(dotted) is {ceiling:.0%}. The same model ranks {gold:.0%} of the pairs as gold does. Means of "
        f"{len(result.of(NOISES[-1], result.pairs[-1]))} tasks."
    )
    outcome = "all" if accuracy > ALL else "ceiling" if ceiling - accuracy < NEAR else "below"
    alt = "held-out accuracy of reward models by pairs and noise"
    return Picture(line_chart(lines, axes), words, alt, outcome)


def _one_judge(noise: float, size: Size, *, seed: int) -> list[Point]:
    """Return reward models fitted to more and more labels of one judge."""
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
