"""The best policy under a price for KL: known exactly, because the tree is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.truth.backup import following, sums_along
from rllab.truth.levels import Level


@dataclass(frozen=True, eq=False)
class Optimum:
    """pi* = argmax E[R] - beta KL(pi || pi_ref), with J* = beta log Z at gamma = 1."""

    beta: float  # reward units per nat
    J: float
    logprobs: tuple[Tensor, ...]  # (N, K) nats for each level of the tree
    leaf_logprobs: Tensor  # (L,) nats
    reward: float  # expected, undiscounted
    kl: float  # nats: KL(pi* || pi_ref)


def soft_optimum(
    levels: Sequence[Level], rewards: Sequence[Tensor], ref_logprobs: Sequence[Tensor], *, beta: float, gamma: float
) -> Optimum:
    """Solve V* = beta log sum_a pi_ref(a) exp((r + gamma V*')/beta) from the leaves up; pi* is the summand's share."""
    logprobs, values = [], torch.zeros(0, dtype=torch.float64)
    for level, reward, ref in zip(reversed(levels), reversed(rewards), reversed(ref_logprobs), strict=True):
        tilted = ref + (reward + gamma * following(values, level.child)) / beta
        total = torch.logsumexp(tilted, dim=1)
        values = beta * total
        logprobs.append(tilted - total[:, None])
    logprobs.reverse()
    leaf, ref_leaf = sums_along(levels, logprobs), sums_along(levels, ref_logprobs)
    probs = leaf.exp()
    return Optimum(
        beta=beta,
        J=float(values[0]),
        logprobs=tuple(logprobs),
        leaf_logprobs=leaf,
        reward=float((probs * sums_along(levels, rewards)).sum()),
        kl=float((probs * (leaf - ref_leaf)).sum()),
    )
