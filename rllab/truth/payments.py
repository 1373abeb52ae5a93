"""What is paid for each token of a response that need not be over."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.generation import sequences_from_ids
from rllab.policy import Policy
from rllab.records import Sequences
from rllab.truth.prefixes import is_over


def open_ended(policy: Policy, prompt: str, rows: Sequence[Sequence[int]], *, horizon: int) -> Sequences:
    """Lay out responses; one that is not over gets one token more, so that nobody takes its last token for its end."""
    filler = 0 if policy.eos_id else 1  # any token but the end
    longer = [row if is_over(row, eos=policy.eos_id, horizon=horizon) else (*row, filler) for row in rows]
    return sequences_from_ids(policy, [prompt] * len(rows), longer)
