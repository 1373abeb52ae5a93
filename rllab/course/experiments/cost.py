"""How many texts it takes to learn by policy gradient, at every learning rate and on every seed side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job

BATCH = 16  # texts of one step
WORDS = 4

Credit = Callable[[Tensor], Tensor]  # which words are right (B, T) -> what each log-prob is multiplied by (B, T)


@dataclass(frozen=True)
class Search:
    """What is tried: learning rates, seeds, and the texts after which a run counts as having needed them all."""

    rates: tuple[float, ...]
    seeds: int
    cap: int


@dataclass(frozen=True)
class Needed:
    """The texts needed at the best learning rate: the median, and each seed's."""

    texts: float
    rate: float
    by_seed: tuple[int, ...]


def texts_needed(
    credit_of: Credit, reached: Callable[[Tensor], Tensor], *, length: int, search: Search, seed: int, job: Job = NO_JOB
) -> Needed:
    """Learn from batches of texts until `reached` is true of the target words' chances, (R, T) -> (R,) bool.

    A position is a row of `WORDS` logits that start at 0, and word 0 is the right one. As soon as more than half of
    the seeds of some rate are done, no other rate can have a lower median, and the others end.
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
        learning &= _may_win(learning.reshape(-1, search.seeds))
        if not bool(learning.any()):
            break
    return _best(needed.reshape(-1, search.seeds).tolist(), search.rates)


def gradient(logits: Tensor, credit_of: Credit, *, generator: torch.Generator) -> Tensor:
    """Return the policy gradient of one batch for every run: mean of credit × (chosen − probability), (R, T, K)."""
    probs = logits.softmax(dim=2)
    drawn = torch.rand(logits.shape[0], BATCH, logits.shape[1], 1, generator=generator)
    tokens = (drawn > probs.cumsum(dim=2)[:, None, :, :-1]).sum(dim=3)  # (R, B, T)
    credit = torch.vmap(credit_of)((tokens == 0).float())
    chosen = torch.stack([(credit * (tokens == word)).mean(dim=1) for word in range(logits.shape[2])], dim=2)
    return chosen - probs * credit.mean(dim=1)[..., None]


def _may_win(learning: Tensor) -> Tensor:
    """Tell of each run whether its rate can still have the lowest median; learning: (rates, seeds)."""
    ahead = (~learning).sum(dim=1) * 2 > learning.shape[1]
    if not bool(ahead.any()):
        ahead = torch.ones_like(ahead)
    return ahead[:, None].expand_as(learning).flatten()


def _best(needed: list[list[int]], rates: tuple[float, ...]) -> Needed:
    """Choose the rate with the lowest median; of equal ones the smallest."""
    medians = [statistics.median(row) for row in needed]
    best = min(range(len(rates)), key=lambda at: (medians[at], rates[at]))
    return Needed(float(medians[best]), rates[best], tuple(needed[best]))
