"""One update of a run with all its tensors kept: what every per-token view is drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import LossTerms, Rollout, Scores, Targets
from rllab.trainer.stages import Phase
from rllab.trainer.trainer import Trainer


@dataclass(frozen=True, eq=False)
class OpenedUpdate:
    """The records of one update, the micro-batches of each epoch put together again."""

    rollout: Rollout
    scores: Scores
    targets: Targets
    epochs: tuple[LossTerms, ...]  # one for each optimizer step, as it was just before that step
    metrics: Mapping[str, float]


def open_update(trainer: Trainer, *, job: Job = NO_JOB) -> OpenedUpdate:
    """Run one update and keep what each stage made; the run moves on exactly as by `update()`.

    Args:
        trainer: The run; it moves on by one update.
        job: Stopping it raises Stopped.

    Returns:
        The records of all stages, with their full tensors.
    """
    kept: dict[str, Any] = {}
    losses: dict[int, list[LossTerms]] = {}
    loop = trainer.phases(job=job)
    while True:
        try:
            phase: Phase = next(loop)
        except StopIteration as end:
            epochs = tuple(_joined(parts) for parts in losses.values())
            return OpenedUpdate(kept["rollout"], kept["score"], kept["targets"], epochs, end.value)
        if isinstance(phase.record, LossTerms):
            losses.setdefault(phase.epoch, []).append(phase.record)
        else:
            kept[phase.name] = phase.record


def token_rows(trainer: Trainer, opened: OpenedUpdate) -> Iterator[dict[str, Any]]:
    """Yield each response of an update as one JSON-able row: lists over its tokens under the names of the records.

    `logprobs` are those of the policy that wrote the text; `ratio` and `clipped` belong to the last epoch.
    """
    rows, columns = opened.rollout, token_columns(opened)
    for row in range(len(rows)):
        ids = rows.response_ids(row)
        numbers = {name: column[row, : len(ids)].tolist() for name, column in columns.items()}
        yield {
            "update": trainer.index,
            "row": row,
            "group": int(rows.group[row]),
            "prompt": rows.prompts[row],
            "response": rows.responses[row],
            "ended": bool(rows.ended[row]),
            "score": float(opened.scores.total[row]),
            "token_ids": ids,
            "tokens": [trainer.world.policy.token_text(token) for token in ids],
        } | numbers


def token_columns(opened: OpenedUpdate) -> dict[str, Tensor]:
    """Return what is known of every token, (B, T) each, under the names of the records."""
    rows, targets, last = opened.rollout, opened.targets, opened.epochs[-1]
    return {
        "logprobs": rows.logprobs,
        "ref_logprobs": rows.ref_logprobs,
        "values": rows.values,
        "entropies": rows.entropies,
        "paid": opened.scores.per_token,
        "kl": targets.kl,
        "rewards": targets.rewards,
        "advantages": targets.advantages,
        "policy_weights": targets.policy_weights,
        "returns": targets.returns,
        "ratio": last.ratio,
        "clipped": last.clipped,
        "loss_mask": targets.loss_mask,
    }


def _joined(parts: Sequence[LossTerms]) -> LossTerms:
    """Put the micro-batches of one epoch together: rows one below the other, shares of the loss added up."""
    stats: dict[str, float] = {}
    for part in parts:
        stats = {name: stats.get(name, 0.0) + value for name, value in part.stats.items()}
    return LossTerms(
        loss=torch.stack([part.loss for part in parts]).sum(),
        logprobs=torch.cat([part.logprobs for part in parts]),
        ratio=torch.cat([part.ratio for part in parts]),
        clipped=torch.cat([part.clipped for part in parts]),
        stats=stats,
    )
