"""The length bias of GRPO. Dividing by a response's own length makes wrong answers long and right ones short.

The first choice of an answer is right or wrong by a fair coin that cannot be learned; after it every token continues or
stops, and no reward looks at the length. Two logits of stopping are learned, one after each choice, so the lengths are
geometric. A mean over the tokens of each row charges a long wrong answer less per token: rambling pays.

If the reward did not depend on anything that the policy can see there would be no drift: the two paths are needed.
The drift of the mean over all tokens comes from dividing by the sampled lengths; it vanishes with larger batches.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.maths.advantages import group_relative
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import significant

START, GROUP, RATE, MARK = 10.0, 8, 0.3, 20  # tokens, answers to a prompt, learning rate, updates per measurement
SOLVED = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 31 / 32)  # probability that a prompt's answers are right
LARGE_GROUP = 64  # in small ones nearly all groups of an easy or a hard prompt are silent
MUCH = 1.5  # answers that are longer by this factor have grown


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
    """How hard a group pulls towards its right answers, by their probability p: E[sum_i A_i (1_i - p)] / G."""

    solved: float  # p
    scaled: float  # divided by the group's spread
    plain: float


@dataclass(frozen=True)
class Result:
    """All arms on the same seeds, and the effect of dividing by the spread on easy and on hard prompts."""

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
    """Train every arm on every seed, with batches of few and of many groups.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The lengths of wrong and right answers, and the pull of prompts.
    """
    curves = []
    for seed in range(size.seeds):
        job.report(seed, size.seeds, f"seed {seed}")
        curves += [_one_run(arm, groups, size.updates, seed, job) for arm in ARMS for groups in size.groups]
    return Result(tuple(curves), tuple(push(solved) for solved in SOLVED))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    counts = sorted({curve.groups for curve in result.curves})
    biased, level, drifting = (
        {groups: result.of(arm, groups) for groups in (counts[0], counts[-1])} for arm in (GRPO, DR_GRPO, DAPO)
    )
    pairs = [both for groups in biased for both in zip(biased[groups], level[groups], strict=True)]
    few, many = (statistics.fmean(curve.wrong[-1] for curve in curves) for curves in drifting.values())
    return unmet(
        {
            "GRPO's wrong answers become long": all(curve.wrong[-1] > 2 * START for curve, _ in pairs),
            "GRPO's right answers become short": all(curve.right[-1] < START / 2 for curve, _ in pairs),
            "GRPO's wrong answers are longer than Dr. GRPO's, on every seed": all(
                curve.wrong[-1] > other.wrong[-1] for curve, other in pairs
            ),
            "GRPO's right answers are shorter than Dr. GRPO's, on every seed": all(
                curve.right[-1] < other.right[-1] for curve, other in pairs
            ),
            "Dr. GRPO's lengths do not drift": all(
                is_level([getattr(curve, path)[-1] for curve in curves], within=0.15 if groups == counts[0] else 0.05)
                for groups, curves in level.items()
                for path in ("wrong", "right")
            ),
            "DAPO's drift vanishes with larger batches": few > many and abs(many / START - 1) < 0.1,
            "DAPO's wrong answers are longer than its right ones in small batches": all(
                curve.wrong[-1] > curve.right[-1] for curve in drifting[counts[0]]
            ),
        }
    )


def is_level(lengths: Sequence[float], *, within: float) -> bool:
    """Return whether lengths have stayed where they started.

    Small batches scatter, so the middle has to stay: no drift beyond chance, and none beyond `within` in any case.

    Args:
        lengths: Tokens at the end, by seed.
        within: The most that the mean of log(length / START) may be.

    Returns:
        Whether the mean is within four standard errors and within `within`.
    """
    logs = [math.log(length / START) for length in lengths]
    return abs(statistics.fmean(logs)) < min(within, 4 * statistics.stdev(logs) / math.sqrt(len(logs)))


def length_curves(result: Result) -> Picture:
    """Draw how long wrong and right answers become under three ways to average, one group to a batch, mean over seeds.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says which answers become longer under GRPO: "wrong", "right", "both" or "none".
    """
    lines, ends = [], {}
    updates = [MARK * place for place in range(len(result.of(GRPO, 1)[0].wrong))]
    for arm, role in ((GRPO, "down"), (DAPO, "reward"), (DR_GRPO, "policy")):
        for path, dash in (("wrong", "solid"), ("right", "dot")):
            means = np.mean([getattr(curve, path) for curve in result.of(arm, 1)], axis=0).tolist()
            ends[arm, path] = means[-1]
            lines.append(Line(f"{arm.partition(':')[0]}, {path}", updates, means, role, dash))
    drawn = line_chart(lines, Axes("update", "mean length, tokens (log)", log_y=True))
    words = (
        f"All start at {START:g} tokens. After {updates[-1]} updates GRPO's wrong answers have "
        f"{significant(ends[GRPO, 'wrong'])} tokens and its right ones {significant(ends[GRPO, 'right'], 2)}; a mean "
        f"over all tokens gives {significant(ends[DAPO, 'wrong'])} and {significant(ends[DAPO, 'right'])}, a constant "
        f"{significant(ends[DR_GRPO, 'wrong'])} and {significant(ends[DR_GRPO, 'right'])}. No reward looks at the "
        "length."
    )
    grown = [path for path in ("wrong", "right") if ends[GRPO, path] > MUCH * START]
    outcome = "both" if len(grown) == 2 else grown[0] if grown else "none"
    return Picture(drawn, words, "length of wrong and right answers by update", outcome)


def slope(arm: Arm, right: Tensor, lengths: Tensor, group: Tensor, stops: Tensor) -> Tensor:
    """Return minus the loss's gradient in the two logits of stopping, wrong and right path, (2,).

    The log-prob of an answer of L tokens is (L - 1) log(1 - p) + log p, so its slope in the logit is 1 - L p.

    Args:
        arm: How the batch is divided.
        right: (B,), 1 for a right answer and 0 for a wrong one.
        lengths: (B,), tokens.
        group: (B,), which group each answer belongs to.
        stops: (2,), the probabilities of stopping p.

    Returns:
        (2,).
    """
    advantages = group_relative(right.double(), group, scale=arm.scale)
    rows = advantages * (1 - lengths * stops[right]) / arm.denominator(lengths)
    return torch.zeros_like(stops).index_add(0, right, rows)


def push(solved: float) -> Push:
    """Return how hard a large group pulls if its answers are right with probability `solved`, exactly."""
    pulls = {True: 0.0, False: 0.0}
    for count in range(LARGE_GROUP + 1):
        chance = math.comb(LARGE_GROUP, count) * solved**count * (1 - solved) ** (LARGE_GROUP - count)
        right = (torch.arange(LARGE_GROUP) < count).double()
        for scale in pulls:
            advantages = group_relative(right, torch.zeros(LARGE_GROUP, dtype=torch.long), scale=scale)
            pulls[scale] += chance * float((advantages * (right - solved)).mean())
    return Push(solved, pulls[True], pulls[False])


def _one_run(arm: Arm, groups: int, updates: int, seed: int, job: Job) -> Curve:
    """Return the lengths of one run: sample batches and follow the slope."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(groups * GROUP) // GROUP
    logits = torch.full((2,), -math.log(START - 1), dtype=torch.float64)
    lengths = [1 / logits.sigmoid()]
    for update in range(updates):
        job.check()
        stops = logits.sigmoid()
        coin, chance = torch.rand(2, len(group), generator=generator, dtype=torch.float64)
        right = (coin < 0.5).long()
        sampled = 1 + (chance.log() / torch.log1p(-stops[right])).floor()  # the waiting time for the first stop
        logits = logits + arm.rate * slope(arm, right, sampled, group, stops)
        if (update + 1) % MARK == 0:
            lengths.append(1 / logits.sigmoid())
    wrong_path, right_path = (tuple(round(length, 3) for length in path) for path in torch.stack(lengths).T.tolist())
    return Curve(arm.name, groups, seed, wrong_path, right_path)
