"""Prefixes of responses: how long one may grow, when it is over, and which ones there cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.errors import LabError
from rllab.policy import Policy
from rllab.worlds.world import World


def horizon_of(world: World, prompt_ids: Sequence[int]) -> int:
    """Return the largest number of response tokens: the world's limit, or the room that the model has left."""
    return min(world.max_new_tokens, world.policy.context - len(prompt_ids))


def is_over(prefix: Sequence[int], *, eos: int, horizon: int) -> bool:
    """Tell whether nothing is written behind a prefix any more: it has ended, or reached the limit."""
    return len(prefix) >= horizon or (len(prefix) > 0 and prefix[-1] == eos)


def check_prefix(policy: Policy, prefix: Sequence[int], *, horizon: int) -> None:
    """Refuse token ids that can be no beginning of a response."""
    for place, token in enumerate(prefix):
        if not 0 <= token < policy.vocabulary:
            remedy = f"token {place + 1} has the id {token}; this vocabulary has the ids 0 to {policy.vocabulary - 1}"
            raise LabError("prefix", tuple(prefix), remedy)
        if token == policy.eos_id and place + 1 < len(prefix):
            raise LabError("prefix", tuple(prefix), f"the response is over after token {place + 1}; nothing follows it")
    if len(prefix) > horizon:
        raise LabError("prefix", tuple(prefix), f"a response has at most {horizon} tokens here")
