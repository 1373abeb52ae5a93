"""The best of n by a proxy. What gold does depends on how the proxy is wrong where few samples are.

- gaussian error: gold and proxy part by chance alone; choosing harder always helps a little more.
- heavy tails: the proxy has rare, huge errors (Student's t with 3 degrees); the best of many is an error.
- keyword stuffing: gold likes a word until it is said too often, the proxy counts it.

The mean of the best of n is computed over all ways to draw n of the samples, so no n has noise of its own. Both laws of
over-optimisation are fitted and reported; which one wins is not claimed. Under Gaussian error neither bends down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.observatory import best_of_chances, fit_forms

LIKED, TOO_MUCH = 1.0, 0.1  # gold of k keywords: LIKED k - TOO_MUCH k^2
LENGTH, SHARE = 24, 0.1  # words, and how likely each is the keyword


@dataclass(frozen=True)
class Size:
    """Seeds, samples of each, and the n to choose from."""

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
        """Tell whether gold is highest inside, and lower again at the largest n."""
        return 0 < self.peak < len(self.gold) - 1

    @property
    def humps(self) -> bool:
        """Tell whether gold rises to one maximum inside and falls ever after."""
        up, down = self.gold[: self.peak + 1], self.gold[self.peak :]
        return self.turns and list(up) == sorted(up) and list(down) == sorted(down, reverse=True)

    @property
    def rises(self) -> bool:
        """Tell whether the proxy rises with every n."""
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
    """Draw samples, choose by the proxy, and fit both forms."""
    curves = []
    for seed in range(size.seeds):
        for kind, draw in KINDS.items():
            job.check()
            gold, proxy = draw(size.samples, torch.Generator().manual_seed(seed))
            curves.append(Curve(kind, seed, *best_of_means(gold, proxy, size.ns)))
        job.report(seed + 1, size.seeds, f"seed {seed}")
    n = torch.tensor(size.ns, dtype=torch.float64)
    distances = (n.log() - (n - 1) / n).clamp(min=0).sqrt().tolist()
    fits = [fit for kind in KINDS for fit in _fits(kind, distances, [one for one in curves if one.kind == kind])]
    return Result(size.ns, tuple(distances), tuple(curves), tuple(fits))


def best_of_means(gold: Tensor, proxy: Tensor, ns: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean gold and mean proxy of the best of each n by the proxy, over all ways to draw n of the samples.

    Equal proxies share their gold, as chance would draw them.
    """
    values, place, count = torch.unique(proxy, return_inverse=True, return_counts=True)
    shared = torch.zeros_like(values).index_add(0, place, gold) / count
    order = proxy.argsort()
    ranked = shared[place[order]], proxy[order]
    chances = [best_of_chances(len(proxy), n) for n in ns]
    means = [tuple(float(one @ chance) for chance in chances) for one in ranked]
    return means[0], means[1]


def gaussian(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw gold, and a proxy with an error of the same size."""
    gold, error = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    return gold, gold + error


def heavy_tails(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw gold, and a proxy whose error is Student's t with three degrees of freedom."""
    gold, top = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    below = torch.randn(3, samples, generator=generator, dtype=torch.float64).square().mean(dim=0).sqrt()
    return gold, gold + top / below


def stuffing(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw how often a text says the keyword: gold tires of it, the proxy does not."""
    said = torch.rand(samples, LENGTH, generator=generator) < SHARE
    count = said.sum(dim=1).double()
    noise = torch.randn(2, samples, generator=generator, dtype=torch.float64)
    return LIKED * count - TOO_MUCH * count.square() + 0.5 * noise[0], count + 0.25 * noise[1]


def _fits(kind: str, distances: list[float], curves: list[Curve]) -> list[Fitted]:
    """Fit both forms to the mean curve."""
    mean = torch.tensor([one.gold for one in curves], dtype=torch.float64).mean(dim=0)
    found = fit_forms(distances, (mean - mean[0]).tolist())
    return [Fitted(kind, form.name, form.alpha, form.beta, form.r2, form.aic) for form in found]


KINDS: dict[str, Callable[[int, torch.Generator], tuple[Tensor, Tensor]]] = {
    "gaussian": gaussian,
    "heavy tails": heavy_tails,
    "keyword stuffing": stuffing,
}
