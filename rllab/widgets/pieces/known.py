"""What is known exactly without waiting: the trees of small worlds, each read once while its policy stays as it is."""

from __future__ import annotations

from functools import lru_cache

from rllab.objective import Objective
from rllab.truth import Tree, exact
from rllab.truth.enumeration import count_leaves
from rllab.truth.prefixes import horizon_of
from rllab.worlds import World

AT_ONCE = 30_000  # leaves: read in about a second, so no Stop is needed
KEPT = 6  # trees


def is_small(world: World, prompt: str) -> bool:
    """Tell whether every response to a prompt can be read at once."""
    horizon = horizon_of(world, world.policy.encode(prompt))
    return count_leaves(world.policy.vocabulary, horizon=horizon) <= AT_ONCE


def small_tree(world: World, prompt: str) -> Tree | None:
    """Return the exact tree of a prompt of a small world; None where it would take long."""
    if not is_small(world, prompt):
        return None
    return _tree(world, prompt, world.objective, world.policy.weights, world.reference.weights)


@lru_cache(maxsize=KEPT)
def _tree(world: World, prompt: str, objective: Objective, policy: object, reference: object) -> Tree:
    """Read a tree; the tokens of the weights make sure that it is read again when one has learned."""
    del policy, reference
    return exact(world, prompt, objective=objective)
