"""Over-optimisation: a policy is optimised against a proxy by three methods, while gold only watches."""

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
from rllab.preferences.dpo import PreferenceConfig, train_dpo
from rllab.preferences.selection import label_pairs
from rllab.reward.reward import Reward
from rllab.trainer.stages import derived_seed
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

PPO, BEST_OF_N, DPO = "PPO", "best of n", "DPO"
SURE = 3.0  # standard errors that gold has to fall before it counts as fallen: the highest of many is partly luck


# ---- Measuring a policy: its distance from the reference, its scores, its samples ----


@dataclass(frozen=True)
class Sample:
    """One response with its scores."""

    prompt: str
    response: str
    proxy: float
    gold: float


@dataclass(frozen=True)
class Point:
    """One measurement of a policy: its distance from the reference, and its mean scores."""

    step: int  # updates done, or n of best-of-n
    kl: float  # nats per response
    proxy: float
    gold: float
    gold_error: float  # standard error of the mean
    length: float  # tokens
    variety: float  # different tokens per token: 1 without repetition, near 0 where one word is repeated
    samples: tuple[Sample, ...]

    @property
    def d(self) -> float:
        """Return the square root of the KL, the distance in which both laws are stated."""
        return math.sqrt(max(self.kl, 0.0))


@dataclass(frozen=True)
class Curve:
    """The measurements of one method; the first point is the reference itself."""

    method: str
    points: tuple[Point, ...]

    @property
    def peak(self) -> Point:
        """Return the point of the highest gold."""
        return max(self.points, key=lambda point: point.gold)

    @property
    def over_optimised(self) -> bool:
        """Return whether gold rose at first and had surely fallen by the end, while the proxy ended higher."""
        first, peak, last = self.points[0], self.peak, self.points[-1]
        error = SURE * math.hypot(peak.gold_error, last.gold_error)
        inside = first.step < peak.step < last.step
        return inside and peak.gold - last.gold > error and last.proxy > peak.proxy


def measure(world: World, *, step: int, samples: int = 96, seed: int = 0, job: Job = NO_JOB) -> Point:
    """Sample responses to a world's prompts, and score them by proxy, gold and reference.

    Args:
        world: The world with the policy to measure.
        step: The number of updates that this policy has had.
        samples: The number of responses.
        seed: Of the samples.
        job: Stops the measurement.

    Raises:
        LabError: If the world has no gold judge.
    """
    gold = gold_of(world)
    rows = generate(
        world.policy,
        [world.prompts[row % len(world.prompts)] for row in range(samples)],
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        seed=derived_seed(seed, "observatory"),
        job=job.quiet(),
    )
    seen = evaluate(world.policy, rows, reference=world.reference, temperature=world.objective.temperature, job=job)
    proxy, true = world.reward.score(rows).total.double(), gold.score(rows).total.double()
    fields = zip(rows.prompts, rows.responses, proxy.tolist(), true.tolist(), strict=True)
    return Point(
        step=step,
        kl=float(masked_sum(seen.exact_kl, seen.response_mask, dim=1).mean()),
        proxy=float(proxy.mean()),
        gold=float(true.mean()),
        gold_error=float(true.std()) / samples**0.5,
        length=float(rows.lengths.double().mean()),
        variety=float(varieties(rows).mean()),
        samples=tuple(Sample(*sample) for sample in fields),
    )


def varieties(rows: Sequences) -> Tensor:
    """Return the number of different tokens per token of each response, (B,).

    Args:
        rows: The responses.
    """
    responses = [rows.response_ids(row) for row in range(len(rows))]
    return torch.tensor([len(set(ids)) / max(len(ids), 1) for ids in responses], dtype=torch.float64)


def gold_of(world: World) -> Reward:
    """Return the judge of what we really want.

    Args:
        world: The world to observe.

    Raises:
        LabError: If it has no gold judge.
    """
    if world.gold is None:
        remedy = "it has no gold judge, so over-optimisation cannot be seen; choose micro or tales"
        raise LabError("world", world.name, remedy)
    return world.gold


