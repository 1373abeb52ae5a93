"""Rows that share their beginnings, as the leaves of a tree do: each beginning is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rllab.policy.forward import next_scalar, state_scalars

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rllab.core.records import Sequences

MANY = 1024  # rows; for fewer, looking for what they share costs more than it saves


def shared_state_scalars(model: PreTrainedModel, sequences: Sequences) -> Tensor:
    """Return what `state_scalars` does, (B, T+1), faster where most rows differ in their last column alone."""
    rows = len(sequences)
    if rows < MANY:
        return state_scalars(model, sequences)
    beginnings = _beginnings(sequences)
    if int(beginnings[-2].max()) >= rows // 2:
        return state_scalars(model, sequences)
    return _column_by_column(model, sequences, beginnings[sequences.prompt_width - 1 :])


def _beginnings(sequences: Sequences) -> list[Tensor]:
    """Number, for each column, the distinct texts up to it: the number of each row's, (B,)."""
    marked = torch.where(sequences.attention_mask, sequences.tokens + 1, 0)
    size, number, beginnings = int(marked.max()) + 1, torch.zeros_like(marked[:, 0]), []
    for column in marked.unbind(dim=1):
        number = torch.unique(number * size + column, return_inverse=True)[1]
        beginnings.append(number)
    return beginnings


def _column_by_column(model: PreTrainedModel, sequences: Sequences, beginnings: list[Tensor]) -> Tensor:
    """Read the distinct prompts, then column after column what is distinct; `beginnings` starts with the prompts."""
    from transformers import DynamicCache

    tokens, mask, cache = sequences.tokens, sequences.attention_mask, DynamicCache()
    scalars, start, before = [], 0, None
    for end, number in enumerate(beginnings, start=sequences.prompt_width):
        places = torch.arange(len(number), device=number.device)
        example = torch.empty(int(number.max()) + 1, dtype=torch.long, device=number.device)
        example.scatter_(0, number, places)  # a row for each beginning, no matter which
        if before is not None:
            cache.batch_select_indices(before[example])
        scalars.append(next_scalar(model, tokens[example, start:end], mask[example, :end], cache)[number])
        start, before = end, number
    return torch.stack(scalars, dim=1)
