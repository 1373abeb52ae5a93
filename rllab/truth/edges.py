"""One state of an exact tree, action by action: what Bellman's equation adds up there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rllab.truth.tree import Tree


@dataclass(frozen=True)
class Edge:
    """One action in one state with the terms of its value: Q = reward - price of KL + gamma V'."""

    token_id: int
    prob: float
    reward: float  # what is paid for it
    price: float  # kl_coef (log pi - log pi_ref), in reward units
    behind: float  # gamma V of the state that it leads to; 0 where the response is over
    over: bool  # nothing follows it
    q: float


def edges(tree: Tree, prefix: Sequence[int]) -> list[Edge]:
    """Return the actions behind a prefix, likeliest first; their q averaged by prob is V of the prefix."""
    depth, row = tree._state(prefix)
    level = tree.levels[depth]
    rewards, paid, q = (one[depth][row].tolist() for one in (tree.rewards, tree.paid, tree.q))
    found = [
        Edge(token, prob, reward, reward - net, worth - net, child < 0, worth)
        for token, prob, reward, net, worth, child in zip(
            level.actions[row].tolist(),
            level.logprobs[row].exp().tolist(),
            rewards,
            paid,
            q,
            level.child[row].tolist(),
            strict=True,
        )
    ]
    return sorted(found, key=lambda edge: -edge.prob)