def first_hacked(curve: Curve) -> tuple[Point, Sample] | None:
    """Return the first hacked response: the proxy loves it and gold does not.

    Loved: above every response of the reference, so that chance finds none. Not: a standard deviation below the
    reference's mean gold. Of several at one point it is the response with the widest gap.

    Args:
        curve: The measurements to search.

    Returns:
        Where it was sampled and the response, or None.
    """
    start = curve.points[0].samples
    golds = torch.tensor([sample.gold for sample in start], dtype=torch.float64)
    high, low = max(sample.proxy for sample in start), float(golds.mean() - golds.std())
    for point in curve.points[1:]:
        hacked = [sample for sample in point.samples if sample.proxy > high and sample.gold < low]
        if hacked:
            return point, max(hacked, key=lambda sample: sample.proxy - sample.gold)
    return None


# ---- Best of n ----


def watch_best_of_n(
    world: World, ns: Sequence[int], *, prompts: Sequence[str] | None = None, seed: int = 0, job: Job = NO_JOB
) -> Curve:
    """Return gold and proxy of the best of n by the proxy, for every n from the same samples.

    Of N samples of a prompt, the one of rank i is the best of n with probability C(i-1, n-1) / C(N, n), so every
    sample serves every n. The KL is its bound log n - (n - 1)/n. One best-of-n sample per prompt is kept to be read.

    Args:
        world: Its policy samples, its proxy chooses.
        ns: The values of n; 1 is added.
        prompts: By default the world's.
        seed: Of the samples.
        job: Stops the sampling.

    Raises:
        LabError: If an n is below 1, or the world has no gold judge.
    """
    if not ns or min(ns) < 1:
        raise LabError("n", tuple(ns), "draw at least one response")
    most = 2 * max(ns)
    rows = generate(
        world.policy,
        list(world.prompts if prompts is None else prompts),
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        samples_per_prompt=most,
        seed=derived_seed(seed, "best of n"),
        job=job.quiet(),
    )
    columns = (world.reward.score(rows).total, gold_of(world).score(rows).total, rows.lengths, varieties(rows))
    measures = [column.double().reshape(-1, most) for column in columns]  # (prompts, N) each
    ranks = measures[0].argsort(dim=1, stable=True)
    scores = [column.flatten().tolist() for column in measures[:2]]
    points = []
    for n in sorted({1, *ns}):
        chances = best_of_chances(most, n)
        proxy, gold, length, variety = ((column.gather(1, ranks) * chances).sum(dim=1) for column in measures)
        best = [at * most + place for at, place in enumerate(measures[0][:, :n].argmax(dim=1).tolist())]
        point = Point(
            step=n,
            kl=math.log(n) - (n - 1) / n,
            proxy=float(proxy.mean()),
            gold=float(gold.mean()),
            gold_error=float(gold.std(unbiased=len(gold) > 1)) / len(gold) ** 0.5,
            length=float(length.mean()),
            variety=float(variety.mean()),
            samples=tuple(
                Sample(rows.prompts[row], rows.responses[row], scores[0][row], scores[1][row]) for row in best
            ),
        )
        points.append(point)
    return Curve(BEST_OF_N, tuple(points))


def best_of_chances(count: int, n: int) -> Tensor:
    """Return the probability of each rank to be the best of n drawn without replacement, (count,), lowest rank first.

    Args:
        count: The number of samples to draw from.
        n: The number of samples drawn.
    """

    def log_choose(total: Tensor, k: int) -> Tensor:  # without meaning where k > total
        return torch.lgamma(total + 1) - math.lgamma(k + 1) - torch.lgamma((total - k).clamp(min=0) + 1)

    rank = torch.arange(1, count + 1, dtype=torch.float64)
    ways = log_choose(rank - 1, n - 1) - log_choose(rank[-1], n)
    return torch.where(rank >= n, ways.exp(), 0.0)


# ---- Two laws of over-optimisation, fitted to the gain of gold (Gao et al. 2023) ----

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
        """Return the gain of gold at a distance.

        Args:
            d: The distance, in square roots of nats.
        """
        return d * (self.alpha - self.beta * LAWS[self.name](torch.tensor(d)).item())


