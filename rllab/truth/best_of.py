"""The best of n samples: exactly which response wins how often."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError


@dataclass(frozen=True, eq=False)
class BestOf:
    """The law of the response that scores highest among n."""

    n: int
    logprobs: Tensor  # (L,) nats, in the order of the tree's leaves
    reward: float  # expected score
    kl: float  # nats from the policy that wrote the samples

    @property
    def bound(self) -> float:
        """Return log n - (n - 1)/n, which the KL never exceeds, in nats (Beirami et al. 2024)."""
        return math.log(self.n) - (self.n - 1) / self.n


def best_of_law(logprobs: Tensor, score: Tensor, *, n: int) -> BestOf:
    """Weigh every response (L,) by its chance to be the best of n; equal scores share theirs as chance drew them.

    A group of equal scores with mass m and everything below it with mass F wins with (F + m)^n - F^n.
    """
    if not is_whole(n, low=1):
        raise LabError("n", n, "draw at least one response, and give a whole number")
    values, group = torch.unique(score, return_inverse=True)  # ascending
    mass = torch.zeros(len(values), dtype=torch.float64).index_add(0, group, logprobs.exp())
    up_to = mass.cumsum(0)
    beaten = (mass / up_to).clamp(max=1.0)  # share of the group among all that do not beat it
    wins = n * up_to.log() + torch.log(-torch.expm1(n * torch.log1p(-beaten)))  # log((F+m)^n - F^n)
    law = torch.where(mass[group] > 0, logprobs + (wins - mass.log())[group], -torch.inf)
    ratio = torch.where(law > -torch.inf, law - logprobs, 0.0)
    return BestOf(n, law, reward=float((law.exp() * score).sum()), kl=float((law.exp() * ratio).sum()))
