"""Over-optimisation: a policy is pressed against a proxy, while gold only watches."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rllab.errors import LabError, Stopped
from rllab.evaluation import evaluate
from rllab.generation import Progress, generate
from rllab.maths.masking import masked_sum
from rllab.reward import Reward
from rllab.stages import derived_seed
from rllab.worlds.world import World

NEAR = 0.3  # square root of nats: closer to the start the logarithmic form has no meaning
SURE = 2.0  # standard errors that gold has to fall before it counts as fallen


class Run(Protocol):
    """What can be watched: a run with a world of its own."""

    @property
    def world(self) -> World:
        """Return the world with the policy as it is now."""
        ...

    def run(self, n: int, *, stop: threading.Event | None = None, progress: Progress | None = None) -> None:
        """Do n updates."""
        ...


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
    distinct: float  # share of different responses
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


@dataclass(frozen=True)
class Form:
    """A law of gold over d fitted to a curve (Gao et al. 2023): gold - gold_0 = d (alpha - beta f(d))."""

    name: str
    alpha: float
    beta: float
    r2: float
    aic: float
    peak: float  # the d at which it is highest; infinite where it never falls

    def at(self, d: float) -> float:
        """Return the gain of gold at a distance."""
        return d * (self.alpha - self.beta * LAWS[self.name](torch.tensor(d)).item())


LAWS: Mapping[str, Callable[[Tensor], Tensor]] = {"d(α − βd)": torch.abs, "d(α − β log d)": torch.log}  # d > 0
PEAKS: Mapping[str, Callable[[float], float]] = {  # of alpha / beta
    "d(α − βd)": lambda ratio: ratio / 2,
    "d(α − β log d)": lambda ratio: math.exp(min(ratio - 1, 700.0)),
}


def watch(
    run: Run,
    *,
    method: str,
    updates: int,
    every: int = 5,
    prompts: Sequence[str] | None = None,
    samples: int = 96,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Let a run go on, and measure its policy on the same prompts and noise every few updates.

    Stopped, it returns what was measured so far.
    """
    if every < 1:
        raise LabError("every", every, "measure after each update at the most often, so give at least 1")
    points = [measure(run.world, step=0, prompts=prompts, samples=samples, seed=seed, stop=stop)]
    try:
        for done in range(0, updates, every):
            run.run(min(every, updates - done), stop=stop)
            if stop is not None and stop.is_set():
                break
            step = min(done + every, updates)
            points.append(measure(run.world, step=step, prompts=prompts, samples=samples, seed=seed, stop=stop))
            if progress is not None:
                last = points[-1]
                progress(step, updates, f"{method}: proxy {last.proxy:.2f}, gold {last.gold:.2f}, KL {last.kl:.2f}")
    except Stopped:
        pass
    return Curve(method, tuple(points))


def measure(
    world: World,
    *,
    step: int,
    prompts: Sequence[str] | None = None,
    samples: int = 96,
    seed: int = 0,
    stop: threading.Event | None = None,
) -> Point:
    """Write responses with a world's policy and let proxy, gold and reference judge them."""
    gold = _gold(world)
    asked = world.prompts if prompts is None else prompts
    rows = generate(
        world.policy,
        [asked[number % len(asked)] for number in range(samples)],
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        seed=derived_seed(seed, "observatory"),
        stop=stop,
    )
    seen = evaluate(world.policy, rows, reference=world.reference, temperature=world.objective.temperature, stop=stop)
    proxy, true = world.reward.score(rows).total.double(), gold.score(rows).total.double()
    told = zip(rows.prompts, rows.responses, proxy.tolist(), true.tolist(), strict=True)
    return Point(
        step=step,
        kl=float(masked_sum(seen.exact_kl, seen.response_mask, dim=1).mean()),
        proxy=float(proxy.mean()),
        gold=float(true.mean()),
        gold_error=float(true.std()) / samples**0.5,
        length=float(rows.lengths.double().mean()),
        distinct=len(set(zip(rows.prompts, rows.responses, strict=True))) / samples,
        samples=tuple(Sample(*one) for one in told),
    )


def watch_best_of_n(
    world: World,
    ns: Sequence[int],
    *,
    prompts: Sequence[str] | None = None,
    seed: int = 0,
    stop: threading.Event | None = None,
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
        stop=stop,
    )
    proxy = world.reward.score(rows).total.double().reshape(-1, most)  # (prompts, N)
    gold, length = (one.double().reshape(-1, most) for one in (_gold(world).score(rows).total, rows.lengths))
    ranked = [one.gather(1, proxy.argsort(dim=1, stable=True)) for one in (proxy, gold, length)]
    points = []
    for n in sorted({1, *ns}):
        means = [(one * best_of_chances(most, n)).sum(dim=1) for one in ranked]  # by prompt
        best = [number * most + place for number, place in enumerate(proxy[:, :n].argmax(dim=1).tolist())]
        kept = [Sample(rows.prompts[row], rows.responses[row], *_both(proxy, gold, row)) for row in best]
        points.append(_best_point(n, *means, samples=kept))
    return Curve("best of n", tuple(points))


