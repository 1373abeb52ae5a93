"""The story exercise as a two by two: paid at the end or at every token, by an honest judge or one easy to please.

Repetitive nonsense has two causes. Late pay makes credit slow, and paying at every token mends that. A score that is
easy to please is pleased, and paying at every token only pleases it sooner. Gold watches all four runs.

A text has 24 words, each place with logits of its own, learned by policy gradient without a price on KL. Gold likes
cheerful words and tires of a word that comes again; the easy judge likes the same words and never tires. At the end,
every place is credited with the whole score; at every token, with what the score gained by it. What policies are
worth is exact. The targets came from a small GPT, where the easy judge took gold from 2.2 over 5.4 to -8.8; here it is
a table, so the figures differ and the four outcomes are what is claimed. One more thing differs: under the honest
judge late pay costs nothing, because 24 words in batches of 16 make little noise; what it costs longer texts
is shown by noise_by_length and samples_by_length. The observatory shows the easy judge at work on stories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job

LENGTH, TIRES = 24, 0.1  # words in a text; what gold takes off for each square of a word's count
BATCH, RATE = 16, 0.2
PLACES = 4  # decimals that are kept
WORTH: Mapping[str, float] = {
    "happy": 1.0,
    "bright": 0.9,
    "kind": 0.8,
    "warm": 0.7,
    "brave": 0.6,
    **dict.fromkeys(("dog", "cat", "girl", "boy", "hill", "tree", "boat", "kite", "day", "night"), 0.0),
    "sad": -1.0,
    "dark": -0.9,
    "cold": -0.8,
    "mean": -0.7,
    "lost": -0.6,
}
TIMINGS = ("end", "token")
JUDGES = ("honest", "easy to please")


@dataclass(frozen=True)
class Size:
    """How many seeds, updates of each run, and updates between two looks."""

    seeds: int
    updates: int
    every: int


@dataclass(frozen=True)
class Arm:
    """One run, looked at every few updates; the texts are one sample from its beginning and its end."""

    judge: str
    timing: str
    seed: int
    updates: tuple[int, ...]
    proxy: tuple[float, ...]  # expected score of the judge that pays
    gold: tuple[float, ...]  # expected gold
    kl: tuple[float, ...]  # nats per text
    variety: tuple[float, ...]  # expected share of different words
    first_text: str
    last_text: str

    @property
    def fall(self) -> float:
        """Return how far gold has fallen from its peak at the end."""
        return max(self.gold) - self.gold[-1]

    @property
    def gain(self) -> float:
        """Return how far gold has risen from the start at the end."""
        return self.gold[-1] - self.gold[0]

    @property
    def lost(self) -> float:
        """Return the update at which gold is back below where it began; infinite if it never is."""
        after = [at for at, gold in zip(self.updates, self.gold, strict=True) if at > self.peak and gold < self.gold[0]]
        return after[0] if after else math.inf

    @property
    def peak(self) -> int:
        """Return the update with the highest gold."""
        return self.updates[self.gold.index(max(self.gold))]


@dataclass(frozen=True)
class Result:
    """The four outcomes on every seed."""

    arms: tuple[Arm, ...]

    def of(self, judge: str, timing: str) -> list[Arm]:
        """Return one of the four cells, by seed."""
        return [arm for arm in self.arms if (arm.judge, arm.timing) == (judge, timing)]


FAST, WORKSHOP = Size(5, 400, 20), Size(10, 400, 10)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train once for each cell and seed, without a price on KL."""
    arms = []
    cells = [(seed, judge, timing) for seed in range(size.seeds) for judge in JUDGES for timing in TIMINGS]
    for number, (seed, judge, timing) in enumerate(cells):
        job.report(number, len(cells), f"{judge}, {timing}, seed {seed}")
        arms.append(_train(size, judge, timing, seed=seed, job=job.quiet()))
    return Result(tuple(arms))


def scores(tokens: Tensor, tires: float) -> Tensor:
    """Score every beginning of texts: sum of worths less `tires` times the squares of the counts, (B, T) -> (B, T)."""
    counts = torch.nn.functional.one_hot(tokens, len(WORTH)).double().cumsum(dim=1)  # (B, T, V)
    return counts @ _worths() - tires * counts.square().sum(dim=-1)


def expected_score(shares: Tensor, tires: float) -> float:
    """Return the mean score of whole texts, exactly; shares: (T, V). E[c^2] = sum_t p(1 - p) + (sum_t p)^2."""
    squares = (shares * (1 - shares)).sum(dim=0) + shares.sum(dim=0).square()
    return float(shares.sum(dim=0) @ _worths() - tires * squares.sum())


def _train(size: Size, judge: str, timing: str, *, seed: int, job: Job) -> Arm:
    """Learn by policy gradient, each place with the mean of the batch as its baseline."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.zeros(LENGTH, len(WORTH), dtype=torch.float64)
    seen, texts = [], []
    for update in range(size.updates + 1):
        job.check()
        shares = logits.softmax(dim=1)
        tokens = torch.multinomial(shares, BATCH, replacement=True, generator=generator).T  # (B, T)
        if update % size.every == 0:
            seen.append(_look(shares, judge))
            texts.append(" ".join(list(WORTH)[word] for word in tokens[0].tolist()))
        credit = CREDIT[timing](scores(tokens, TIRING[judge]))
        credit = credit - credit.mean(dim=0)
        chosen = torch.nn.functional.one_hot(tokens, len(WORTH)).double()
        logits = logits + RATE * (credit[..., None] * (chosen - shares)).mean(dim=0)
    proxy, gold, kl, variety = zip(*seen, strict=True)
    updates = tuple(range(0, size.updates + 1, size.every))
    return Arm(judge, timing, seed, updates, proxy, gold, kl, variety, texts[0], texts[-1])


def _look(shares: Tensor, judge: str) -> tuple[float, float, float, float]:
    """Return proxy, gold, KL to the reference, which is uniform, and variety of a policy."""
    kl = float((shares * (shares * len(WORTH)).clamp(min=1e-300).log()).sum())
    variety = float((1 - (1 - shares).prod(dim=0)).sum()) / LENGTH
    numbers = expected_score(shares, TIRING[judge]), expected_score(shares, TIRES), kl, variety
    proxy, gold, kl, variety = (round(number, PLACES) for number in numbers)
    return proxy, gold, kl, variety


def _at_end(prefix_scores: Tensor) -> Tensor:
    """Credit every place with the score of the whole text, (B, T)."""
    return prefix_scores[:, -1:].expand_as(prefix_scores)


def _each_token(prefix_scores: Tensor) -> Tensor:
    """Credit every place with what the score gained by it, (B, T)."""
    return prefix_scores.diff(dim=1, prepend=torch.zeros_like(prefix_scores[:, :1]))


def _worths() -> Tensor:
    return torch.tensor(list(WORTH.values()), dtype=torch.float64)


TIRING = {"honest": TIRES, "easy to please": 0.0}
CREDIT: dict[str, Callable[[Tensor], Tensor]] = {"end": _at_end, "token": _each_token}
