"""The full pass over padded rows: position ids and the logit shift are computed here and nowhere else."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

    from rllab.core.records import Sequences


def position_ids(attention_mask: Tensor) -> Tensor:
    """Return the position of each token among the real tokens of its row.

    Padding on the left must not move a token: else a model with absolute positions would read another text.
    Padding itself gets position 0, which no real token's computation can see.

    Args:
        attention_mask: Which tokens are real, (B, L).

    Returns:
        Positions, (B, L) long.
    """
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)


def states(columns: Tensor, prompt_width: int) -> Tensor:
    """Return the columns of a full pass that belong to the states s_0..s_T.

    A causal model's output at column j has read the tokens up to and with j. State t is the prompt and the
    first t response tokens, so it is read off column P - 1 + t: this is the shift by one.

    Args:
        columns: Outputs of a full pass, (B, P+T, ...).
        prompt_width: P.

    Returns:
        The outputs at the states, (B, T+1, ...).
    """
    return columns[:, prompt_width - 1 :]


class Trunk(Protocol):
    """Blocks that several networks share; see `rllab.policy.trunk`."""

    def enter(self, model: PreTrainedModel, sequences: Sequences) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """Return what is left to run of a model, and the input that it starts from.

        Args:
            model: The model.
            sequences: The rows to read.

        Returns:
            The model without the shared blocks, and its inputs by name.
        """
        ...


def action_logits(model: PreTrainedModel, sequences: Sequences, *, trunk: Trunk | None = None) -> Tensor:
    """Return the logits that chose each response token; only these columns are projected.

    Args:
        model: A causal language model.
        sequences: The rows to read.
        trunk: Frozen blocks that have read the rows already, if any.

    Returns:
        Unscaled logits, (B, T, A).
    """
    width = sequences.tokens.shape[1] - sequences.prompt_width
    rest, inputs, back = _inputs(model, sequences, trunk)
    output = rest(**inputs, use_cache=False, logits_to_keep=width + 1)
    logits: Tensor = output.logits  # (U, T+1, A): the states s_0..s_T
    return logits[back, :-1]


def state_features(model: PreTrainedModel, sequences: Sequences, *, trunk: Trunk | None = None) -> Tensor:
    """Return a network's last hidden layer at every state s_0..s_T.

    Args:
        model: Any network with a causal trunk.
        sequences: The rows to read.
        trunk: Frozen blocks that have read the rows already, if any.

    Returns:
        Features, (B, T+1, H).
    """
    base: Any = model.base_model
    rest, inputs, back = _inputs(base, sequences, trunk)
    output = rest(**inputs, use_cache=False)
    return states(output.last_hidden_state, sequences.prompt_width)[back]


def _inputs(
    model: PreTrainedModel, sequences: Sequences, trunk: Trunk | None
) -> tuple[PreTrainedModel, dict[str, Tensor], Tensor | slice]:
    """Return what is to be run, on what, and which of the U rows that come out each row of the batch is.

    Rows that are alike are read once: a policy that has learned a small world writes the same texts again and again.
    """
    mask, rest = sequences.attention_mask, model
    if trunk is None:
        rows, back = distinct_rows(torch.where(mask, sequences.tokens, -1))
        start = {"input_ids": sequences.tokens[rows]}
    else:  # what its blocks made of a batch is kept by the batch's own memory, so the batch stays whole
        rows, back = slice(None), slice(None)
        rest, start = trunk.enter(model, sequences)
    return rest, {**start, "attention_mask": mask[rows].long(), "position_ids": position_ids(mask[rows])}, back


def distinct_rows(table: Tensor) -> tuple[Tensor | slice, Tensor | slice]:
    """Find the distinct rows of a table.

    Args:
        table: Integers, (B, L).

    Returns:
        One row number for each distinct row, (U,), and for each row which of these it is, (B,); slices over all
        where no two rows are alike.
    """
    kinds, back = torch.unique(table, dim=0, return_inverse=True)
    if len(kinds) == len(table):
        return slice(None), slice(None)
    places = torch.arange(len(table), device=table.device)
    return torch.zeros_like(places[: len(kinds)]).scatter_(0, back, places), back


def end_features(model: PreTrainedModel, sequences: Sequences) -> Tensor:
    """Return the features of each whole row, read at its last token, without gradient.

    Args:
        model: Any network with a causal trunk.
        sequences: The rows to read.

    Returns:
        Features, (B, H).
    """
    with torch.no_grad():
        features = state_features(model, sequences)  # (B, T+1, H)
    return features[torch.arange(len(sequences), device=features.device), sequences.lengths]


def state_scalars(model: PreTrainedModel, sequences: Sequences, *, trunk: Trunk | None = None) -> Tensor:
    """Return the number that a one-label model reads off every state s_0..s_T.

    The model is a trunk with a linear `score` head (transformers' `...ForSequenceClassification`). Its own
    forward looks for the last token by the pad id; the head is applied to every state here instead.

    Args:
        model: A one-label model.
        sequences: The rows to read.
        trunk: Frozen blocks that have read the rows already, if any.

    Returns:
        One number for each state, (B, T+1).
    """
    features = state_features(model, sequences, trunk=trunk)
    scalars: Tensor = model.get_submodule("score")(features).squeeze(-1)  # (B, T+1)
    return scalars


def next_logits(model: PreTrainedModel, columns: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """Read new columns after those in the cache, and return the logits of the next token.

    Args:
        model: A causal language model.
        columns: Token ids of the new columns, (B, L).
        mask: Which tokens are real, in all columns so far.
        cache: What the model has read before; it grows.

    Returns:
        Unscaled logits, (B, A).
    """
    output = model(
        input_ids=columns,
        attention_mask=mask.long(),
        position_ids=position_ids(mask)[:, -columns.shape[1] :],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits
    return logits[:, -1]


def next_scalar(model: PreTrainedModel, columns: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """Read new columns after those in the cache, and return a one-label model's number there.

    Args:
        model: A one-label model.
        columns: Token ids of the new columns, (B, L).
        mask: Which tokens are real, in all columns so far.
        cache: What the model has read before; it grows.

    Returns:
        One number for each row, (B,).
    """
    output = model.base_model(
        input_ids=columns,
        attention_mask=mask.long(),
        position_ids=position_ids(mask)[:, -columns.shape[1] :],
        past_key_values=cache,
        use_cache=True,
    )
    scalar: Tensor = model.get_submodule("score")(output.last_hidden_state[:, -1]).squeeze(-1)
    return scalar


def without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Set every dropout of a model to zero for good, and switch to evaluation mode.

    A log-prob under dropout is a log-prob of another policy: the ratio of the first epoch would not be 1.

    Args:
        model: The model to change.

    Returns:
        The same model.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.eval()
    return model


def copy_sharing_frozen(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy whose trainable parameters are its own and whose frozen ones use the same memory.

    A large model's policy, reference and critic differ in their last blocks only. Sharing is safe because
    optimizers and snapshots write to trainable parameters alone, and `policy.choose_trainable` gives a frozen
    parameter memory of its own before it makes it trainable.

    Args:
        model: The model to copy.

    Returns:
        The copy.
    """
    shared = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for parameter in model.parameters()
        if not parameter.requires_grad
    }
    return copy.deepcopy(model, shared)


