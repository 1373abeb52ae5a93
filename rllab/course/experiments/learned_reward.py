"""Reinforcement learning on a learned reward. It is as accurate as ever on what it was fitted to, and yet wrong.

A text is 24 words drawn one by one from the policy's own shares. Gold likes some words, and tires of any word that
comes again; a linear reward model is fitted to labelled pairs of texts of the reference. Pressed hard enough the
policy says one word over and over: the proxy likes it best, gold least. More pairs put that off, and not for long:
no number of pairs of the reference's texts shows what gold says of texts that the reference never writes.

The targets were a reward model of the same accuracy for 100, 1,000 and 10,000 pairs (0.74 to 0.76), with gold highest
at 3.7, 4.0 and 6.4 nats. Here the accuracy grows a little with the pairs and the peaks lie further out; what is
claimed is one maximum in nearly every run, a proxy that always rises, and a peak that is later with 10,000 pairs than
with 100 on average over seeds, for there are seeds on which few pairs happen to be lucky. Read the last of these as
weak: the interval's lower end is close to 0, 1,000 and 10,000 pairs do not differ, and the task was chosen among
about nine as the one nearest to the targets.
The law d(alpha - beta d) fits better than d(alpha - beta log d) here, as it did there; that is reported, not claimed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.observatory import fit_forms

WORDS, LENGTH = 20, 24
LIKES, TIRES = 0.3, 0.05  # how much words differ to gold, and what it takes off for each square of a count
BATCH, RATE = 256, 0.03
PLACES = 5  # decimals that are kept
WIGGLE = 0.05  # of the whole span of gold: what it may go back on its way up, or rise again on its way down


@dataclass(frozen=True)
class Size:
    """How many pairs the reward models see, seeds, updates of each run, and how many of them lie between two looks."""

    pairs: tuple[int, ...]
    seeds: int
    updates: int
    every: int


@dataclass(frozen=True)
class Curve:
    """One run: every few updates, the KL in nats per text, and what proxy and gold expect, exactly."""

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
        """Tell whether gold climbs to one maximum inside and falls from there to below its start."""
        up, down = self.gold[: self.peak + 1], self.gold[self.peak :]
        back = max(max(up[: at + 1]) - up[at] for at in range(len(up)))
        again = max(down[at] - min(down[: at + 1]) for at in range(len(down)))
        smooth = max(back, again) <= WIGGLE * (max(self.gold) - min(self.gold))
        return 0 < self.peak < len(self.gold) - 1 and smooth and self.gold[-1] < self.gold[0]

    @property
    def rises(self) -> bool:
        """Tell whether the proxy rises at every look."""
        return all(one < two for one, two in itertools.pairwise(self.proxy))


@dataclass(frozen=True)
class Fitted:
    """One of the two forms, fitted to one run."""

    pairs: int
    seed: int
    form: str
    alpha: float
    beta: float
    r2: float
    aic: float


@dataclass(frozen=True)
class Result:
    """All runs, and both forms fitted to each, the better one first."""

    curves: tuple[Curve, ...]
    fits: tuple[Fitted, ...]

    def of(self, pairs: int) -> list[Curve]:
        """Return the runs on reward models of so many pairs, by seed."""
        return [curve for curve in self.curves if curve.pairs == pairs]

    def peak_kl(self, pairs: int) -> list[float]:
        """Return the KL at which gold was highest, by seed."""
        return [curve.kl[curve.peak] for curve in self.of(pairs)]

    def put_off(self, few: int, many: int) -> tuple[float, float, float]:
        """Return how much later the peak is with many pairs, in nats over paired seeds: mean and its 95% interval.

        The interval is a bootstrap of the seeds.
        """
        gaps = torch.tensor(self.peak_kl(many), dtype=torch.float64) - torch.tensor(self.peak_kl(few))
        drawn = torch.randint(len(gaps), (10_000, len(gaps)), generator=torch.Generator().manual_seed(0))
        low, high = gaps[drawn].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return float(gaps.mean()), low, high


FAST, WORKSHOP = Size((100, 10_000), 5, 300, 5), Size((100, 1_000, 10_000), 20, 400, 5)


@dataclass(frozen=True)
class Task:
    """What gold likes, and what the reference writes."""

    likes: Tensor  # (V,): worth of each word
    shares: Tensor  # (V,): the reference's

    def gold(self, counts: Tensor) -> Tensor:
        """Judge texts by how often they say each word, (..., V) -> (...)."""
        return counts @ self.likes - TIRES * counts.square().sum(dim=-1)

    def expected_gold(self, shares: Tensor) -> float:
        """Return gold's mean over all texts of a policy, exactly: E[c^2] = T p (1 - p) + T^2 p^2."""
        squares = LENGTH * shares * (1 - shares) + (LENGTH * shares).square()
        return float(LENGTH * (shares @ self.likes) - TIRES * squares.sum())

    def kl(self, shares: Tensor) -> float:
        """Return the KL of a policy from the reference, in nats per text."""
        return float(LENGTH * (shares * (shares / self.shares).log()).sum())


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Fit reward models to few and many pairs, and train a policy on each."""
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


def make_task(seed: int) -> Task:
    """Draw a task."""
    generator = torch.Generator().manual_seed(seed)
    likes, logits = torch.randn(2, WORDS, generator=generator, dtype=torch.float64)
    return Task(LIKES * likes, (0.3 * logits).softmax(dim=0))


def fit_linear(task: Task, pairs: int, *, seed: int) -> tuple[Tensor, float]:
    """Fit a linear reward to labelled pairs; return its weights (V,) and its accuracy on fresh labels."""
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
    """Draw pairs of texts of the reference, let Bradley-Terry choose by gold, and return the difference of counts."""
    first, second = (draw_texts(task.shares, count, generator=generator) for _ in range(2))
    likely = torch.sigmoid(task.gold(first) - task.gold(second))
    wins = torch.rand(count, generator=generator, dtype=torch.float64) < likely
    return torch.where(wins[:, None], first - second, second - first)


def draw_texts(shares: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """Write texts and count their words, (count, V)."""
    words = torch.multinomial(shares.expand(count, -1), LENGTH, replacement=True, generator=generator)
    return torch.nn.functional.one_hot(words, WORDS).sum(dim=1).double()


def _one_run(pairs: int, size: Size, *, seed: int, job: Job) -> Curve:
    """Train a policy on a fitted reward by REINFORCE with the batch mean as baseline."""
    task = make_task(seed)
    weights, accuracy = fit_linear(task, pairs, seed=seed)
    generator = torch.Generator().manual_seed(2000 + seed)
    logits, told = task.shares.log(), []
    for update in range(size.updates + 1):
        job.check()
        shares = logits.softmax(dim=0)
        if update % size.every == 0:
            seen = task.kl(shares), float(LENGTH * (shares @ weights)), task.expected_gold(shares)
            told.append([round(one, PLACES) for one in seen])
        counts = draw_texts(shares, BATCH, generator=generator)
        proxy = counts @ weights
        logits = logits + RATE * ((proxy - proxy.mean())[:, None] * (counts - LENGTH * shares)).mean(dim=0)
    kl, proxies, golds = zip(*told, strict=True)
    return Curve(pairs, seed, accuracy, kl, proxies, golds)
