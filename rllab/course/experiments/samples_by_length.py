"""How many texts it takes to learn, by when the reward comes, each arm at its own best learning rate.

The texts of noise_by_length, learned by policy gradient in batches of 16 until the target word has a probability of
0.9 on average; and a score of 1 for the one right text and 0 for all others, until that text has a probability of 0.9.

The grid of learning rates ends at 4. With larger steps one lucky text settles every word at once, which only a table of
separate logits forgives: own-token credit would then need one batch, and the exact match fewer texts than there are to
try. On this grid the figures are those of the targets, except that the exact match of six words needs more.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.experiments.noise_by_length import ARMS, LABELS, ROLES, WORDS, credits_of, growth, log_slope
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture

BATCH = 16  # texts of one step
GOAL = 0.9  # probability of the target word on average, or of the one right text
EXACT = "exact match"
DRAWN = [*((arm, LABELS[arm], ROLES[arm], "solid") for arm in ARMS), (EXACT, "all or nothing", "down", "dash")]
NOISY = 16  # tokens: in shorter texts the step size limits learning, not the noise

Credit = Callable[[Tensor], Tensor]  # which words are right (B, T) -> the factor of each log-prob (B, T)


@dataclass(frozen=True)
class Search:
    """The learning rates and seeds to try; a run that has not learned after `cap` texts counts as cap."""

    rates: tuple[float, ...]
    seeds: int
    cap: int


@dataclass(frozen=True)
class Needed:
    """The texts needed at the best learning rate: the median over seeds, and each seed's."""

    texts: float
    rate: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True)
class Size:
    """Lengths, seeds and the grid of learning rates; an arm that has not learned after `cap` texts counts as cap."""

    lengths: tuple[int, ...]
    exact_lengths: tuple[int, ...]
    seeds: int
    rates: tuple[float, ...]
    cap: int


@dataclass(frozen=True)
class Cost:
    """The texts that one arm needs at one length: the median over seeds at its best learning rate."""

    arm: str
    length: int
    texts: float
    rate: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """All arms at all lengths."""

    costs: tuple[Cost, ...]

    def of(self, arm: str) -> list[Cost]:
        """Return the costs of one arm, by length."""
        return [cost for cost in self.costs if cost.arm == arm]

    def texts(self, arm: str, length: int) -> float:
        """Return the texts that one arm needs at one length."""
        return next(cost.texts for cost in self.of(arm) if cost.length == length)

    def slope(self, arm: str, *, beyond: int) -> float:
        """Return the slope of log texts over log length from a length on: 1 means in proportion."""
        return log_slope([(cost.length, cost.texts) for cost in self.of(arm) if cost.length >= beyond])


