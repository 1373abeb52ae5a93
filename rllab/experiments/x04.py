"""X4: what shaping buys. A potential is a guess of the value: it helps where it is trusted, and nowhere else.

Six positions, and a score of 1 for the one right text. The potential is the share of the text that is right so far,
and 0 once the text is over.

- sparse: the score at the end alone.
- shaped, whole return: the shaping adds up to minus the first potential, the same for all texts, so nothing is won.
- shaped, one step: each word is judged by its own step of the potential (lambda = 0), the potential as critic.
- progress bonus: the steps without the one that takes it back; fast, and another objective than the score.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.errors import Stopped
from rllab.experiments.x01 import WORDS
from rllab.generation import Progress
from rllab.shaping import potential_shaping

BATCH, GOAL = 16, 0.5


@dataclass(frozen=True)
class Size:
    """Length of the texts, seeds and learning rates; what has not learned after `cap` texts counts as cap."""

    length: int
    seeds: int
    rates: tuple[float, ...]
    cap: int


@dataclass(frozen=True)
class Arm:
    """The texts that one arm needs until the right text is as likely as not, at its best learning rate."""

    name: str
    texts: float  # median over seeds
    rate: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """All arms, and how far the shaped returns are from the plain ones less the first potential."""

    arms: tuple[Arm, ...]
    shift_error: float

    def texts(self, name: str) -> float:
        """Return what one arm needs."""
        return next(arm.texts for arm in self.arms if arm.name == name)


RATES = tuple(2.0**power for power in range(7))
FAST, WORKSHOP = Size(4, 11, RATES, 6_000), Size(6, 31, RATES, 60_000)


def run(size: Size, *, stop: threading.Event | None = None, progress: Progress | None = None) -> Result:
    """Let every arm learn at every rate on every seed."""
    arms = []
    for number, name in enumerate(CREDIT_OF):
        if progress is not None:
            progress(number, len(CREDIT_OF), name)
        needed = _texts_needed(CREDIT_OF[name], size, stop=stop).tolist()
        medians = {rate: statistics.median(row) for rate, row in zip(size.rates, needed, strict=True)}
        best = min(size.rates, key=lambda rate: (medians[rate], rate))
        arms.append(Arm(name, float(medians[best]), best, tuple(needed[size.rates.index(best)])))
    return Result(tuple(arms), shift_error(size.length))


def potentials_of(right: Tensor) -> Tensor:
    """Return the share of the text that is right so far, at the states s_0..s_T, (..., T+1); right: (..., T)."""
    so_far = right.cumprod(dim=-1).cumsum(dim=-1) / right.shape[-1]
    return torch.cat([torch.zeros_like(so_far[..., :1]), so_far], dim=-1)


def shaped_rewards(right: Tensor) -> Tensor:
    """Return the score at the end with the shaping added at every word, (B, T)."""
    mask = torch.ones_like(right, dtype=torch.bool)
    return _score_at_end(right) + potential_shaping(potentials_of(right), mask, gamma=1.0)


def shift_error(length: int) -> float:
    """Return how far shaped returns are from plain returns less the potential of the first state, over random texts."""
    right = (torch.rand(200, length, generator=torch.Generator().manual_seed(0)) < 0.8).double()
    shaped, plain = (rewards.sum(dim=1) for rewards in (shaped_rewards(right), _score_at_end(right)))
    return float((shaped - plain + potentials_of(right)[:, 0]).abs().max())


def _texts_needed(credit_of: Callable[[Tensor], Tensor], size: Size, *, stop: threading.Event | None) -> Tensor:
    """Return the texts seen until the goal is reached, (rates, seeds) long; all runs go on side by side."""
    generator = torch.Generator().manual_seed(size.length)
    runs = len(size.rates) * size.seeds
    rate = torch.tensor(size.rates).repeat_interleave(size.seeds)[:, None, None]
    logits, needed = torch.zeros(runs, size.length, WORDS), torch.full((runs,), size.cap)
    learning = torch.ones(runs, dtype=torch.bool)
    for texts in range(BATCH, size.cap + 1, BATCH):
        if stop is not None and stop.is_set():
            raise Stopped
        rows = learning.nonzero()[:, 0]
        probs = logits[rows].softmax(dim=2)
        drawn = torch.rand(len(rows), BATCH, size.length, 1, generator=generator)
        tokens = (drawn > probs.cumsum(dim=2)[:, None, :, :-1]).sum(dim=3)  # (R, B, T)
        credit = torch.vmap(credit_of)((tokens == 0).float())
        steps = torch.stack([(credit * (tokens == word)).mean(dim=1) for word in range(WORDS)], dim=2)
        logits[rows] += rate[rows] * (steps - probs * credit.mean(dim=1)[..., None])
        done = rows[logits[rows].softmax(dim=2)[..., 0].prod(dim=1) >= GOAL]
        needed[done], learning[done] = texts, False
        if not bool(learning.any()):
            break
    return needed.reshape(len(size.rates), size.seeds)


def _score_at_end(right: Tensor) -> Tensor:
    """Pay 1 at the last word of a text that is right throughout, (B, T)."""
    score = right.prod(dim=1, keepdim=True)
    return torch.cat([torch.zeros_like(right[:, 1:]), score], dim=1)


def _to_go(rewards: Tensor) -> Tensor:
    """Return what is still to come at each word, less its mean over the batch."""
    returns = rewards.flip(1).cumsum(dim=1).flip(1)
    return returns - returns.mean(dim=0)


def _bonus(right: Tensor) -> Tensor:
    return potentials_of(right).diff(dim=1)


CREDIT_OF: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda right: _to_go(_score_at_end(right)),
    "shaped, whole return": lambda right: _to_go(shaped_rewards(right)),
    "shaped, one step": shaped_rewards,
    "progress bonus": lambda right: _to_go(_bonus(right)),
}
