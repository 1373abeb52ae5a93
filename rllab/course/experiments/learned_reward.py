"""RL on a learned reward. The reward model stays accurate on the texts it was fitted to, and yet becomes wrong.

A text is 24 words drawn independently from the policy's own distribution. Gold likes some words, and tires of a word
that is repeated; a linear reward model is fitted to labelled pairs of texts of the reference. Optimised hard enough the
policy repeats one word: the proxy likes it best, gold least. More pairs delay that, and not for long: no number of
pairs of the reference's texts shows how gold scores texts that the reference never writes.

The targets were a reward model of the same accuracy for 100, 1,000 and 10,000 pairs (0.74 to 0.76), with gold highest
at 3.7, 4.0 and 6.4 nats. Here the accuracy grows a little with the pairs and the peaks are further out; what is
claimed is one maximum in nearly every run, a proxy that always rises, and a peak that is later with 10,000 pairs than
with 100 on average over seeds, because on some seeds few pairs happen to be lucky. Read the last claim as weak: the
interval's lower end is close to 0, 1,000 and 10,000 pairs do not differ, and the task was chosen among about nine as
the nearest to the targets.
The law d(alpha - beta d) fits better than d(alpha - beta log d) here, as it did there; that is reported, not claimed.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.observatory import fit_forms
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

WORDS, LENGTH = 20, 24
LIKES, TIRES = 0.3, 0.05  # how much words differ to gold, and its deduction for each square of a count
BATCH, RATE = 256, 0.03
PLACES = 5  # decimals that are kept
WIGGLE = 0.05  # of the whole span of gold: how far it may fall on its way up, or rise on its way down
LATER = 1.1  # a peak that is further away by this factor is later
ROLES = ("policy", "value", "reward")  # colours of lines that have no meaning of their own


@dataclass(frozen=True)
class Size:
    """How many pairs the reward models see, seeds, updates of each run, and updates between two measurements."""

    pairs: tuple[int, ...]
    seeds: int
    updates: int
    every: int


@dataclass(frozen=True)
class Curve:
    """One run: every few updates, the KL in nats per text, and the expected proxy and gold, exactly."""

    pairs: int
    seed: int
    accuracy: float  # of the reward model, on fresh labels
    kl: tuple[float, ...]
    proxy: tuple[float, ...]
    gold: tuple[float, ...]

    @property
    def peak(self) -> int:
        """Return the place of the highest gold."""
        return max(range(len(self.gold)), key=lambda place: self.gold[place])

    @property
    def humps(self) -> bool:
        """Return whether gold climbs to one maximum inside and falls from there to below its start."""
        up, down = self.gold[: self.peak + 1], self.gold[self.peak :]
        back = max(max(up[: at + 1]) - up[at] for at in range(len(up)))
        again = max(down[at] - min(down[: at + 1]) for at in range(len(down)))
        smooth = max(back, again) <= WIGGLE * (max(self.gold) - min(self.gold))
        return 0 < self.peak < len(self.gold) - 1 and smooth and self.gold[-1] < self.gold[0]

    @property
    def rises(self) -> bool:
        """Return whether the proxy rises at every measurement."""
        return all(before < after for before, after in itertools.pairwise(self.proxy))


@dataclass(frozen=True)
class Fitted:
    """One of the two laws, fitted to one run."""

    pairs: int
    seed: int
    form: str
    alpha: float
    beta: float
    r2: float
    aic: float


@dataclass(frozen=True)
class Result:
    """All runs, and both laws fitted to each, the better one first."""

    curves: tuple[Curve, ...]
    fits: tuple[Fitted, ...]

    def of(self, pairs: int) -> list[Curve]:
        """Return the runs on reward models of so many pairs, by seed."""
        return [curve for curve in self.curves if curve.pairs == pairs]

    def peak_kl(self, pairs: int) -> list[float]:
        """Return the KL at which gold was highest, by seed."""
        return [curve.kl[curve.peak] for curve in self.of(pairs)]

    def put_off(self, few: int, many: int) -> tuple[float, float, float]:
        """Return how much later gold peaks with many pairs than with few.

        Args:
            few: Pairs of the earlier peak.
            many: Pairs of the later peak.

        Returns:
            The mean over paired seeds in nats, and both ends of its 95% interval, a bootstrap of the seeds.
        """
        gaps = torch.tensor(self.peak_kl(many), dtype=torch.float64) - torch.tensor(self.peak_kl(few))
        drawn = torch.randint(len(gaps), (10_000, len(gaps)), generator=torch.Generator().manual_seed(0))
        low, high = gaps[drawn].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return float(gaps.mean()), low, high


FAST, WORKSHOP = Size((100, 10_000), 5, 300, 5), Size((100, 1_000, 10_000), 20, 400, 5)


@dataclass(frozen=True)
class Task:
    """How gold scores words, and how often the reference writes them."""

    likes: Tensor  # (V,): gold of each word
    shares: Tensor  # (V,): the reference's probabilities

    def gold(self, counts: Tensor) -> Tensor:
        """Return gold of texts by how often they use each word, (..., V) -> (...)."""
        return counts @ self.likes - TIRES * counts.square().sum(dim=-1)

    def expected_gold(self, shares: Tensor) -> float:
        """Return gold's mean over all texts of a policy, exactly: E[c^2] = T p (1 - p) + T^2 p^2."""
        squares = LENGTH * shares * (1 - shares) + (LENGTH * shares).square()
        return float(LENGTH * (shares @ self.likes) - TIRES * squares.sum())

    def kl(self, shares: Tensor) -> float:
        """Return the KL of a policy from the reference, in nats per text."""
        return float(LENGTH * (shares * (shares / self.shares).log()).sum())


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Fit reward models to few and many pairs, and train a policy on each.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The curves of all runs, and the laws fitted to them.
    """
    curves, fits = [], []
    for seed in range(size.seeds):
        for pairs in size.pairs:
            curve = _one_run(pairs, size, seed=seed, job=job)
            d = [max(kl, 0.0) ** 0.5 for kl in curve.kl]
            found = fit_forms(d, [gold - curve.gold[0] for gold in curve.gold])
            curves.append(curve)
            fits += [Fitted(pairs, seed, form.name, form.alpha, form.beta, form.r2, form.aic) for form in found]
        job.report(seed + 1, size.seeds, f"seed {seed}")
    return Result(tuple(curves), tuple(fits))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    accuracies = [curve.accuracy for curve in result.curves]
    humps = sum(curve.humps for curve in result.curves)
    return unmet(
        {
            "gold has one maximum inside in nearly every run": humps >= 0.95 * len(result.curves),
            "the proxy always rises": all(curve.rises for curve in result.curves),
            "both laws first rise and then fall": all(fit.alpha > 0 and fit.beta > 0 for fit in result.fits),
            "more pairs delay the peak": result.put_off(100, 10_000)[0] > 1,
            "the reward models are neither perfect nor useless": 0.6 < min(accuracies) < max(accuracies) < 0.9,
        }
    )


def learned_reward_curves(result: Result) -> Picture:
    """Draw gold over the distance for reward models of few and of many pairs; mean over seeds, update by update.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome: with the most pairs gold peaks "later", at the "same" place, or "never" turns.
    """
    counts = sorted({curve.pairs for curve in result.curves})
    lines, peaks, found = [], [], []
    for count, role in zip(counts, ROLES, strict=False):
        runs = result.of(count)
        kl, gold = (np.mean([getattr(run, part) for run in runs], axis=0) for part in ("kl", "gold"))
        lines.append(Line(f"{count:,} pairs", np.sqrt(kl.clip(min=0.0)).tolist(), gold.tolist(), role))
        peaks.append(statistics.median(result.peak_kl(count)))
        accuracy = statistics.fmean(run.accuracy for run in runs)
        found.append(f"{count:,} pairs: accuracy {fixed(accuracy)}, gold peaks at {fixed(peaks[-1], 1)} nats")
    most = result.of(counts[-1])
    humps = sum(run.humps for run in most) > len(most) / 2
    rising = all(run.proxy[-1] > run.proxy[run.peak] for run in result.curves)
    words = "; ".join(found) + f". The proxy goes on rising in {'every run' if rising else 'most runs'}."
    axes = Axes("√KL to the reference (√nats)", "gold, expected", around=0.0)
    outcome = "never" if not humps else "later" if peaks[-1] > LATER * peaks[0] else "same"
    return Picture(line_chart(lines, axes), words, "gold over distance by number of pairs", outcome)


def make_task(seed: int) -> Task:
    """Return a random task."""
    generator = torch.Generator().manual_seed(seed)
    likes, logits = torch.randn(2, WORDS, generator=generator, dtype=torch.float64)
    return Task(LIKES * likes, (0.3 * logits).softmax(dim=0))


def fit_linear(task: Task, pairs: int, *, seed: int) -> tuple[Tensor, float]:
    """Return the weights (V,) of a linear reward fitted to labelled pairs, and its accuracy on fresh labels."""
    generator = torch.Generator().manual_seed(1000 + seed)
    gaps = [_labelled(task, count, generator=generator) for count in (pairs, 5_000)]  # chosen less rejected counts
    fitted = fit_gaps(gaps[0])
    return fitted, float((gaps[1] @ fitted > 0).double().mean())


def fit_gaps(gaps: Tensor) -> Tensor:
    """Return the weights (V,) of a linear Bradley-Terry model; `gaps` are chosen less rejected counts, (pairs, V)."""
    weights = torch.zeros(WORDS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.softplus(-gaps @ weights).mean() + 0.5 * weights.square().sum() / len(gaps)
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def _labelled(task: Task, count: int, *, generator: torch.Generator) -> Tensor:
    """Return chosen less rejected counts, (count, V): texts of the reference, labelled by Bradley-Terry on gold."""
    first, second = (draw_texts(task.shares, count, generator=generator) for _ in range(2))
    likely = torch.sigmoid(task.gold(first) - task.gold(second))
    wins = torch.rand(count, generator=generator, dtype=torch.float64) < likely
    return torch.where(wins[:, None], first - second, second - first)


def draw_texts(shares: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """Return how often sampled texts use each word, (count, V)."""
    words = torch.multinomial(shares.expand(count, -1), LENGTH, replacement=True, generator=generator)
    return torch.nn.functional.one_hot(words, WORDS).sum(dim=1).double()


def _one_run(pairs: int, size: Size, *, seed: int, job: Job) -> Curve:
    """Train a policy on a fitted reward by REINFORCE with the batch mean as baseline."""
    task = make_task(seed)
    weights, accuracy = fit_linear(task, pairs, seed=seed)
    generator = torch.Generator().manual_seed(2000 + seed)
    logits, measured = task.shares.log(), []
    for update in range(size.updates + 1):
        job.check()
        shares = logits.softmax(dim=0)
        if update % size.every == 0:
            seen = task.kl(shares), float(LENGTH * (shares @ weights)), task.expected_gold(shares)
            measured.append([round(number, PLACES) for number in seen])
        counts = draw_texts(shares, BATCH, generator=generator)
        proxy = counts @ weights
        logits = logits + RATE * ((proxy - proxy.mean())[:, None] * (counts - LENGTH * shares)).mean(dim=0)
    kl, proxies, golds = zip(*measured, strict=True)
    return Curve(pairs, seed, accuracy, kl, proxies, golds)
