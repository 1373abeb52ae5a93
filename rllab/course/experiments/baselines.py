"""A baseline takes out the variance that a level of the reward brings in; the others' mean is nearly as good.

An eight-armed bandit with a softmax policy. Means and variances are exact, by listing every batch, up to four
samples; beyond that batches are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.advantages import leave_one_out

ACTIONS = 8
SHIFTS = (0.0, 1.0, 2.0, 5.0)
GROUPS = (2, 4, 8, 16)
LISTED = 4  # the largest group whose 8^k batches are all listed
BLOCK = 50_000  # batches that are worked on at once: Stop is asked about between blocks


@dataclass(frozen=True)
class Size:
    """How many batches are drawn where there are too many to list."""

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
    """Measure every baseline."""
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(torch.randn(ACTIONS, generator=generator, dtype=torch.float64), dim=0)
    rewards = 0.5 * torch.randn(ACTIONS, generator=generator, dtype=torch.float64)
    rewards = rewards - (probs * rewards).sum()  # level 0 under this policy, so that the shift is the level
    groups = []
    for number, k in enumerate(GROUPS):
        job.report(number, len(GROUPS), f"{k} samples")
        blocks = [_all_batches(probs, k)] if k <= LISTED else _drawn(probs, k, size.draws, generator)
        groups.append(_group(probs, rewards, k, blocks, job))
    return Result(tuple(_shifted(probs, rewards, shift) for shift in SHIFTS), tuple(groups))


def _scores(probs: Tensor) -> Tensor:
    """Return the gradient of each action's log-prob in the logits, (A, A): chosen minus pi."""
    return torch.eye(len(probs), dtype=torch.float64) - probs


def _shifted(probs: Tensor, rewards: Tensor, shift: float) -> Shifted:
    """Compare baselines at one level of the reward."""
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


def _all_batches(probs: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """List every batch of k actions with its probability."""
    batches = torch.tensor(list(itertools.product(range(len(probs)), repeat=k)))
    return batches, probs[batches].prod(dim=1)


def _drawn(probs: Tensor, k: int, draws: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw batches of k actions, block by block, all of one weight."""
    for start in range(0, draws, BLOCK):
        count = min(BLOCK, draws - start)
        batches = torch.multinomial(probs, count * k, replacement=True, generator=generator).reshape(count, k)
        yield batches, torch.full((count,), 1 / draws, dtype=torch.float64)
