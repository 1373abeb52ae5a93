"""The best of n by a proxy. What happens to gold depends on how the proxy is wrong where samples are rare.

- gaussian error: gold and proxy differ by chance alone; choosing harder always helps a little more.
- heavy tails: the proxy has rare, huge errors (Student's t with 3 degrees of freedom); the best of many is an error.
- keyword stuffing: gold likes a word until it is used too often, the proxy counts it.

The mean of the best of n is computed over all ways to draw n of the samples, so no n has noise of its own. Both laws of
over-optimisation are fitted and reported; which of them fits better is not claimed. Under Gaussian error neither bends
down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.observatory import best_of_chances, fit_forms
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

LIKED, TOO_MUCH = 1.0, 0.1  # gold of k keywords: LIKED k - TOO_MUCH k^2
LENGTH, SHARE = 24, 0.1  # words, and the probability that a word is the keyword
ROLES = {"gaussian": "policy", "heavy tails": "value", "keyword stuffing": "reward"}


@dataclass(frozen=True)
class Size:
    """How many seeds, samples of each, and the n to choose from."""

    seeds: int
    samples: int
    ns: tuple[int, ...]


@dataclass(frozen=True)
class Curve:
    """Gold and proxy of the best of n, for one kind of error and one seed."""

    kind: str
    seed: int
    gold: tuple[float, ...]  # by n
    proxy: tuple[float, ...]

    @property
    def peak(self) -> int:
        """Return the place of the highest gold among the n."""
        return max(range(len(self.gold)), key=lambda place: self.gold[place])

    @property
    def turns(self) -> bool:
        """Return whether gold is highest inside, and lower again at the largest n."""
        return 0 < self.peak < len(self.gold) - 1

    @property
    def humps(self) -> bool:
        """Return whether gold rises to one maximum inside and falls from there on."""
        up, down = self.gold[: self.peak + 1], self.gold[self.peak :]
        return self.turns and list(up) == sorted(up) and list(down) == sorted(down, reverse=True)

    @property
    def rises(self) -> bool:
        """Return whether the proxy rises with every n."""
        return list(self.proxy) == sorted(self.proxy)


@dataclass(frozen=True)
class Fitted:
    """One of the two forms, fitted to the mean curve of a kind that has a hump."""

    kind: str
    form: str
    alpha: float
    beta: float
    r2: float
    aic: float


@dataclass(frozen=True)
class Result:
    """All curves, and the forms fitted to their means, the better one first."""

    ns: tuple[int, ...]
    distances: tuple[float, ...]  # square root of log n - (n - 1)/n
    curves: tuple[Curve, ...]
    fits: tuple[Fitted, ...]

    def of(self, kind: str) -> list[Curve]:
        """Return the curves of one kind of error."""
        return [curve for curve in self.curves if curve.kind == kind]


POWERS = tuple(2**power for power in range(13))
FAST, WORKSHOP = Size(5, 20_000, POWERS[:11]), Size(5, 400_000, POWERS)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Sample, choose by the proxy, and fit both laws.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Gold and proxy of the best of n for each kind of error, and the fitted laws.
    """
    curves = []
    for seed in range(size.seeds):
        for kind, draw in KINDS.items():
            job.check()
            gold, proxy = draw(size.samples, torch.Generator().manual_seed(seed))
            curves.append(Curve(kind, seed, *best_of_means(gold, proxy, size.ns)))
        job.report(seed + 1, size.seeds, f"seed {seed}")
    n = torch.tensor(size.ns, dtype=torch.float64)
    distances = (n.log() - (n - 1) / n).clamp(min=0).sqrt().tolist()
    fits = []
    for kind in KINDS:
        mean = np.mean([curve.gold for curve in curves if curve.kind == kind], axis=0)
        forms = fit_forms(distances, (mean - mean[0]).tolist())
        fits += [Fitted(kind, form.name, form.alpha, form.beta, form.r2, form.aic) for form in forms]
    return Result(size.ns, tuple(distances), tuple(curves), tuple(fits))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    extreme = {kind: result.of(kind) for kind in ("heavy tails", "keyword stuffing")}
    fits = {kind: [fit for fit in result.fits if fit.kind == kind] for kind in extreme}
    return unmet(
        {
            "the proxy rises with every n": all(curve.rises for curve in result.curves),
            "under Gaussian error gold never turns": not any(curve.turns for curve in result.of("gaussian")),
            "under extreme errors gold has one maximum inside": all(
                curve.humps for curves in extreme.values() for curve in curves
            ),
            "both laws are fitted to each, the better one first": all(
                [fit.aic for fit in both] == sorted(fit.aic for fit in both) and len(both) == 2
                for both in fits.values()
            ),
            "both laws first rise and then fall": all(
                fit.alpha > 0 and fit.beta > 0 for both in fits.values() for fit in both
            ),
            "each kind has at least five seeds": min(len(result.of(kind)) for kind in KINDS) >= 5,
        }
    )


