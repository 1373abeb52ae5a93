"""X2: how many texts it takes to learn, by when the reward comes, each arm at its own best learning rate.

The texts of X1, learned by policy gradient in batches of 16 until the target word has a chance of 0.9 on
average; and a score that is 1 for the one right text and 0 for all others, until that text has a chance of 0.9.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.errors import Stopped
from rllab.experiments.x01 import ARMS, WORDS, credits_of, slope
from rllab.generation import Progress

BATCH, GOAL = 16, 0.9
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
        points = [(float(torch.tensor(cost.length).log()), float(torch.tensor(cost.texts).log())) for cost in chosen]
        return slope(points)


RATES = tuple(2.0**power for power in range(-4, 6))
FAST = Size((16, 64), (1, 2, 3), 5, RATES, 8_000)
WORKSHOP = Size((4, 8, 16, 32, 64, 128, 256, 512), (1, 2, 3, 4, 5, 6), 20, RATES, 40_000)


def run(size: Size, *, stop: threading.Event | None = None, progress: Progress | None = None) -> Result:
    """Let every arm learn at every length, at every rate, on every seed."""
    jobs = [(arm, length) for length in size.lengths for arm in ARMS]
    jobs += [(EXACT, length) for length in size.exact_lengths]
    costs = []
    for number, (arm, length) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), f"{arm}, {length} tokens")
        costs.append(_cost(arm, length, size, stop=stop))
    return Result(tuple(costs))


def _cost(arm: str, length: int, size: Size, *, stop: threading.Event | None) -> Cost:
    """Learn at all rates and choose the one with the lowest median."""
    needed = texts_needed(arm, length, rates=size.rates, seeds=size.seeds, cap=size.cap, stop=stop)
    by_rate = dict(zip(size.rates, needed.tolist(), strict=True))
    best = min(size.rates, key=lambda rate: (statistics.median(by_rate[rate]), rate))
    return Cost(arm, length, float(statistics.median(by_rate[best])), best, tuple(by_rate[best]))


def texts_needed(
    arm: str, length: int, *, rates: tuple[float, ...], seeds: int, cap: int, stop: threading.Event | None = None
) -> Tensor:
    """Return the texts seen until the goal is reached, (rates, seeds) long; all runs go on side by side."""
    generator = torch.Generator().manual_seed(1000 * length + len(arm))
    runs = len(rates) * seeds
    rate = torch.tensor(rates).repeat_interleave(seeds)[:, None, None]
    logits = torch.zeros(runs, length, WORDS)
    needed = torch.full((runs,), cap)
    learning = torch.ones(runs, dtype=torch.bool)
    for texts in range(BATCH, cap + 1, BATCH):
        if stop is not None and stop.is_set():
            raise Stopped
        rows = learning.nonzero()[:, 0]
        logits[rows] += rate[rows] * _gradient(logits[rows], CREDIT_OF[arm], generator=generator)
        chance = logits[rows].softmax(dim=2)[..., 0]  # of the target word
        done = rows[REACHED[arm](chance) >= GOAL]
        needed[done], learning[done] = texts, False
        if not bool(learning.any()):
            break
    return needed.reshape(len(rates), seeds)


def _gradient(logits: Tensor, credit_of: Callable[[Tensor], Tensor], *, generator: torch.Generator) -> Tensor:
    """Return the policy gradient of one batch for every run, (R, T, K)."""
    probs = logits.softmax(dim=2)
    drawn = torch.rand(logits.shape[0], BATCH, logits.shape[1], 1, generator=generator)
    tokens = (drawn > probs.cumsum(dim=2)[:, None, :, :-1]).sum(dim=3)  # (R, B, T)
    rewards = (tokens == 0).float()
    credit = torch.vmap(credit_of)(rewards)  # (R, B, T), mean 0 over each batch
    return torch.stack([(credit * (tokens == word)).mean(dim=1) for word in range(WORDS)], dim=2)


def _match(rewards: Tensor) -> Tensor:
    """Credit every position with 1 where the whole text is right, less the mean of the batch."""
    right = rewards.prod(dim=1, keepdim=True).expand_as(rewards)
    return right - right.mean(dim=0)


def _by_arm(arm: str) -> Callable[[Tensor], Tensor]:
    return lambda rewards: credits_of(arm, rewards)


CREDIT_OF = {**{arm: _by_arm(arm) for arm in ARMS}, EXACT: _match}
REACHED: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(ARMS, lambda chance: chance.mean(dim=1)),
    EXACT: lambda chance: chance.prod(dim=1),
}
