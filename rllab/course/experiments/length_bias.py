"""The length bias of GRPO. Dividing by a response's own length makes wrong answers long and right ones short.

The first choice of an answer is right or wrong by a fair coin that cannot be learned; after it every token goes on or
stops, and no reward looks at the length. What is learned are two logits of stopping, one behind each choice, so the
lengths are geometric. A mean over the tokens of each row pays a long wrong answer less per token: it pays to ramble.

If the reward did not depend on anything that the policy can see there would be no drift: the two paths are needed.
The drift of the mean over all tokens comes from dividing by the lengths that were drawn; it goes with larger batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.advantages import group_relative

START, GROUP, RATE, MARK = 10.0, 8, 0.3, 20  # tokens, answers to a prompt, learning rate, updates between two marks
SOLVED = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 31 / 32)  # how likely a prompt's answers are right
LARGE_GROUP = 64  # in small ones nearly all groups of an easy or a hard prompt are silent


@dataclass(frozen=True)
class Size:
    """How many seeds, updates, and groups in a batch."""

    seeds: int
    updates: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Arm:
    """How a batch is divided, and whether advantages are divided by their group's spread."""

    name: str
    scale: bool
    rate: float
    denominator: Callable[[Tensor], Tensor]  # lengths (B,) -> what each row's sum over tokens is divided by


@dataclass(frozen=True)
class Curve:
    """One run: the mean length of a wrong and of a right answer, in tokens, at update 0, MARK, 2 MARK, ..."""

    arm: str
    groups: int
    seed: int
    wrong: tuple[float, ...]
    right: tuple[float, ...]


@dataclass(frozen=True)
class Push:
    """How hard a group pulls towards its right answers, by how likely those are: E[sum_i A_i (1_i - p)] / G."""

    solved: float
    scaled: float  # divided by the group's spread
    plain: float


@dataclass(frozen=True)
class Result:
    """All arms on the same seeds, and what dividing by the spread does to easy and to hard prompts."""

    curves: tuple[Curve, ...]
    pushes: tuple[Push, ...]

    def of(self, arm: str, groups: int) -> list[Curve]:
        """Return the runs of one arm, by seed."""
        return [curve for curve in self.curves if (curve.arm, curve.groups) == (arm, groups)]


GRPO, DAPO, DR_GRPO = "GRPO: mean of row means", "DAPO: mean over tokens", "Dr. GRPO: constant"
ARMS = (
    Arm(GRPO, scale=True, rate=RATE, denominator=lambda lengths: lengths * len(lengths)),
    Arm(DAPO, scale=True, rate=RATE, denominator=lambda lengths: lengths.sum().expand_as(lengths)),
    # Twice the rate: a fair coin's spread is 1/2, and what is not divided by it takes half the step.
    Arm(
        DR_GRPO, scale=False, rate=2 * RATE, denominator=lambda lengths: torch.full_like(lengths, START * len(lengths))
    ),
)
FAST, WORKSHOP = Size(5, 100, (1, 16)), Size(20, 600, (1, 16))


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train every arm on every seed, with batches of few and of many groups."""
    curves = []
    for seed in range(size.seeds):
        job.report(seed, size.seeds, f"seed {seed}")
        curves += [_one_run(arm, groups, size.updates, seed, job) for arm in ARMS for groups in size.groups]
    return Result(tuple(curves), tuple(push(solved) for solved in SOLVED))


def slope(arm: Arm, right: Tensor, lengths: Tensor, group: Tensor, stops: Tensor) -> Tensor:
    """Return minus the loss's gradient in the two logits of stopping, wrong and right path, (2,).

    The log-prob of an answer of L tokens is (L - 1) log(1 - p) + log p, so its slope in the logit is 1 - L p.
    right, lengths, group: (B,); stops: (2,) the probabilities p.
    """
    advantages = group_relative(right.double(), group, scale=arm.scale)
    rows = advantages * (1 - lengths * stops[right]) / arm.denominator(lengths)
    return torch.zeros_like(stops).index_add(0, right, rows)


def push(solved: float) -> Push:
    """Return how hard a large group pulls, over all numbers of right answers, exactly."""
    pulls = {True: 0.0, False: 0.0}
    for count in range(LARGE_GROUP + 1):
        chance = math.comb(LARGE_GROUP, count) * solved**count * (1 - solved) ** (LARGE_GROUP - count)
        right = (torch.arange(LARGE_GROUP) < count).double()
        for scale in pulls:
            advantages = group_relative(right, torch.zeros(LARGE_GROUP, dtype=torch.long), scale=scale)
            pulls[scale] += chance * float((advantages * (right - solved)).mean())
    return Push(solved, pulls[True], pulls[False])


def _one_run(arm: Arm, groups: int, updates: int, seed: int, job: Job) -> Curve:
    """Draw batches and follow the slope."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(groups * GROUP) // GROUP
    logits = torch.full((2,), -math.log(START - 1), dtype=torch.float64)
    lengths = [1 / logits.sigmoid()]
    for update in range(updates):
        job.check()
        stops = logits.sigmoid()
        right, drawn = _answers(stops, len(group), generator)
        logits = logits + arm.rate * slope(arm, right, drawn, group, stops)
        if (update + 1) % MARK == 0:
            lengths.append(1 / logits.sigmoid())
    wrong, right_ones = (tuple(round(one, 3) for one in path) for path in torch.stack(lengths).T.tolist())
    return Curve(arm.name, groups, seed, wrong, right_ones)


def _answers(stops: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw answers: which are right (1) or wrong (0), and their lengths by the law of waiting for the first stop."""
    coin, chance = torch.rand(2, count, generator=generator, dtype=torch.float64)
    right = (coin < 0.5).long()
    return right, 1 + (chance.log() / torch.log1p(-stops[right])).floor()