def best_of_gold(result: Result) -> Picture:
    """Draw gold over n for three ways in which a proxy can be wrong; mean over seeds.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome names the kinds after which gold falls again, joined by a plus sign, or "none".
    """
    lines, ends, falls = [], [], []
    for kind, role in ROLES.items():
        curves, name = result.of(kind), kind.replace("gaussian", "Gaussian")
        gold = np.mean([curve.gold for curve in curves], axis=0).tolist()
        lines.append(Line(name, result.ns, gold, role, mode="lines+markers"))
        peak = gold.index(max(gold))
        ends.append(f"{name} {fixed(gold[peak])} at n = {result.ns[peak]:,}, {fixed(gold[-1])} at {result.ns[-1]:,}")
        if sum(curve.turns for curve in curves) > len(curves) / 2:
            falls.append(kind)
    axes = Axes("n (logarithmic)", "gold of the best of n", log_x=True, ticks=result.ns[::2], around=0.0)
    words = f"The highest gold and the last: {'; '.join(ends)}. The proxy rises with every n in all three."
    return Picture(line_chart(lines, axes), words, "gold by n for three kinds of error", " + ".join(falls) or "none")


def best_of_means(gold: Tensor, proxy: Tensor, ns: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean gold and mean proxy of the best of each n by the proxy, over all ways to draw n of the samples.

    Equal proxies share their gold, as random draws would.

    Args:
        gold: (N,) of the samples.
        proxy: (N,), by which the best is chosen.
        ns: How many samples are drawn.

    Returns:
        Mean gold and mean proxy for each n.
    """
    values, place, count = torch.unique(proxy, return_inverse=True, return_counts=True)
    shared = torch.zeros_like(values).index_add(0, place, gold) / count
    order = proxy.argsort()
    ranked = shared[place[order]], proxy[order]
    chances = [best_of_chances(len(proxy), n) for n in ns]
    means = [tuple(float(scores @ chance) for chance in chances) for scores in ranked]
    return means[0], means[1]


def gaussian(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return sampled gold, and a proxy with an error of the same size."""
    gold, error = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    return gold, gold + error


def heavy_tails(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return sampled gold, and a proxy whose error is Student's t with three degrees of freedom."""
    gold, top = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    below = torch.randn(3, samples, generator=generator, dtype=torch.float64).square().mean(dim=0).sqrt()
    return gold, gold + top / below


def stuffing(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return gold and proxy of texts by how often they use the keyword: gold tires of it, the proxy does not."""
    count = (torch.rand(samples, LENGTH, generator=generator) < SHARE).sum(dim=1).double()
    noise = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    return LIKED * count - TOO_MUCH * count.square() + 0.5 * noise[0], count + 0.25 * noise[1]


KINDS: dict[str, Callable[[int, torch.Generator], tuple[Tensor, Tensor]]] = {
    "gaussian": gaussian,
    "heavy tails": heavy_tails,
    "keyword stuffing": stuffing,
}
