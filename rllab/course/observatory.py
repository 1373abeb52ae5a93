"""Over-optimisation: a policy is pressed against a proxy, while gold only watches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rllab.core.config import check_count
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences, UpdateRecord
from rllab.maths.masking import masked_sum
from rllab.policy.generation import generate
from rllab.preferences.pairs import Pair
from rllab.preferences.selection import label_pairs
from rllab.preferences.training import PreferenceConfig, train_dpo
from rllab.reward.reward import Reward
from rllab.trainer.stages import derived_seed
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

# ---- What is seen of a policy that is pressed against a proxy: how far it is, what both judges say, what  ----

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
        samples=tuple(Sample(*fields) for fields in told),
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


# ---- The best of n by a proxy, for every n out of the same samples ----


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
    gold, length, variety = (measure.double().reshape(-1, most) for measure in others)
    ranked = [measure.gather(1, proxy.argsort(dim=1, stable=True)) for measure in (proxy, gold, length, variety)]
    points = []
    for n in sorted({1, *ns}):
        means = [(measure * best_of_chances(most, n)).sum(dim=1) for measure in ranked]  # by prompt
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


# ---- Two laws of over-optimisation, fitted to what gold did (Gao et al. 2023) ----

NEAR = 0.3  # square root of nats: closer to the start the logarithmic form has no meaning


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


# ---- A run that is watched: after every few updates its policy is measured on the same prompts and noise ----


class Run(Protocol):
    """What can be watched: a run with a world and a past of its own."""

    @property
    def world(self) -> World:
        """Return the world with the policy as it is now."""
        ...

    @property
    def history(self) -> Sequence[UpdateRecord]:
        """Return the updates done."""
        ...

    def run(self, n: int, *, job: Job = NO_JOB) -> None:
        """Do n updates."""
        ...


class Watch:
    """A run and what has been measured of it; stopped, it goes on from where it is."""

    def __init__(
        self,
        run: Run,
        *,
        method: str,
        every: int = 5,
        prompts: Sequence[str] | None = None,
        samples: int = 96,
        seed: int = 0,
    ) -> None:
        gold_of(run.world)  # says now that there is none
        check_count("every", every)
        check_count("samples", samples)
        self.run, self.method, self.every = run, method, every
        self.prompts, self.samples, self.seed = prompts, samples, seed
        self.points: tuple[Point, ...] = ()
        self._first = len(run.history)

    @property
    def curve(self) -> Curve:
        """Return what has been measured so far."""
        return Curve(self.method, self.points)

    @property
    def done(self) -> int:
        """Return how many updates were watched."""
        return len(self.run.history) - self._first

    def go_on(self, updates: int, *, job: Job = NO_JOB, before: Callable[[], None] = lambda: None) -> None:
        """Do so many updates more; `before` is called before each of them. An unfinished one leaves no trace."""
        check_count("updates", updates)
        first = self.done
        try:
            if not self.points:
                self._measure(job)
            while self.done < first + updates:
                self._say(first, updates, job)
                before()
                self.run.run(1, job=job.quiet())
                if job.stopped:
                    return
                if self.done % self.every == 0 or self.done == first + updates:
                    self._measure(job)
            self._say(first, updates, job)
        except Stopped:
            pass

    def _measure(self, job: Job) -> None:
        world, step = self.run.world, self.done
        point = measure(world, step=step, prompts=self.prompts, samples=self.samples, seed=self.seed, job=job)
        self.points = (*self.points, point)

    def _say(self, first: int, updates: int, job: Job) -> None:
        last = self.points[-1]
        words = f"{self.method}, update {self.done}: proxy {last.proxy:.2f}, KL {last.kl:.2f} nats at {last.step}"
        job.report(self.done - first, updates, words)


def watch(
    run: Run,
    *,
    method: str,
    updates: int,
    every: int = 5,
    prompts: Sequence[str] | None = None,
    samples: int = 96,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Curve:
    """Let a run go on for some updates, and return its way; stopped, as much of it as was measured."""
    watched = Watch(run, method=method, every=every, prompts=prompts, samples=samples, seed=seed)
    watched.go_on(updates, job=job)
    return watched.curve


# ---- Three ways to press a policy against the proxy of its world, side by side, while gold only watches ----

PPO, BEST_OF_N, DPO = "PPO", "best of n", "DPO"


@dataclass(frozen=True)
class Plan:
    """How closely a policy is watched, and what the two methods other than PPO are given."""

    every: int = 3  # updates between two measurements
    samples: int = 64  # responses of a measurement
    ns: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    prompts: int = 16  # that best of n answers
    pairs: int = 512  # labelled by the proxy for DPO
    noise: float = 0.5  # of those labels, in units of the proxy
    beta: float = 0.1  # of DPO, proxy units per nat


@dataclass(frozen=True)
class Steered:
    """The KL coefficient from some update of PPO on."""

    step: int
    kl_coef: float  # proxy units per nat


class Observatory:
    """A world whose policy is pressed against its proxy by PPO, best of n and DPO, each on copies of its own."""

    def __init__(self, world: World, *, kl_coef: float = 0.0, seed: int = 0, plan: Plan | None = None) -> None:
        gold_of(world)  # says now that there is none
        self.world, self.seed, self.plan = world, seed, plan or Plan()
        self.trainer = Trainer(world, "ppo", world.config("ppo", kl_coef=kl_coef), seed=seed)
        self.steered: tuple[Steered, ...] = (Steered(0, kl_coef),)
        self._wanted = kl_coef
        self._ppo = self._watch(self.trainer, PPO)
        self._dpo: Watch | None = None
        self._best: Curve | None = None

    @property
    def curves(self) -> Mapping[str, Curve]:
        """Return what was measured of each method that has been begun."""
        dpo = self._dpo.curve if self._dpo is not None else None
        known = (self._ppo.curve, self._best, dpo)
        return {curve.method: curve for curve in known if curve is not None and curve.points}

    @property
    def kl_coef(self) -> float:
        """Return the KL coefficient that PPO's next update will use, in proxy units per nat."""
        return self._wanted

    def steer(self, kl_coef: float) -> None:
        """Change the price of KL in the middle of PPO's run; it holds from the next update on."""
        self.trainer.config.replace(kl_coef=kl_coef)  # says now what is wrong with it
        self._wanted = kl_coef

    def ppo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do so many updates of PPO more."""
        self._ppo.go_on(updates, job=job, before=self._take_coefficient)

    def dpo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do so many updates of DPO more, on pairs of the reference's responses that the proxy has labelled."""
        if self._dpo is None:
            pairs = self._label(job)
            trainer = train_dpo(self.world, pairs, config=PreferenceConfig(beta=self.plan.beta), seed=self.seed)
            self._dpo = self._watch(trainer, DPO)
        self._dpo.go_on(updates, job=job)

    def best_of_n(self, *, job: Job = NO_JOB) -> None:
        """Choose the best of n by the proxy, for every n of the plan."""
        job.report(0, 0, f"{2 * max(self.plan.ns)} responses to each of {self.plan.prompts} prompts are written")
        prompts = self.world.prompts[: self.plan.prompts]
        self._best = watch_best_of_n(self.world, self.plan.ns, prompts=prompts, seed=self.seed, job=job)

    def _watch(self, run: Run, method: str) -> Watch:
        return Watch(run, method=method, every=self.plan.every, samples=self.plan.samples, seed=self.seed)

    def _label(self, job: Job) -> list[Pair]:
        """Let the proxy, as a judge with noise, choose between responses of the reference."""
        judged = self.world.replace(gold=self.world.reward)
        judges = {"proxy": (self.plan.noise, 0.0)}
        return label_pairs(judged, judges, count=self.plan.pairs, seed=self.seed, job=job)

    def _take_coefficient(self) -> None:
        if self._wanted != self.steered[-1].kl_coef:
            self.trainer.configure(kl_coef=self._wanted)
            self.steered = (*self.steered, Steered(self.trainer.index, self._wanted))
