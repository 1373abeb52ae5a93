"""How many texts it takes to learn, by when the reward comes, each arm at its own best learning rate.

The texts of noise_by_length, learned by policy gradient in batches of 16 until the target word has a chance of 0.9 on
average; and a score that is 1 for the one right text and 0 for all others, until that text has a chance of 0.9.

The grid of learning rates ends at 4. With larger steps one lucky text settles every word at once, which only a table of
separate logits forgives: own-token credit would then need one batch and the exact match fewer texts than there are to
try. On this grid the figures are those of the targets but for the exact match of six words, which needs more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments.cost import Credit, Search, texts_needed
from rllab.course.experiments.noise_by_length import ARMS, credits_of, slope

GOAL = 0.9  # chance of the target word on average, or of the one right text
EXACT = "exact match"


@dataclass(frozen=True)
class Size:
    """Lengths, seeds and the grid of learning rates; an arm that has not learned after `cap` texts counts as cap."""

    lengths: tuple[int, ...]
    exact_lengths: tuple[int, ...]
    seeds: int
    rates: tuple[float, ...]
    cap: int


@dataclass(frozen=True)
class Cost:
    """The texts that one arm needs at one length: the median over seeds at its best learning rate."""

    arm: str
    length: int
    texts: float
    rate: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """All arms at all lengths."""

    costs: tuple[Cost, ...]

    def texts(self, arm: str, length: int) -> float:
        """Return what one arm needs at one length."""
        return next(cost.texts for cost in self.costs if (cost.arm, cost.length) == (arm, length))

    def slope(self, arm: str, *, beyond: int) -> float:
        """Return the slope of log texts over log length beyond a length: 1 means in proportion."""
        chosen = [cost for cost in self.costs if cost.arm == arm and cost.length >= beyond]
        return slope([(math.log(cost.length), math.log(cost.texts)) for cost in chosen])


RATES = tuple(2.0**power for power in range(-4, 3))
FAST = Size((16, 64), (1, 2, 4), 5, RATES, 8_000)
WORKSHOP = Size((4, 8, 16, 32, 64, 128, 256, 512), (1, 2, 3, 4, 5, 6), 20, RATES, 40_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Let every arm learn at every length, at every rate, on every seed."""
    jobs = [(arm, length) for length in size.lengths for arm in ARMS]
    jobs += [(EXACT, length) for length in size.exact_lengths]
    costs = []
    for number, (arm, length) in enumerate(jobs):
        job.report(number, len(jobs), f"{arm}, {length} tokens")
        costs.append(_cost(arm, length, size, job=job))
    return Result(tuple(costs))


def _cost(arm: str, length: int, size: Size, *, job: Job) -> Cost:
    """Learn at all rates and keep the best."""
    search, seed = Search(size.rates, size.seeds, size.cap), 1000 * length + len(arm)
    found = texts_needed(CREDIT_OF[arm], REACHED[arm], length=length, search=search, seed=seed, job=job)
    return Cost(arm, length, found.texts, found.rate, found.by_seed)


def _match(rewards: Tensor) -> Tensor:
    """Credit every position with 1 where the whole text is right, less the mean of the batch."""
    right = rewards.prod(dim=1, keepdim=True).expand_as(rewards)
    return right - right.mean(dim=0)


def _by_arm(arm: str) -> Credit:
    return lambda rewards: credits_of(arm, rewards)


CREDIT_OF = {**{arm: _by_arm(arm) for arm in ARMS}, EXACT: _match}
REACHED: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(ARMS, lambda chance: chance.mean(dim=1) >= GOAL),
    EXACT: lambda chance: chance.prod(dim=1) >= GOAL,
}
