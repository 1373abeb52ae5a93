"""What is known exactly without waiting: the trees of small worlds, each read once while its policy stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rllab.core.errors import LabError
from rllab.truth import Tree, exact
from rllab.truth.enumeration import check_size, count_leaves
from rllab.value.objective import Objective
from rllab.worlds import World
from rllab.worlds.prefixes import horizon_of

AT_ONCE = 30_000  # leaves: read in about a second, so no Stop is needed
KEPT = 6  # trees
FIRST_LOOK = (3, 4)  # tokens of each state, and depth, in a world too large to be read whole


@dataclass(frozen=True)
class Cut:
    """The part of a tree that is read: the likeliest tokens of each state (0: all of them), to a horizon."""

    top_k: int
    horizon: int
    longest: int  # the horizon behind which there is nothing

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is cut away."""
        return self.top_k == 0 and self.horizon >= self.longest

    @property
    def words(self) -> str:
        """Name the kind of truth, and say what the cut means."""
        if self.is_whole:
            return "exact: every response is read"
        ends = f"a text longer than {self.horizon} tokens ends there"
        if not self.top_k:
            return f"exact under horizon {self.horizon}: {ends}"
        kept = f"only the {self.top_k} likeliest tokens of a state are followed, as if \u03c0 knew no others"
        return f"exact under top-k {self.top_k}, horizon {self.horizon}: {kept}; {ends}"


def first_look(world: World, prompt: str) -> Cut:
    """Return the part to begin with: the whole if it can be read, else what takes about a second."""
    ids = world.policy.encode(prompt)
    (top_k, horizon), longest = FIRST_LOOK, horizon_of(world, ids)
    try:
        check_size(world.policy, ids, horizon=longest, top_k=0)
    except LabError:
        return Cut(top_k, min(horizon, longest), longest)
    return Cut(0, longest, longest)


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
