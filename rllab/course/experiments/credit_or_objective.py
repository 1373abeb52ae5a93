"""The story exercise as a two by two: reward at the end or at every token, from an honest judge or one easy to please.

Repetitive nonsense has two causes. Late reward makes credit slow, and a reward at every token fixes that. A score that
is easy to please gets pleased, and a reward at every token only pleases it sooner. Gold is measured in all four runs.

A text has 24 words, each position with its own logits, learned by policy gradient without a KL penalty. Gold likes
cheerful words and tires of a word that is repeated; the easy judge likes the same words and never tires. At the end,
every position is credited with the whole score; at every token, with what the score gained by it. Expected scores are
exact. The targets came from a small GPT, where the easy judge took gold from 2.2 over 5.4 to -8.8; here the policy is a
table, so the figures differ and the four outcomes are what is claimed. One more thing differs: under the honest judge
late reward costs nothing, because 24 words in batches of 16 make little noise; what it costs longer texts is shown by
noise_by_length and samples_by_length. The observatory shows the easy judge at work on stories.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

LENGTH, TIRES = 24, 0.1  # words in a text; gold's deduction for each square of a word's count
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
HONEST, EASY = JUDGES = ("honest", "easy to please")
TIRING = {HONEST: TIRES, EASY: 0.0}


@dataclass(frozen=True)
class Size:
    """How many seeds, updates of each run, and updates between two measurements."""

    seeds: int
    updates: int
    every: int


@dataclass(frozen=True)
class Arm:
    """One run, measured every few updates; the texts are a sample from its beginning and from its end."""

    judge: str
    timing: str
    seed: int
    updates: tuple[int, ...]
    proxy: tuple[float, ...]  # expected score of the judge that gives the reward
    gold: tuple[float, ...]  # expected gold
    kl: tuple[float, ...]  # nats per text
    variety: tuple[float, ...]  # expected share of different words
    first_text: str
    last_text: str

    @property
    def fall(self) -> float:
        """Return how far gold is below its peak at the end."""
        return max(self.gold) - self.gold[-1]

    @property
    def gain(self) -> float:
        """Return how far gold is above its start at the end."""
        return self.gold[-1] - self.gold[0]

    @property
    def lost(self) -> float:
        """Return the update at which gold is back below its start, infinite if it never is."""
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
    """Train once for each cell and seed, without a KL penalty.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The runs of all four cells.
    """
    arms = []
    cells = [(seed, judge, timing) for seed in range(size.seeds) for judge in JUDGES for timing in TIMINGS]
    for number, (seed, judge, timing) in enumerate(cells):
        job.report(number, len(cells), f"{judge}, {timing}, seed {seed}")
        arms.append(_train(size, judge, timing, seed=seed, job=job.quiet()))
    return Result(tuple(arms))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    cells = {(judge, timing): result.of(judge, timing) for judge in JUDGES for timing in TIMINGS}
    honest = [arm for timing in TIMINGS for arm in cells[HONEST, timing]]
    easy = [arm for timing in TIMINGS for arm in cells[EASY, timing]]
    late, soon = cells[EASY, "end"], cells[EASY, "token"]
    falls = [statistics.fmean(arm.fall for arm in arms) for arms in (late, soon)]
    return unmet(
        {
            "every cell has at least five seeds": min(map(len, cells.values())) >= 5,
            "to the honest judge proxy and gold are the same": all(arm.proxy == arm.gold for arm in honest),
            "under the honest judge gold rises and stays": all(arm.gain > 8 and arm.fall < 0.5 for arm in honest),
            "under the easy judge gold rises first": all(arm.gold[0] + 5 < max(arm.gold) for arm in easy),
            "under the easy judge gold falls": all(arm.fall > 4 for arm in easy),
            "under the easy judge the proxy rises while gold falls": all(
                arm.proxy[-1] > arm.proxy[arm.updates.index(arm.peak)] for arm in easy
            ),
            "under the easy judge texts repeat themselves": all(
                repetitive.variety[-1] < varied.variety[-1] for repetitive, varied in zip(easy, honest, strict=True)
            ),
            "a reward at each token loses gold sooner, on every seed": all(
                early.lost < arm.lost for early, arm in zip(soon, late, strict=True)
            ),
            "a reward at each token always loses gold": max(arm.lost for arm in soon) < math.inf,
            "a reward at each token loses more": falls[1] > falls[0] + 5,
        }
    )


def two_by_two(result: Result) -> Picture:
    """Draw gold over the updates for two judges and two timings, mean over seeds.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome: with a reward at every token the easy judge fails "sooner", or it does not: "later".
    """
    lines, ends, lost = [], {}, {}
    for judge, role in ((HONEST, "policy"), (EASY, "reward")):
        for timing, when, dash in (("end", "at the end", "solid"), ("token", "each token", "dot")):
            arms = result.of(judge, timing)
            gold = np.mean([arm.gold for arm in arms], axis=0).tolist()
            lines.append(Line(f"{judge}, {when}", arms[0].updates, gold, role, dash))
            ends[judge, timing] = fixed(gold[-1], 1)
            lost[judge, timing] = statistics.median(arm.lost for arm in arms)
    late, early = lost[EASY, "end"], lost[EASY, "token"]
    after = [f"after {at:.0f} updates" if math.isfinite(at) else "after no update of this run" for at in (late, early)]
    words = (
        f"Under the easy judge gold is back below its start {after[0]} with a reward at the end and {after[1]} with a "
        f"reward at each token, and ends at {ends[EASY, 'end']} and {ends[EASY, 'token']}. Under the honest judge it "
        f"ends at {ends[HONEST, 'end']} and {ends[HONEST, 'token']}."
    )
    sooner = "sooner" if early < late else "later"
    return Picture(line_chart(lines, Axes("update", "gold")), words, "gold by update in the two by two", sooner)


def scores(tokens: Tensor, tires: float) -> Tensor:
    """Return the score of every prefix, (B, T) -> (B, T): worths less `tires` times the squares of the counts."""
    counts = torch.nn.functional.one_hot(tokens, len(WORTH)).double().cumsum(dim=1)  # (B, T, V)
    return counts @ _worths() - tires * counts.square().sum(dim=-1)


def expected_score(shares: Tensor, tires: float) -> float:
    """Return the expected score of whole texts; shares: (T, V). E[c^2] = sum_t p(1 - p) + (sum_t p)^2."""
    squares = (shares * (1 - shares)).sum(dim=0) + shares.sum(dim=0).square()
    return float(shares.sum(dim=0) @ _worths() - tires * squares.sum())


def credit_of(timing: str, prefix_scores: Tensor) -> Tensor:
    """Return what each position is credited with, (B, T): the whole text's score, or what the score gained by it."""
    if timing == "end":
        return prefix_scores[:, -1:].expand_as(prefix_scores)
    return prefix_scores.diff(dim=1, prepend=torch.zeros_like(prefix_scores[:, :1]))


