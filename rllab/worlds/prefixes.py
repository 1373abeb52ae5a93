"""Prefixes of responses: how long one may grow, when it is over, and which ones there cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.core.records import Scores, Sequences
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.value.evaluation import slices
from rllab.value.objective import Objective
from rllab.worlds.world import World, as_world

# ---- Prefixes of responses: how long one may grow, when it is over, and which ones there cannot be ----


def horizon_of(world: World, prompt_ids: Sequence[int]) -> int:
    """Return the largest number of response tokens: the world's limit, or the room that the model has left."""
    return min(world.max_new_tokens, world.policy.context - len(prompt_ids))


def is_over(prefix: Sequence[int], *, eos: int, horizon: int) -> bool:
    """Tell whether nothing is written behind a prefix any more: it has ended, or reached the limit."""
    return len(prefix) >= horizon or (len(prefix) > 0 and prefix[-1] == eos)


def objective_of(world: object, objective: object) -> Objective:
    """Return what is asked about: an objective, or that of the world; anything else is refused in a sentence."""
    own = as_world(world).objective
    chosen = own if objective is None else objective
    if not isinstance(chosen, Objective):
        raise LabError("objective", chosen, "give an Objective, as world.objective is one")
    return chosen


def check_prefixes(policy: Policy, prefixes: object, *, horizon: int) -> None:
    """Refuse what is no list of beginnings of responses."""
    if not isinstance(prefixes, Sequence):
        raise LabError("prefixes", prefixes, "give a list of them, such as [(), (3,)]")
    for prefix in prefixes:
        check_prefix(policy, prefix, horizon=horizon)


def check_prefix(policy: Policy, prefix: object, *, horizon: int) -> None:
    """Refuse token ids that can be no beginning of a response."""
    if not isinstance(prefix, Sequence):
        raise LabError("prefix", prefix, "give the token ids of the response so far; () is the prompt alone")
    for place, token in enumerate(prefix):
        if not is_whole(token, high=policy.vocabulary - 1):
            remedy = f"token {place + 1} has the id {token!r}; this vocabulary has the ids 0 to {policy.vocabulary - 1}"
            raise LabError("prefix", tuple(prefix), remedy)
        if token == policy.eos_id and place + 1 < len(prefix):
            raise LabError("prefix", tuple(prefix), f"the response is over after token {place + 1}; nothing follows it")
    if len(prefix) > horizon:
        raise LabError("prefix", tuple(prefix), f"a response has at most {horizon} tokens here")


# ---- What is paid for each token of many responses, and of those that need not be over ----

AT_ONCE = 8192  # tokens: a fraction of a second, so that Stop need not wait


def scored(
    objective: Objective,
    rows: Sequences,
    *,
    job: Job,
    at_once: int = AT_ONCE,
    count: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Score many rows, about `at_once` tokens at a time; `count` is told how many are done."""
    found = []
    for some in slices(len(rows), size=max(1, at_once // rows.tokens.shape[1])):
        job.check()
        found.append(objective.score(rows.select(some)))
        count(some.stop)
    parts = {name: torch.cat([scores.parts[name] for scores in found]) for name in found[0].parts}
    return Scores(
        torch.cat([scores.total for scores in found]), parts, torch.cat([scores.per_token for scores in found])
    )


def open_ended(policy: Policy, prompt: str, rows: Sequence[Sequence[int]], *, horizon: int) -> Sequences:
    """Lay out responses; one that is not over gets one token more, so that nobody takes its last token for its end."""
    filler = 0 if policy.eos_id else 1  # any token but the end
    longer = [row if is_over(row, eos=policy.eos_id, horizon=horizon) else (*row, filler) for row in rows]
    return sequences_from_ids(policy, [prompt] * len(rows), longer)