RATES = tuple(2.0**power for power in range(-4, 3))
FAST = Size((16, 64), (1, 2, 4), 5, RATES, 8_000)
WORKSHOP = Size((4, 8, 16, 32, 64, 128, 256, 512), (1, 2, 3, 4, 5, 6), 20, RATES, 40_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train every arm at every length, at every learning rate, on every seed.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The texts that each arm needs at each length, at its best learning rate.
    """
    arms = [(arm, length) for length in size.lengths for arm in ARMS]
    arms += [(EXACT, length) for length in size.exact_lengths]
    search, costs = Search(size.rates, size.seeds, size.cap), []
    for number, (arm, length) in enumerate(arms):
        job.report(number, len(arms), f"{arm}, {length} tokens")
        seed = 1000 * length + len(arm)
        found = texts_needed(credit_of(arm), reached(arm), length=length, search=search, seed=seed, job=job)
        costs.append(Cost(arm, length, found.texts, found.rate, found.by_seed))
    return Result(tuple(costs))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    lengths = [cost.length for cost in result.of("terminal")]
    short, long = ({arm: result.texts(arm, length) for arm in ARMS} for length in (lengths[0], lengths[-1]))
    exact = result.of(EXACT)
    return unmet(
        {
            "with one score at the end longer texts need more": long["terminal"] > 2 * short["terminal"],
            "with each token's own reward the length costs nothing": long["own token"] == short["own token"],
            "reward-to-go needs fewer than one score at the end": long["reward-to-go"] < long["terminal"],
            "own tokens need fewer than half of reward-to-go": 2 * long["own token"] < long["reward-to-go"],
            "an exact match grows faster than the length": exact[-1].texts / exact[0].texts > 2 * exact[-1].length,
        }
    )


def samples_growth(result: Result) -> Picture:
    """Draw how many texts it takes to learn over their length, each arm at its own best learning rate.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says how the number grows with one score at the end, see `growth`.
    """
    lines = []
    for arm, label, role, dash in DRAWN:
        costs = result.of(arm)
        lengths, texts = [cost.length for cost in costs], [cost.texts for cost in costs]
        lines.append(Line(label, lengths, texts, role, dash, mode="lines+markers"))
    stops = sorted({cost.length for cost in result.costs if cost.arm != EXACT} | {1, 4})
    axes = Axes("tokens in a text", "texts until it is learned", log_x=True, log_y=True, ticks=stops)
    longest, exact = max(stops), result.of(EXACT)[-1]
    words = (
        f"At {longest} tokens one score at the end needs {result.texts('terminal', longest):,.0f} texts, a score for "
        f"each single token {result.texts('own token', longest):,.0f}. All or nothing needs {exact.texts:,.0f} at only "
        f"{exact.length} tokens."
    )
    grows = growth(result.slope("terminal", beyond=NOISY))
    return Picture(line_chart(lines, axes), words, "texts needed by length", grows)


def credit_of(arm: str) -> Credit:
    """Return how an arm credits the words of a batch; the exact match credits all of a right text with 1."""
    if arm == EXACT:
        return lambda right: credits_of("own token", right.prod(dim=1, keepdim=True).expand_as(right))
    return lambda right: credits_of(arm, right)


def reached(arm: str) -> Callable[[Tensor], Tensor]:
    """Return what tells which runs have learned, from the target words' probabilities: (R, T) -> (R,) bool."""
    if arm == EXACT:
        return lambda chance: chance.prod(dim=1) >= GOAL
    return lambda chance: chance.mean(dim=1) >= GOAL


def texts_needed(
    credit_of: Credit, reached: Callable[[Tensor], Tensor], *, length: int, search: Search, seed: int, job: Job = NO_JOB
) -> Needed:
    """Learn from batches of texts, at every learning rate and on every seed at once.

    A position is a row of `WORDS` logits that start at 0, and word 0 is the right one. As soon as more than half of
    the seeds of some rate are done, no other rate can have a lower median, and the others end.

    Args:
        credit_of: Which words are right (B, T) -> the factor of each log-prob (B, T).
        reached: The target words' probabilities (R, T) -> which runs have learned (R,).
        length: Tokens in a text.
        search: Learning rates, seeds and the cap.
        seed: Of the texts that are sampled.
        job: What can stop the search.

    Returns:
        The texts needed at the rate with the lowest median; of equal rates the smallest.
    """
    generator = torch.Generator().manual_seed(seed)
    rate = torch.tensor(search.rates).repeat_interleave(search.seeds)[:, None, None]
    logits = torch.zeros(len(rate), length, WORDS)
    needed = torch.full((len(rate),), search.cap)
    learning = torch.ones(len(rate), dtype=torch.bool)
    for texts in range(BATCH, search.cap + 1, BATCH):
        job.check()
        rows = learning.nonzero()[:, 0]
        logits[rows] += rate[rows] * gradient(logits[rows], credit_of, generator=generator)
        done = rows[reached(logits[rows].softmax(dim=2)[..., 0])]
        needed[done], learning[done] = texts, False
        won = (~learning).reshape(-1, search.seeds).sum(dim=1) * 2 > search.seeds
        if bool(won.any()):
            learning &= won.repeat_interleave(search.seeds)
        if not bool(learning.any()):
            break
    by_rate = needed.reshape(-1, search.seeds).tolist()
    medians = [statistics.median(texts) for texts in by_rate]
    best = min(range(len(medians)), key=lambda at: (medians[at], search.rates[at]))
    return Needed(float(medians[best]), search.rates[best], tuple(by_rate[best]))


def gradient(logits: Tensor, credit_of: Credit, *, generator: torch.Generator) -> Tensor:
    """Return the policy gradient of one batch for every run: mean of credit × (chosen − probability).

    Args:
        logits: (R, T, K), one policy for each run.
        credit_of: Which words are right (B, T) -> the factor of each log-prob (B, T).
        generator: Samples the texts.

    Returns:
        (R, T, K).
    """
    probs = logits.softmax(dim=2)
    drawn = torch.rand(logits.shape[0], BATCH, logits.shape[1], 1, generator=generator)
    tokens = (drawn > probs.cumsum(dim=2)[:, None, :, :-1]).sum(dim=3)  # (R, B, T)
    credit = torch.vmap(credit_of)((tokens == 0).float())
    chosen = torch.stack([(credit * (tokens == word)).mean(dim=1) for word in range(logits.shape[2])], dim=2)
    return chosen - probs * credit.mean(dim=1)[..., None]
