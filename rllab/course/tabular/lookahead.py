"""Plan before you write: the model of a text is free (append the token), so look-ahead needs nothing learned but V.

Where MuZero learns a model of its game and searches in it, a text game is known: the state after a token is the
text with the token behind it. Looking d tokens ahead means max over all continuations of d tokens of what they are
paid plus V of where they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.truth import Tree
from rllab.truth.levels import following
from rllab.value.critic import ValueFunction
from rllab.value.evaluation import slices

ROWS = 1024  # leaves in one pass of a critic: a whole tree at once would take gigabytes


@dataclass(frozen=True)
class Plan:
    """A response found by looking ahead, what it is paid in all, and how many states were read for it."""

    ids: tuple[int, ...]
    paid: float
    states_read: int


def critic_values(tree: Tree, critic: ValueFunction) -> list[Tensor]:
    """Return what a critic says of every state of a tree, (N,) for each level."""
    passes = [critic.state_values(tree.leaves.select(rows)) for rows in slices(len(tree.leaves), size=ROWS)]
    along = torch.cat(passes).detach().double().cpu()  # (L, T+1)
    below = [torch.empty(len(level.actions), dtype=torch.long) for level in tree.levels]
    for depth in reversed(range(len(below))):
        level = tree.levels[depth]
        ahead = below[depth + 1][level.child.clamp(min=0)] if depth + 1 < len(below) else level.leaf
        below[depth] = torch.where(level.child >= 0, ahead, level.leaf)[:, 0]
    return [along[leaf, depth] for depth, leaf in enumerate(below)]


def planned_values(tree: Tree, values: Sequence[Tensor], *, depth: int) -> list[Tensor]:
    """Return Q (N, K) of each level when looking `depth` tokens ahead: the best sum of payments, then V."""
    if depth < 1:
        raise LabError("depth", depth, "look at least 1 token ahead")
    worth = list(values)
    q: list[Tensor] = []
    for _ in range(depth):
        beyond = [*worth[1:], torch.zeros(0, dtype=torch.float64)]
        q = [
            paid + tree.objective.gamma * following(after, level.child)
            for level, paid, after in zip(tree.levels, tree.rewards, beyond, strict=True)
        ]
        worth = [one.max(dim=1).values for one in q]
    return q


def look_ahead(tree: Tree, values: Sequence[Tensor], *, depth: int) -> Plan:
    """Write one response, each token the best by looking `depth` tokens ahead; V at the horizon comes from `values`."""
    q = planned_values(tree, values, depth=depth)
    ids, paid, read, row = [], 0.0, 0, 0
    for at, level in enumerate(tree.levels):
        read += _states_below(tree, at, row, depth=depth)
        column = int(q[at][row].argmax())
        ids.append(int(level.actions[row, column]))
        paid += float(tree.rewards[at][row, column])
        row = int(level.child[row, column])
        if row < 0:
            break
    return Plan(tuple(ids), paid, read)


def sampled_mean(tree: Tree) -> float:
    """Return what plain sampling is paid on average, KL left out."""
    return float(tree.leaf_logprobs.exp() @ tree.scores.total.double().cpu())


def _states_below(tree: Tree, at: int, row: int, *, depth: int) -> int:
    """Return how many states are read to look `depth` tokens ahead from one state, that one included."""
    rows, read = torch.tensor([row]), 1
    for level in tree.levels[at : at + depth]:
        children = level.child[rows]
        rows = children[children >= 0]
        read += len(rows)
    return read