LAWS: Mapping[str, Callable[[Tensor], Tensor]] = {"d(α − βd)": torch.abs, "d(α − β log d)": torch.log}  # d > 0
PEAKS: Mapping[str, Callable[[float], float]] = {  # of alpha / beta
    "d(α − βd)": lambda ratio: ratio / 2,
    "d(α − β log d)": lambda ratio: math.exp(min(ratio - 1, 700.0)),
}


def fit_forms(d: Sequence[float], gain: Sequence[float]) -> list[Form]:
    """Fit both laws by least squares; they are linear in alpha and beta.

    Args:
        d: The distances; those up to NEAR are left out.
        gain: The gain of gold at each.

    Returns:
        Both forms, the better by AIC first.

    Raises:
        LabError: If fewer than four measurements are left.
    """
    kept = [(x, y) for x, y in zip(d, gain, strict=True) if x > NEAR]
    if len(kept) < 4:
        remedy = f"a form needs at least four measurements beyond d = {NEAR}; continue the run"
        raise LabError("points", len(kept), remedy)
    x, y = (torch.tensor(side, dtype=torch.float64) for side in zip(*kept, strict=True))
    total = max(float((y - y.mean()).square().sum()), 1e-300)
    forms = []
    for name, law in LAWS.items():
        columns = torch.stack([x, -x * law(x)], dim=1)
        coefficients = torch.linalg.lstsq(columns, y[:, None]).solution[:, 0]
        alpha, beta = coefficients.tolist()
        left = float((y - columns @ coefficients).square().sum())
        aic = len(y) * math.log(max(left, 1e-300) / len(y)) + 2 * 3  # alpha, beta and the spread
        peak = PEAKS[name](alpha / beta) if beta > 0 else math.inf
        forms.append(Form(name, alpha, beta, 1 - left / total, aic, peak))
    return sorted(forms, key=lambda form: form.aic)


def forms_of(curve: Curve) -> list[Form]:
    """Fit both laws to a curve, the better first.

    Args:
        curve: The measurements.

    Raises:
        LabError: If there are too few of them.
    """
    start = curve.points[0].gold
    return fit_forms([point.d for point in curve.points], [point.gold - start for point in curve.points])


# ---- Watching a run: after every few updates its policy is measured with the same prompts and noise ----


class Run(Protocol):
    """What can be watched: a run with a world and a history."""

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
    """A run and its measurements; after a stop the next call continues.

    Args:
        run: The run.
        method: Its name on the curve.
        every: Updates between two measurements.
        samples: Responses of a measurement.
        seed: Of the responses.

    Raises:
        LabError: If the world has no gold judge, or a count is not positive.
    """

    def __init__(self, run: Run, *, method: str, every: int = 5, samples: int = 96, seed: int = 0) -> None:
        gold_of(run.world)
        check_count("every", every)
        check_count("samples", samples)
        self.run, self.method, self.every, self.samples, self.seed = run, method, every, samples, seed
        self.points: tuple[Point, ...] = ()
        self._first = len(run.history)

    @property
    def curve(self) -> Curve:
        """Return the measurements so far."""
        return Curve(self.method, self.points)

    @property
    def done(self) -> int:
        """Return how many updates were watched."""
        return len(self.run.history) - self._first

    def advance(self, updates: int, *, job: Job = NO_JOB, before: Callable[[], None] = lambda: None) -> None:
        """Do more updates, and measure; an update that is stopped leaves no trace.

        Args:
            updates: The number of updates.
            job: Stops the run, and receives the progress.
            before: Is called before each update.

        Raises:
            LabError: If the number of updates is not a positive integer.
        """
        check_count("updates", updates)
        first = self.done
        try:
            if not self.points:
                self._measure(job)
            while self.done < first + updates:
                self._report(first, updates, job)
                before()
                self.run.run(1, job=job.quiet())
                if job.stopped:
                    return
                if self.done % self.every == 0 or self.done == first + updates:
                    self._measure(job)
            self._report(first, updates, job)
        except Stopped:
            pass

    def _measure(self, job: Job) -> None:
        point = measure(self.run.world, step=self.done, samples=self.samples, seed=self.seed, job=job)
        self.points = (*self.points, point)

    def _report(self, first: int, updates: int, job: Job) -> None:
        last = self.points[-1]
        words = f"{self.method}, update {self.done}: proxy {last.proxy:.2f}, KL {last.kl:.2f} nats at {last.step}"
        job.report(self.done - first, updates, words)


