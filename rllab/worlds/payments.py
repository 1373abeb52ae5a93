"""What is paid for each token of many responses, and of those that need not be over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch

from rllab.core.errors import Stopped
from rllab.core.records import Scores, Sequences
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.value.evaluation import slices
from rllab.value.objective import Objective
from rllab.worlds.prefixes import is_over

AT_ONCE = 8192  # tokens: a fraction of a second, so that Stop need not wait


def scored(
    objective: Objective,
    rows: Sequences,
    *,
    stop: threading.Event | None,
    at_once: int = AT_ONCE,
    count: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Score many rows, about `at_once` tokens at a time; `count` is told how many are done."""
    found = []
    for some in slices(len(rows), size=max(1, at_once // rows.tokens.shape[1])):
        if stop is not None and stop.is_set():
            raise Stopped
        found.append(objective.score(rows.select(some)))
        count(some.stop)
    parts = {name: torch.cat([one.parts[name] for one in found]) for name in found[0].parts}
    return Scores(torch.cat([one.total for one in found]), parts, torch.cat([one.per_token for one in found]))


def open_ended(policy: Policy, prompt: str, rows: Sequence[Sequence[int]], *, horizon: int) -> Sequences:
    """Lay out responses; one that is not over gets one token more, so that nobody takes its last token for its end."""
    filler = 0 if policy.eos_id else 1  # any token but the end
    longer = [row if is_over(row, eos=policy.eos_id, horizon=horizon) else (*row, filler) for row in rows]
    return sequences_from_ids(policy, [prompt] * len(rows), longer)