def _train(size: Size, judge: str, timing: str, *, seed: int, job: Job) -> Arm:
    """Train by policy gradient, each position with the mean of the batch as its baseline."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.zeros(LENGTH, len(WORTH), dtype=torch.float64)
    seen, texts = [], []
    for update in range(size.updates + 1):
        job.check()
        shares = logits.softmax(dim=1)
        tokens = torch.multinomial(shares, BATCH, replacement=True, generator=generator).T  # (B, T)
        if update % size.every == 0:
            seen.append(_measured(shares, judge))
            texts.append(" ".join(list(WORTH)[word] for word in tokens[0].tolist()))
        credit = credit_of(timing, scores(tokens, TIRING[judge]))
        credit = credit - credit.mean(dim=0)
        chosen = torch.nn.functional.one_hot(tokens, len(WORTH)).double()
        logits = logits + RATE * (credit[..., None] * (chosen - shares)).mean(dim=0)
    proxy, gold, kl, variety = zip(*seen, strict=True)
    updates = tuple(range(0, size.updates + 1, size.every))
    return Arm(judge, timing, seed, updates, proxy, gold, kl, variety, texts[0], texts[-1])


def _measured(shares: Tensor, judge: str) -> tuple[float, float, float, float]:
    """Return proxy, gold, KL to the reference, which is uniform, and variety of a policy."""
    kl = float((shares * (shares * len(WORTH)).clamp(min=1e-300).log()).sum())
    variety = float((1 - (1 - shares).prod(dim=0)).sum()) / LENGTH
    numbers = expected_score(shares, TIRING[judge]), expected_score(shares, TIRES), kl, variety
    proxy, gold, kl, variety = (round(number, PLACES) for number in numbers)
    return proxy, gold, kl, variety


def _worths() -> Tensor:
    return torch.tensor(list(WORTH.values()), dtype=torch.float64)
