"""What shaping buys. A potential is a guess of the value: it helps where it is trusted, and nowhere else.

Six positions, and a score of 1 for the one right text. The potential is the share of the text that is right so far,
and 0 once the text is over.

- sparse: the score at the end alone.
- shaped, whole return: the shaping adds up to minus the first potential, the same for all texts, so nothing is won.
- shaped, one step: each word is judged by its own step of the potential (lambda = 0), the potential as critic.
- progress bonus: the steps without the one that takes it back; fast, and another objective than the score.

The target for whole returns was 1.4 times the sparse score's texts, which is called no gain. Here it is a clear loss:
the potentials at later words differ from text to text, and a mean over the batch does not take that noise away.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments.cost import Credit, Search, texts_needed
from rllab.reward.shaping import potential_shaping

GOAL = 0.5


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


RATES = tuple(2.0**power for power in range(-2, 3))
FAST, WORKSHOP = Size(5, 11, RATES, 20_000), Size(6, 31, RATES, 60_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Let every arm learn at every rate on every seed."""
    arms = []
    for number, name in enumerate(CREDIT_OF):
        job.report(number, len(CREDIT_OF), name)
        search = Search(size.rates, size.seeds, size.cap)
        found = texts_needed(CREDIT_OF[name], _learned, length=size.length, search=search, seed=size.length, job=job)
        arms.append(Arm(name, found.texts, found.rate, found.by_seed))
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


def _learned(chance: Tensor) -> Tensor:
    """Tell of each run whether the right text is as likely as not; chance: (R, T) of the right words."""
    return chance.prod(dim=1) >= GOAL


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


CREDIT_OF: dict[str, Credit] = {
    "sparse": lambda right: _to_go(_score_at_end(right)),
    "shaped, whole return": lambda right: _to_go(shaped_rewards(right)),
    "shaped, one step": shaped_rewards,
    "progress bonus": lambda right: _to_go(_bonus(right)),
}
