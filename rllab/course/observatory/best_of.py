"""The best of n by a proxy, for every n out of the same samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.course.observatory.points import Curve, Point, Sample, gold_of, varieties
from rllab.policy.generation import generate
from rllab.trainer.stages import derived_seed
from rllab.worlds.world import World


def watch_best_of_n(
    world: World, ns: Sequence[int], *, prompts: Sequence[str] | None = None, seed: int = 0, job: Job = NO_JOB
) -> Curve:
    """Choose the best of n by the proxy, for every n out of the same samples; the KL is its bound log n - (n - 1)/n.

    Out of N samples of a prompt, the one of rank i is the best of n with chance C(i-1, n-1) / C(N, n), so every
    sample serves every n. One best-of-n sample for each prompt is kept to be read.
    """
    if not ns or min(ns) < 1:
        raise LabError("n", tuple(ns), "draw at least one response")
    asked, most = list(world.prompts if prompts is None else prompts), 2 * max(ns)
    rows = generate(
        world.policy,
        asked,
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        samples_per_prompt=most,
        seed=derived_seed(seed, "best of n"),
        job=job.quiet(),
    )
    proxy = world.reward.score(rows).total.double().reshape(-1, most)  # (prompts, N)
    others = gold_of(world).score(rows).total, rows.lengths, varieties(rows)
    gold, length, variety = (one.double().reshape(-1, most) for one in others)
    ranked = [one.gather(1, proxy.argsort(dim=1, stable=True)) for one in (proxy, gold, length, variety)]
    points = []
    for n in sorted({1, *ns}):
        means = [(one * best_of_chances(most, n)).sum(dim=1) for one in ranked]  # by prompt
        best = [number * most + place for number, place in enumerate(proxy[:, :n].argmax(dim=1).tolist())]
        kept = [Sample(rows.prompts[row], rows.responses[row], *_both(proxy, gold, row)) for row in best]
        points.append(_best_point(n, *means, samples=kept))
    return Curve("best of n", tuple(points))


def _best_point(
    n: int, proxy: Tensor, gold: Tensor, length: Tensor, variety: Tensor, *, samples: Sequence[Sample]
) -> Point:
    """Sum up the best of n: the means of each prompt, (prompts,), and the samples to read."""
    return Point(
        step=n,
        kl=math.log(n) - (n - 1) / n,
        proxy=float(proxy.mean()),
        gold=float(gold.mean()),
        gold_error=float(gold.std(unbiased=len(gold) > 1)) / len(gold) ** 0.5,
        length=float(length.mean()),
        variety=float(variety.mean()),
        samples=tuple(samples),
    )


def _both(proxy: Tensor, gold: Tensor, row: int) -> tuple[float, float]:
    return float(proxy.flatten()[row]), float(gold.flatten()[row])


def best_of_chances(count: int, n: int) -> Tensor:
    """Return the chance of each rank, lowest first, to be the best of n drawn without return from `count`, (count,)."""
    rank = torch.arange(1, count + 1, dtype=torch.float64)
    ways = _log_choose(rank - 1, n - 1) - _log_choose(rank[-1], n)
    return torch.where(rank >= n, ways.exp(), 0.0)


def _log_choose(n: Tensor, k: int) -> Tensor:
    """Return log C(n, k); of no meaning where k > n."""
    return torch.lgamma(n + 1) - math.lgamma(k + 1) - torch.lgamma((n - k).clamp(min=0) + 1)
