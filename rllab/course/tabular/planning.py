"""Planning and old data: look-ahead in a known model, importance weights, and mixed value targets.

Where MuZero learns a model of its game and searches in it, a text game is known: the state after a token is the
text with that token appended, so look-ahead needs nothing learned but V. Borges and Oliveira (2021) mix, in MuZero,
value targets from played games (off-policy: an older policy played them) with targets from games that the present
policy plays inside the model. In a small world bias and variance of every mix are exact.
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


# ---- Look-ahead ----


@dataclass(frozen=True)
class Plan:
    """A response found by looking ahead, its reward, and the number of states read for it."""

    ids: tuple[int, ...]
    paid: float
    states_read: int


def critic_values(tree: Tree, critic: ValueFunction) -> list[Tensor]:
    """Return a critic's value of every state of a tree, (N,) for each level.

    Args:
        tree: The tree.
        critic: The critic.
    """
    passes = [critic.state_values(tree.leaves.select(rows)) for rows in slices(len(tree.leaves), size=ROWS)]
    along = torch.cat(passes).detach().double().cpu()  # (L, T+1)
    below = [torch.empty(len(level.actions), dtype=torch.long) for level in tree.levels]
    for depth in reversed(range(len(below))):
        level = tree.levels[depth]
        ahead = below[depth + 1][level.child.clamp(min=0)] if depth + 1 < len(below) else level.leaf
        below[depth] = torch.where(level.child >= 0, ahead, level.leaf)[:, 0]
    return [along[leaf, depth] for depth, leaf in enumerate(below)]


def planned_values(tree: Tree, values: Sequence[Tensor], *, depth: int) -> list[Tensor]:
    """Return Q (N, K) of each level by look-ahead: the best sum of rewards, then V.

    Args:
        tree: The tree.
        values: V of every state, (N,) for each level.
        depth: How many tokens to look ahead.

    Raises:
        LabError: If the depth is below 1.
    """
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
    """Return one response, each token the best by look-ahead.

    Args:
        tree: The tree.
        values: V of every state, (N,) for each level: the value at the horizon.
        depth: How many tokens to look ahead.

    Raises:
        LabError: If the depth is below 1.
    """
    q = planned_values(tree, values, depth=depth)
    ids, paid, read, row = [], 0.0, 0, 0
    for at, level in enumerate(tree.levels):
        rows, read = torch.tensor([row]), read + 1
        for below in tree.levels[at : at + depth]:  # the states that this token's look-ahead reads
            children = below.child[rows]
            rows = children[children >= 0]
            read += len(rows)
        column = int(q[at][row].argmax())
        ids.append(int(level.actions[row, column]))
        paid += float(tree.rewards[at][row, column])
        row = int(level.child[row, column])
        if row < 0:
            break
    return Plan(tuple(ids), paid, read)


def sampled_mean(tree: Tree) -> float:
    """Return the mean score of plain sampling, without the KL penalty.

    Args:
        tree: The tree.
    """
    return float(tree.leaf_logprobs.exp() @ tree.scores.total.double().cpu())


# ---- Off-policy data ----


@dataclass(frozen=True)
class Mixed:
    """One mix: the share of played returns, and the exact error of the target as an estimate of the present V."""

    share: float
    bias: float
    variance: float

    @property
    def error(self) -> float:
        """Return the mean squared error."""
        return self.bias**2 + self.variance


def importance_weights(present: Tree, behaviour: Tree) -> Tensor:
    """Return pi(y|x) / mu(y|x) of every response, (L,); under mu their mean is 1.

    Args:
        present: The tree of the present policy pi.
        behaviour: The tree of the policy mu that wrote the data.
    """
    return (present.leaf_logprobs - behaviour.leaf_logprobs).exp()


def mixed_targets(
    present: Tree, behaviour: Tree, values: Sequence[Tensor], *, depth: int, shares: Sequence[float]
) -> list[Mixed]:
    """Return the exact error of share x (played return) + (1 - share) x (look-ahead) as an estimate of V.

    V is that of the prompt under the present policy.

    Args:
        present: The tree of the present policy, which plays the look-ahead.
        behaviour: The tree of the older policy, which played the returns.
        values: V at the end of the look-ahead, (N,) for each level.
        depth: How many tokens are sampled in the look-ahead.
        shares: The shares of played returns.

    Raises:
        LabError: If the depth is below 1 or reaches the end of the tree.
    """
    if not 1 <= depth < len(present.levels):
        raise LabError("depth", depth, f"look 1 to {len(present.levels) - 1} tokens ahead")
    played_mean = behaviour.J
    played_variance = float(behaviour.leaf_logprobs.exp() @ (behaviour.leaf_returns - played_mean).square())
    ahead_mean, ahead_variance = _look_ahead_moments(present, values, depth=depth)
    return [
        Mixed(
            share,
            share * played_mean + (1 - share) * ahead_mean - present.J,
            share**2 * played_variance + (1 - share) ** 2 * ahead_variance,
        )
        for share in shares
    ]


def _look_ahead_moments(tree: Tree, values: Sequence[Tensor], *, depth: int) -> tuple[float, float]:
    """Return mean and variance of the rewards of `depth` sampled tokens plus V of the state they lead to."""
    gamma = tree.objective.gamma
    first, second = values[depth], values[depth].square()
    for level, paid in reversed(list(zip(tree.levels[:depth], tree.paid[:depth], strict=True))):
        pi, ahead = level.logprobs.exp(), following(first, level.child)
        first_q = paid + gamma * ahead
        second_q = paid.square() + 2 * gamma * paid * ahead + gamma**2 * following(second, level.child)
        first, second = (pi * first_q).sum(dim=1), (pi * second_q).sum(dim=1)
    return float(first[0]), float(second[0] - first[0].square())
