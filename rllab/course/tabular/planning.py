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

# ---- Plan before you write: the model of a text is free (append the token), so look-ahead needs nothing l ----

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
        worth = [estimate.max(dim=1).values for estimate in q]
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


# ---- Old data for a new policy: importance weights, and value targets that mix played and simulated conti ----


@dataclass(frozen=True)
class Mixed:
    """One mix: the share of played returns, and the exact error of the target as an estimate of V under the present."""

    share: float
    bias: float
    variance: float

    @property
    def error(self) -> float:
        """Return the mean squared error."""
        return self.bias**2 + self.variance


def importance_weights(present: Tree, behaviour: Tree) -> Tensor:
    """Return pi(y|x) / mu(y|x) of every response, (L,): they average 1 under mu."""
    return (present.leaf_logprobs - behaviour.leaf_logprobs).exp()


def effective_sample_size(weights: Tensor) -> float:
    """Return (sum w)^2 / sum w^2: as many equally weighted samples would say as much."""
    return float(weights.sum().square() / weights.square().sum())


def mixed_targets(
    present: Tree, behaviour: Tree, values: Sequence[Tensor], *, depth: int, shares: Sequence[float]
) -> list[Mixed]:
    """Return the exact error of share x (return played by `behaviour`) + (1 - share) x (look-ahead by `present`).

    Both estimate V of the prompt under `present`. The look-ahead samples `depth` tokens and then trusts `values`.
    """
    if not 1 <= depth < len(present.levels):
        raise LabError("depth", depth, f"look 1 to {len(present.levels) - 1} tokens ahead")
    played_mean = behaviour.J
    played_variance = float(behaviour.leaf_logprobs.exp() @ (behaviour.leaf_returns - played_mean).square())
    ahead_mean, ahead_variance = _moments(present, values, depth=depth)
    return [
        Mixed(
            share,
            share * played_mean + (1 - share) * ahead_mean - present.J,
            share**2 * played_variance + (1 - share) ** 2 * ahead_variance,
        )
        for share in shares
    ]


def _moments(tree: Tree, values: Sequence[Tensor], *, depth: int) -> tuple[float, float]:
    """Return mean and variance of what `depth` sampled tokens are paid plus V of where they lead."""
    gamma = tree.objective.gamma
    first, second = values[depth], values[depth].square()
    for level, paid in reversed(list(zip(tree.levels[:depth], tree.paid[:depth], strict=True))):
        pi, ahead = level.logprobs.exp(), following(first, level.child)
        first_q = paid + gamma * ahead
        second_q = paid.square() + 2 * gamma * paid * ahead + gamma**2 * following(second, level.child)
        first, second = (pi * first_q).sum(dim=1), (pi * second_q).sum(dim=1)
    return float(first[0]), float(second[0] - first[0].square())