# ---- Three methods against one proxy ----


@dataclass(frozen=True)
class Plan:
    """How often a policy is measured, and the settings of the two methods other than PPO."""

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
    """A world whose policy is optimised against its proxy by PPO, best of n and DPO, each on its own copies.

    Args:
        world: The world, with a gold judge.
        kl_coef: PPO's KL coefficient at the start.
        seed: Of all three methods and of the measurements.
        plan: How often the policies are measured.

    Raises:
        LabError: If the world has no gold judge, or the coefficient is out of range.
    """

    def __init__(self, world: World, *, kl_coef: float = 0.0, seed: int = 0, plan: Plan | None = None) -> None:
        gold_of(world)
        self.world, self.seed, self.plan = world, seed, plan or Plan()
        self.trainer = Trainer(world, "ppo", world.config("ppo", kl_coef=kl_coef), seed=seed)
        self.steered: tuple[Steered, ...] = (Steered(0, kl_coef),)
        self._wanted = kl_coef
        self._ppo = self._watch(self.trainer, PPO)
        self._dpo: Watch | None = None
        self._best: Curve | None = None

    @property
    def curves(self) -> Mapping[str, Curve]:
        """Return the measurements of each method that has been started, by its name."""
        dpo = self._dpo.curve if self._dpo is not None else None
        known = (self._ppo.curve, self._best, dpo)
        return {curve.method: curve for curve in known if curve is not None and curve.points}

    @property
    def kl_coef(self) -> float:
        """Return the KL coefficient that PPO's next update will use, in proxy units per nat."""
        return self._wanted

    def steer(self, kl_coef: float) -> None:
        """Change PPO's KL coefficient, from the next update on.

        Args:
            kl_coef: Proxy units per nat.

        Raises:
            LabError: If it is out of range.
        """
        self.trainer.config.replace(kl_coef=kl_coef)  # raises now
        self._wanted = kl_coef

    def ppo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do more updates of PPO.

        Args:
            updates: The number of updates.
            job: Stops the run, and receives the progress.
        """

        def take_coefficient() -> None:
            if self._wanted != self.steered[-1].kl_coef:
                self.trainer.configure(kl_coef=self._wanted)
                self.steered = (*self.steered, Steered(self.trainer.index, self._wanted))

        self._ppo.advance(updates, job=job, before=take_coefficient)

    def dpo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do more updates of DPO, on pairs of the reference's responses that the proxy, with noise, has labelled.

        Args:
            updates: The number of updates.
            job: Stops the run, and receives the progress.
        """
        if self._dpo is None:
            judged, judges = self.world.replace(gold=self.world.reward), {"proxy": (self.plan.noise, 0.0)}
            pairs = label_pairs(judged, judges, count=self.plan.pairs, seed=self.seed, job=job)
            trainer = train_dpo(self.world, pairs, config=PreferenceConfig(beta=self.plan.beta), seed=self.seed)
            self._dpo = self._watch(trainer, DPO)
        self._dpo.advance(updates, job=job)

    def best_of_n(self, *, job: Job = NO_JOB) -> None:
        """Choose the best of n by the proxy, for every n of the plan.

        Args:
            job: Stops the sampling.
        """
        job.report(0, 0, f"sampling {2 * max(self.plan.ns)} responses to each of {self.plan.prompts} prompts")
        prompts = self.world.prompts[: self.plan.prompts]
        self._best = watch_best_of_n(self.world, self.plan.ns, prompts=prompts, seed=self.seed, job=job)

    def _watch(self, run: Run, method: str) -> Watch:
        return Watch(run, method=method, every=self.plan.every, samples=self.plan.samples, seed=self.seed)
