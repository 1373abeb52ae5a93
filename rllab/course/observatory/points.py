"""What is seen of a policy that is pressed against a proxy: how far it is, what both judges say, what it wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.maths.masking import masked_sum
from rllab.policy.generation import generate
from rllab.reward.reward import Reward
from rllab.trainer.stages import derived_seed
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

SURE = 3.0  # standard errors that gold has to fall before it counts as fallen: the highest of many is partly luck


@dataclass(frozen=True)
class Sample:
    """One response with what both judges say of it."""

    prompt: str
    response: str
    proxy: float
    gold: float


@dataclass(frozen=True)
class Point:
    """A policy measured: how far it is from the reference, and what it earns."""

    step: int  # updates done, or n of best-of-n
    kl: float  # nats per response
    proxy: float
    gold: float
    gold_error: float  # standard error of the mean
    length: float  # tokens
    variety: float  # different tokens for each token written: 1 never repeats, near 0 says one word over and over
    samples: tuple[Sample, ...]

    @property
    def d(self) -> float:
        """Return the square root of the KL, the distance in which both forms are stated."""
        return math.sqrt(max(self.kl, 0.0))


@dataclass(frozen=True)
class Curve:
    """One method's way from the reference; the first point is the reference itself."""

    method: str
    points: tuple[Point, ...]

    @property
    def peak(self) -> Point:
        """Return the point of the highest gold."""
        return max(self.points, key=lambda point: point.gold)

    @property
    def over_optimised(self) -> bool:
        """Tell whether gold rose from the start, and had surely fallen by the end, while the proxy ended higher."""
        first, peak, last = self.points[0], self.peak, self.points[-1]
        error = SURE * math.hypot(peak.gold_error, last.gold_error)
        inside = first.step < peak.step < last.step
        return inside and peak.gold - last.gold > error and last.proxy > peak.proxy


def measure(
    world: World,
    *,
    step: int,
    prompts: Sequence[str] | None = None,
    samples: int = 96,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Point:
    """Write responses with a world's policy and let proxy, gold and reference judge them."""
    gold = gold_of(world)
    asked = world.prompts if prompts is None else prompts
    rows = generate(
        world.policy,
        [asked[number % len(asked)] for number in range(samples)],
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        seed=derived_seed(seed, "observatory"),
        job=job.quiet(),
    )
    seen = evaluate(world.policy, rows, reference=world.reference, temperature=world.objective.temperature, job=job)
    proxy, true = world.reward.score(rows).total.double(), gold.score(rows).total.double()
    told = zip(rows.prompts, rows.responses, proxy.tolist(), true.tolist(), strict=True)
    return Point(
        step=step,
        kl=float(masked_sum(seen.exact_kl, seen.response_mask, dim=1).mean()),
        proxy=float(proxy.mean()),
        gold=float(true.mean()),
        gold_error=float(true.std()) / samples**0.5,
        length=float(rows.lengths.double().mean()),
        variety=float(varieties(rows).mean()),
        samples=tuple(Sample(*one) for one in told),
    )


def varieties(rows: Sequences) -> Tensor:
    """Return the number of different tokens for each token that a response writes, (B,)."""
    written = [rows.response_ids(row) for row in range(len(rows))]
    return torch.tensor([len(set(ids)) / max(len(ids), 1) for ids in written], dtype=torch.float64)


def first_hacked(curve: Curve) -> tuple[Point, Sample] | None:
    """Return the first response that the proxy loves and gold does not, and where it was written; or None.

    Loved: above every response measured of the reference, so that chance finds none. Not: a standard deviation below
    the reference's mean gold. Of several at one point it is the one with the widest gap.
    """
    start = curve.points[0].samples
    golds = torch.tensor([sample.gold for sample in start], dtype=torch.float64)
    high, low = max(sample.proxy for sample in start), float(golds.mean() - golds.std())
    for point in curve.points[1:]:
        hacked = [sample for sample in point.samples if sample.proxy > high and sample.gold < low]
        if hacked:
            return point, max(hacked, key=lambda sample: sample.proxy - sample.gold)
    return None


def gold_of(world: World) -> Reward:
    """Return the judge of what we really want; a world without one cannot be observed."""
    if world.gold is None:
        raise LabError(
            "world", world.name, "it has no gold judge, so over-optimisation cannot be seen; choose micro or tales"
        )
    return world.gold