def on_device(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """Move a model; transformers' own `to` has no types.

    Args:
        model: The model to move.
        device: Where it is to compute.

    Returns:
        The same model.
    """
    nn.Module.to(model, torch.device(device))
    return model


# ---- Rows that share their beginnings, as the leaves of a tree do: each beginning is read once ----

MANY = 1024  # rows; for fewer, looking for what they share costs more than it saves


def shared_state_scalars(model: PreTrainedModel, sequences: Sequences) -> Tensor:
    """Return what `state_scalars` does, faster where most rows differ in their last column alone.

    Args:
        model: A one-label model.
        sequences: The rows to read.

    Returns:
        One number for each state, (B, T+1).
    """
    rows = len(sequences)
    if rows < MANY:
        return state_scalars(model, sequences)
    marked = torch.where(sequences.attention_mask, sequences.tokens + 1, 0)
    size, number, beginnings = int(marked.max()) + 1, torch.zeros_like(marked[:, 0]), []
    for column in marked.unbind(dim=1):  # number the distinct texts up to each column, (B,)
        number = torch.unique(number * size + column, return_inverse=True)[1]
        beginnings.append(number)
    if int(beginnings[-2].max()) >= rows // 2:
        return state_scalars(model, sequences)
    return _column_by_column(model, sequences, beginnings[sequences.prompt_width - 1 :])


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
