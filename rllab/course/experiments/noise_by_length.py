"""How noisy the gradient is, by when the reward comes. The price of one score at the end grows with the length.

A text of T tokens over K words; each position earns 1 for its target word. The signal is the true gradient, the
noise what single texts scatter around it: noise-to-signal = tr Var(g) / |g|^2, the texts one needs to see through it.

The targets, slopes of 1, 1 and 0 with reward-to-go at half the level, are met and known in closed form (`exact_ratio`).
Not measured here is a network that shares its weights over positions: there it is the quotient of the arms that grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments.cost import WORDS

ARMS = ("terminal", "reward-to-go", "own token")


@dataclass(frozen=True)
class Size:
    """How long the texts are, and how many single-text gradients are drawn for each length."""

    lengths: tuple[int, ...]
    draws: int


@dataclass(frozen=True)
class Ratio:
    """The measured noise-to-signal ratio of one arm at one length, and what it is exactly."""

    arm: str
    length: int
    measured: float
    exact: float


@dataclass(frozen=True)
class Result:
    """All arms at all lengths, and the all-or-nothing score: 1 for the one right text, else 0."""

    ratios: tuple[Ratio, ...]
    all_or_nothing: tuple[tuple[int, float], ...]  # (length, exact ratio)

    def slope(self, arm: str) -> float:
        """Return the slope of log ratio over log length, by least squares: 1 means in proportion."""
        points = [(math.log(one.length), math.log(one.measured)) for one in self.ratios if one.arm == arm]
        return slope(points)

    def level(self, arm: str) -> float:
        """Return the ratio at the greatest length."""
        return max((one for one in self.ratios if one.arm == arm), key=lambda one: one.length).measured


FAST, WORKSHOP = Size((4, 16, 64), 4_000), Size((4, 8, 16, 32, 64, 128, 256, 512), 5_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure every arm at every length."""
    generator, ratios = torch.Generator().manual_seed(0), []
    for number, length in enumerate(size.lengths):
        job.check()
        job.report(number, len(size.lengths), f"texts of {length} tokens")
        measured = _measure(length, size.draws, generator=generator)
        ratios += [Ratio(arm, length, measured[arm], exact_ratio(arm, length)) for arm in ARMS]
    return Result(tuple(ratios), tuple((length, enumerated_ratio(length)) for length in (1, 2, 4, 6)))


def credits_of(arm: str, rewards: Tensor) -> Tensor:
    """Return what each position's log-prob is multiplied by, (B, T); the mean over texts is the baseline."""
    credit = CREDIT[arm](rewards)
    return credit - credit.mean(dim=0)


def exact_ratio(arm: str, length: int) -> float:
    """Return the ratio with the true mean as the baseline: K - 1 for each reward a position is credited, less 1."""
    credited = {"terminal": length, "reward-to-go": (length + 1) / 2, "own token": 1}[arm]
    return credited * (WORDS - 1) - 1


def enumerated_ratio(length: int) -> float:
    """Return the ratio of the all-or-nothing score without a baseline, over all K^T texts: K^T - 1."""
    texts = torch.cartesian_prod(*[torch.arange(WORDS)] * length).reshape(-1, length)
    rewards = (texts == 0).all(dim=1).double()
    gradients = rewards[:, None, None] * scores_of(texts)  # (K^T, T, K)
    signal = gradients.mean(dim=0).square().sum()
    return float(gradients.square().sum(dim=(1, 2)).mean() / signal) - 1


def scores_of(tokens: Tensor) -> Tensor:
    """Return the gradient of each position's log-prob in its logits under the uniform policy, (B, T, K)."""
    return torch.nn.functional.one_hot(tokens, WORDS).double() - 1 / WORDS


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of a straight line through points, by least squares."""
    x, y = (torch.tensor(side, dtype=torch.float64) for side in zip(*points, strict=True))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def _measure(length: int, draws: int, *, generator: torch.Generator) -> dict[str, float]:
    """Draw texts, and compare the mean square of single gradients with the square of the true one."""
    tokens = torch.randint(0, WORDS, (draws, length), generator=generator)
    rewards, scores = (tokens == 0).double(), scores_of(tokens)
    signal = length * (1 - 1 / WORDS) / WORDS**2  # |g|^2, exactly
    square = {arm: (credits_of(arm, rewards)[..., None] * scores).square().sum(dim=(1, 2)).mean() for arm in ARMS}
    return {arm: float(square[arm]) / signal - 1 for arm in ARMS}


def _terminal(rewards: Tensor) -> Tensor:
    return rewards.sum(dim=1, keepdim=True).expand_as(rewards)


def _to_go(rewards: Tensor) -> Tensor:
    return rewards.flip(1).cumsum(dim=1).flip(1)


def _own(rewards: Tensor) -> Tensor:
    return rewards


CREDIT = dict(zip(ARMS, (_terminal, _to_go, _own), strict=True))