def _best_point(n: int, proxy: Tensor, gold: Tensor, length: Tensor, *, samples: Sequence[Sample]) -> Point:
    """Sum up the best of n: the means of each prompt, (prompts,), and the samples to read."""
    return Point(
        step=n,
        kl=math.log(n) - (n - 1) / n,
        proxy=float(proxy.mean()),
        gold=float(gold.mean()),
        gold_error=float(gold.std(unbiased=len(gold) > 1)) / len(gold) ** 0.5,
        length=float(length.mean()),
        distinct=len({(sample.prompt, sample.response) for sample in samples}) / len(samples),
        samples=tuple(samples),
    )


def _both(proxy: Tensor, gold: Tensor, row: int) -> tuple[float, float]:
    return float(proxy.flatten()[row]), float(gold.flatten()[row])


def best_of_chances(count: int, n: int) -> Tensor:
    """Return the chance of each rank, lowest first, to be the best of n drawn without return from `count`, (count,)."""
    rank = torch.arange(1, count + 1, dtype=torch.float64)
    ways = _log_choose(rank - 1, n - 1) - _log_choose(rank[-1], n)
    return torch.where(rank >= n, ways.exp(), 0.0)


def first_hacked(curve: Curve) -> tuple[Point, Sample] | None:
    """Return the first response that the proxy loves and gold does not, and where it was written; or None.

    Loved: above 19 of 20 responses of the reference. Not: a standard deviation below the reference's mean gold.
    Of several at one point it is the one with the widest gap.
    """
    start = curve.points[0].samples
    proxies = torch.tensor([sample.proxy for sample in start], dtype=torch.float64)
    golds = torch.tensor([sample.gold for sample in start], dtype=torch.float64)
    high, low = float(proxies.quantile(0.95)), float(golds.mean() - golds.std())
    for point in curve.points[1:]:
        hacked = [sample for sample in point.samples if sample.proxy > high and sample.gold < low]
        if hacked:
            return point, max(hacked, key=lambda sample: sample.proxy - sample.gold)
    return None


def fit_forms(d: Sequence[float], gain: Sequence[float]) -> list[Form]:
    """Fit both forms to the gain of gold over d, the better by AIC first; what is near 0 is left out."""
    kept = [(x, y) for x, y in zip(d, gain, strict=True) if x > NEAR]
    if len(kept) < 4:
        remedy = f"a form needs at least four measurements beyond d = {NEAR}; let the run go further"
        raise LabError("points", len(kept), remedy)
    x, y = (torch.tensor(side, dtype=torch.float64) for side in zip(*kept, strict=True))
    return sorted((_form(name, x, y) for name in LAWS), key=lambda form: form.aic)


def forms_of(curve: Curve) -> list[Form]:
    """Fit both forms to a curve."""
    start = curve.points[0].gold
    return fit_forms([point.d for point in curve.points], [point.gold - start for point in curve.points])


def _form(name: str, d: Tensor, gain: Tensor) -> Form:
    """Fit one form: it is linear in alpha and beta."""
    columns = torch.stack([d, -d * LAWS[name](d)], dim=1)
    alpha, beta = torch.linalg.lstsq(columns, gain[:, None]).solution[:, 0].tolist()
    left = float((gain - columns @ torch.tensor([alpha, beta], dtype=torch.float64)).square().sum())
    total = max(float((gain - gain.mean()).square().sum()), 1e-300)
    aic = len(gain) * math.log(max(left, 1e-300) / len(gain)) + 2 * 3  # alpha, beta and the spread
    peak = PEAKS[name](alpha / beta) if beta > 0 else math.inf
    return Form(name, alpha, beta, 1 - left / total, aic, peak)


def _log_choose(n: Tensor, k: int) -> Tensor:
    """Return log C(n, k); of no meaning where k > n."""
    return torch.lgamma(n + 1) - math.lgamma(k + 1) - torch.lgamma((n - k).clamp(min=0) + 1)


def _gold(world: World) -> Reward:
    if world.gold is None:
        raise LabError(
            "world", world.name, "it has no gold judge, so over-optimisation cannot be seen; choose micro or tales"
        )
    return world.gold
