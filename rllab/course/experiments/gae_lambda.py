"""GAE trades bias for variance. The best lambda rises with the batch, and with the error of the critic.

A walk of T steps of +1 or -1, each by its own fair coin; all is paid at the end, where the walk has come to. The
true V of a place is the place. What is measured is the gradient in the coins' logits, whose truth is 1/2 each: the
raw advantage at lambda 1 carries the critic's offset, which does no harm and would look like bias.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.returns import gae

LENGTH, NOISE = 20, 1.5
LAMBDAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
BATCHES = (4, 16, 64, 256, 1024)  # walks that one gradient is averaged over
CRITICS = ("perfect", "noisy", "uninformative")


@dataclass(frozen=True)
class Size:
    """How many walks are drawn, and how many noisy critics."""

    walks: int
    critics: int


@dataclass(frozen=True)
class Arm:
    """One kind of critic, over lambda: squared bias, and variance of the gradient of one walk."""

    critic: str
    bias2: tuple[float, ...]
    variance: tuple[float, ...]

    def mse(self, batch: int) -> tuple[float, ...]:
        """Return the mean squared error of a gradient averaged over `batch` walks, over lambda."""
        return tuple(bias2 + variance / batch for bias2, variance in zip(self.bias2, self.variance, strict=True))

    def best(self, batch: int) -> float:
        """Return the lambda with the least error."""
        errors = self.mse(batch)
        return LAMBDAS[errors.index(min(errors))]


@dataclass(frozen=True)
class Result:
    """All critics on the same walks."""

    arms: tuple[Arm, ...]

    def arm(self, critic: str) -> Arm:
        """Return one critic's part."""
        return next(arm for arm in self.arms if arm.critic == critic)


FAST, WORKSHOP = Size(walks=4_000, critics=4), Size(walks=50_000, critics=20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure bias and variance of the gradient under each critic and lambda."""
    generator = torch.Generator().manual_seed(0)
    steps = 2.0 * torch.randint(0, 2, (size.walks, LENGTH), generator=generator).double() - 1.0
    arms = []
    for number, name in enumerate(CRITICS):
        job.report(number, len(CRITICS), name)
        count = size.critics if name == "noisy" else 1
        measured = torch.stack([_measure(steps, _values(steps, name, generator), job) for _ in range(count)])
        bias2, variance = measured.mean(dim=0).unbind(dim=1)
        arms.append(Arm(name, tuple(bias2.clamp(min=0).tolist()), tuple(variance.tolist())))
    return Result(tuple(arms))


def _values(steps: Tensor, critic: str, generator: torch.Generator) -> Tensor:
    """Return what a critic says before each step, (walks, T)."""
    place = steps.cumsum(dim=1) - steps
    if critic == "uninformative":
        return torch.zeros_like(place)
    if critic == "perfect":
        return place
    errors = NOISE * torch.randn(LENGTH, 2 * LENGTH + 1, generator=generator, dtype=torch.float64)
    return place + errors[torch.arange(LENGTH), place.long() + LENGTH]  # one error for each state, always the same


def _measure(steps: Tensor, values: Tensor, job: Job) -> Tensor:
    """Return squared bias and variance for each lambda, (lambdas, 2)."""
    mask = torch.ones_like(steps, dtype=torch.bool)
    rewards = torch.zeros_like(steps)
    rewards[:, -1] = steps.sum(dim=1)
    return torch.stack([_moments(steps, rewards, values, mask, lam, job) for lam in LAMBDAS])


def _moments(steps: Tensor, rewards: Tensor, values: Tensor, mask: Tensor, lam: float, job: Job) -> Tensor:
    """Return squared bias and variance of the gradient at one lambda, (2,)."""
    job.check()
    advantages, _ = gae(rewards, values, mask, gamma=1.0, lam=lam)
    gradients = steps / 2 * advantages  # d log pi / d logit = chosen - 1/2
    variance = gradients.var(dim=0).sum()
    chance = variance / len(steps)  # what the squared bias has by chance alone
    return torch.stack([(gradients.mean(dim=0) - 0.5).square().sum() - chance, variance])


def is_u_shaped(errors: Sequence[float]) -> bool:
    """Tell whether numbers fall to a place inside and rise from there."""
    low = errors.index(min(errors))
    falls = all(one >= two for one, two in itertools.pairwise(errors[: low + 1]))
    rises = all(one <= two for one, two in itertools.pairwise(errors[low:]))
    return 0 < low < len(errors) - 1 and falls and rises
