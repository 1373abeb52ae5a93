"""The one full pass: log-probs, values and entropies of every token of a batch of responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rllab.core.config import check_count
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Sequences
from rllab.maths.divergence import categorical_kl, entropy, selected_logprobs
from rllab.value.critic import ValueFunction, ZeroCritic

if TYPE_CHECKING:
    from rllab.policy.policy import Policy

LOGITS_BUDGET = 128 * 2**20  # bytes of logits that one pass may hold


def evaluate(
    policy: Policy,
    sequences: Sequences,
    *,
    reference: Policy | None = None,
    critic: ValueFunction | None = None,
    temperature: float = 1.0,
    micro_batch_size: int | None = None,
    job: Job = NO_JOB,
) -> Rollout:
    """Compute log-probs, entropies and values of every response token in one full pass.

    Log-probs are those of the temperature-scaled, unfiltered softmax, without dropout and in the same slices as the
    update, so that the ratio of the first epoch is 1.

    Args:
        policy: The policy π.
        sequences: The rows to evaluate.
        reference: The reference π_ref; without one, or while it has the policy's weights, it is the policy itself.
        critic: Estimates V; 0 everywhere without one.
        temperature: Divides the logits of policy and reference.
        micro_batch_size: Rows of one pass; by default as many as fit into the memory budget for logits.
        job: The running job; a stop takes effect between two passes.

    Returns:
        The rows with (B, T) numbers for each token, in nats and reward units.

    Raises:
        LabError: If micro_batch_size is not a whole number of at least 1.
        Stopped: If the job was asked to end.
    """
    if micro_batch_size is not None:
        check_count("micro_batch_size", micro_batch_size)
    size = micro_batch_size or rows_within_budget(policy, sequences)
    parts: list[tuple[Tensor, ...]] = []
    while len(parts) * size < len(sequences):  # again from the start where another thread changed the weights
        parts, weights = [], policy.weights
        for rows in slices(len(sequences), size=size):
            job.check()
            # one slice at a time, so that a step on a page need not wait for the whole pass
            with torch.no_grad(), policy.lock:
                if policy.weights is not weights:
                    break
                part = _evaluate_rows(policy, sequences.select(rows), reference, critic or ZeroCritic(), temperature)
            parts.append(part)
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    named: dict[str, Any] = dict(zip(COLUMNS, columns, strict=True))
    shared = {name: getattr(sequences, name) for name in Sequences.__dataclass_fields__}
    return Rollout(**shared, **named, temperature=temperature)


COLUMNS = ("logprobs", "ref_logprobs", "values", "entropies", "exact_kl", "bootstrap")


def _evaluate_rows(
    policy: Policy, rows: Sequences, reference: Policy | None, critic: ValueFunction, temperature: float
) -> tuple[Tensor, ...]:
    """Evaluate one slice; the tensors are named in COLUMNS."""
    mask = rows.response_mask
    logits = policy.logits(rows, temperature=temperature)  # (b, T, A)
    logprobs = torch.where(mask, selected_logprobs(logits, rows.response_tokens), 0.0)
    ref_logprobs, exact_kl = logprobs, torch.zeros_like(logprobs)
    if reference is not None and reference.weights is not policy.weights:
        ref_logits = reference.logits(rows, temperature=temperature)
        ref_logprobs = torch.where(mask, selected_logprobs(ref_logits, rows.response_tokens), 0.0)
        exact_kl = torch.where(mask, categorical_kl(logits, ref_logits), 0.0)
    entropies = torch.where(mask, entropy(logits), 0.0)
    values = critic.state_values(rows).to(logprobs.dtype)  # (b, T+1)
    after = values.gather(1, rows.lengths[:, None])[:, 0]  # V(s_T) of each row
    bootstrap = torch.where(rows.ended, 0.0, after)
    return logprobs, ref_logprobs, torch.where(mask, values[:, :-1], 0.0), entropies, exact_kl, bootstrap


def slices(rows: int, *, size: int) -> Iterator[slice]:
    """Cut rows into consecutive slices.

    Args:
        rows: Number of rows.
        size: Most rows of one slice.

    Yields:
        The slices in their order.
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def rows_within_budget(policy: Policy, sequences: Sequences) -> int:
    """Return how many rows fit into one pass, by the memory of their logits.

    Args:
        policy: The policy that reads them.
        sequences: The rows.

    Returns:
        At least 1.
    """
    width = sequences.response_mask.shape[1] + 1
    per_row = 3 * width * policy.vocabulary * policy.dtype.itemsize
    return max(1, LOGITS_BUDGET // per_row)
