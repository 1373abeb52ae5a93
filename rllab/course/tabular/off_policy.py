"""Old data for a new policy: importance weights, and value targets that mix played and simulated continuations.

Borges and Oliveira (2021) mix, in MuZero, value targets from played games (off-policy: an older policy played them)
with targets from games that the present policy plays inside the model. For text the model is exact, and in a small
world so are bias and variance of every mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rllab.core.errors import LabError
from rllab.truth import Tree
from rllab.truth.levels import following


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
