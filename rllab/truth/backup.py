"""From what is paid at the leaves to what every state is worth: Bellman's equations, once through the tree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.truth.levels import Level

LOOKS_AHEAD = 1e-6  # largest difference between two accounts of the same row, relative to its size


def edge_rewards(levels: Sequence[Level], per_token: Tensor, *, reward: str) -> list[Tensor]:
    """Return what is paid for each action, (N, K) for each level; per_token (L, T) is what is paid along each leaf.

    A payment may depend on the text up to its token alone, or it would not belong to one edge of the tree.
    """
    below = _some_leaf(levels)
    rewards = [per_token[leaf, depth] for depth, leaf in enumerate(below)]
    along = sums_along(levels, rewards)
    rows = per_token.sum(dim=1)
    if bool(((along - rows).abs() > LOOKS_AHEAD * (1 + rows.abs())).any()):
        remedy = "it pays for a token by what is written after it; let it judge each prefix by itself"
        raise LabError("reward", reward, remedy)
    return rewards


def paid_edges(
    levels: Sequence[Level], rewards: Sequence[Tensor], ref_logprobs: Sequence[Tensor], *, kl_coef: float
) -> list[Tensor]:
    """Return r - kl_coef (log pi - log pi_ref) for each action, (N, K); one that is never chosen pays no KL."""
    if kl_coef == 0.0:
        return list(rewards)
    return [
        reward - kl_coef * torch.where(level.logprobs.exp() > 0, level.logprobs - ref, 0.0)
        for level, reward, ref in zip(levels, rewards, ref_logprobs, strict=True)
    ]


def back_up(
    levels: Sequence[Level], rewards: Sequence[Tensor], *, gamma: float
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return Q (N, K) and V (N,) of each level: Q = r + gamma V', V = sum_a pi(a) Q(a)."""
    q, v = [], [torch.zeros(0, dtype=torch.float64)]
    for level, reward in zip(reversed(levels), reversed(rewards), strict=True):
        q.append(reward + gamma * following(v[-1], level.child))
        v.append((level.logprobs.exp() * q[-1]).sum(dim=1))
    return tuple(q[::-1]), tuple(v[:0:-1])


def following(values: Tensor, child: Tensor) -> Tensor:
    """Return the values (N', ) of the next level's rows that actions lead to, (N, K); 0 where the response is over."""
    if len(values) == 0:
        return torch.zeros(child.shape, dtype=torch.float64)
    return torch.where(child >= 0, values[child.clamp(min=0)], 0.0)


def reached(levels: Sequence[Level], logprobs: Sequence[Tensor]) -> list[Tensor]:
    """Return the log-prob of being in each state under a policy, (N,) for each level."""
    reach = [torch.zeros(1, dtype=torch.float64)]
    for level, chosen in zip(levels[:-1], logprobs, strict=False):
        reach.append((reach[-1][:, None] + chosen)[level.child >= 0])
    return reach


def at_leaves(levels: Sequence[Level], edges: Sequence[Tensor]) -> Tensor:
    """Collect, in the order of the leaves, numbers (N, K) that belong to the actions which end a response."""
    return torch.cat([edge[level.leaf >= 0] for level, edge in zip(levels, edges, strict=True)])


def sums_along(levels: Sequence[Level], edges: Sequence[Tensor]) -> Tensor:
    """Add numbers of actions (N, K) up along each response, (L,)."""
    before, sums = torch.zeros(1, dtype=torch.float64), []
    for level, edge in zip(levels, edges, strict=True):
        sums.append(before[:, None] + edge)
        before = sums[-1][level.child >= 0]
    return at_leaves(levels, sums)


def _some_leaf(levels: Sequence[Level]) -> list[Tensor]:
    """Return a leaf below each action, (N, K) for each level."""
    below: list[Tensor] = []
    for level in reversed(levels):
        first = below[-1][:, 0] if below else level.child[:0, 0]
        deeper = first[level.child.clamp(min=0)] if len(first) else level.child
        below.append(torch.where(level.child >= 0, deeper, level.leaf))
    return below[::-1]
