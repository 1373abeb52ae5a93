"""The records that flow through the lab: frozen, complete when made, one per stage.

    prompts -generate-> Sequences -evaluate-> Rollout -score-> Scores -targets-> Targets -loss-> LossTerms

Axis letters: B rows, P prompt width, T response width, A actions (the vocabulary), K shown candidates.
Prompts are padded on the left and responses on the right, so column P + t holds response token t in every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from rllab.core.errors import LabError


@dataclass(frozen=True, eq=False)
class Sequences:
    """Prompts with their responses, as tokens and as text.

    Two rows with P = 3, T = 4 (· is padding, E the end token; row 1 was cut at the limit)::

        tokens          · a b | c d E ·        attention_mask  0 1 1 | 1 1 1 0
                        a b c | d e f g                        1 1 1 | 1 1 1 1
        response_mask           1 1 1 0        ended           1
                                1 1 1 1                        0
    """

    tokens: Tensor  # (B, P+T) long
    attention_mask: Tensor  # (B, P+T) bool
    prompt_width: int  # P
    response_mask: Tensor  # (B, T) bool: up to and including the end token
    action_mask: Tensor  # (B, T) bool: the sampled ones; differs only where a token was forced
    sentence: Tensor  # (B, T) long: number of the sentence that the token belongs to
    ended: Tensor  # (B,) bool: the row closed with the end token rather than being cut
    group: Tensor  # (B,) long: index of the prompt
    prompts: tuple[str, ...]
    responses: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that all shapes speak of the same rows and columns."""
        rows, width = self.tokens.shape
        shape = (rows, width - self.prompt_width)
        for name in ("response_mask", "action_mask", "sentence"):
            if getattr(self, name).shape != shape:
                raise LabError(name, tuple(getattr(self, name).shape), f"these tokens need the shape {shape}")
        if not len(self.prompts) == len(self.responses) == len(self.ended) == len(self.group) == rows:
            raise LabError("rows", rows, "give one prompt, response, end and group for each row of tokens")

    def __len__(self) -> int:
        """Return the number of rows B."""
        return len(self.prompts)

    @property
    def response_tokens(self) -> Tensor:
        """Return the response columns of the tokens, (B, T)."""
        return self.tokens[:, self.prompt_width :]

    @property
    def lengths(self) -> Tensor:
        """Return the number of response tokens of each row, (B,)."""
        return self.response_mask.sum(dim=1)

    def select(self, rows: slice | Sequence[int]) -> Self:
        """Return the same record with some of its rows, in the order that they are named."""
        return take_rows(self, rows)

    def response_ids(self, row: int) -> list[int]:
        """Return the response token ids of one row, end token included, padding left out."""
        ids: list[int] = self.response_tokens[row][self.response_mask[row]].tolist()
        return ids


def check_rows(name: str, numbers: Tensor, rows: Sequences, *, remedy: str, first: int = 0) -> None:
    """Refuse numbers, one or more to a row, of which some are none, and show the row; `first` is where rows begin."""
    flat = numbers.detach().reshape(len(rows), -1)  # (B, ...)
    finite = torch.isfinite(flat)
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        said = f"it belongs to row {first + row}, {rows.responses[row][:60]!r}; {remedy}"
        raise LabError(name, flat[row, column].item(), said)


@dataclass(frozen=True, eq=False)
class Rollout(Sequences):
    """Sequences with what the policy, its reference and the critic say of every token."""

    logprobs: Tensor  # (B, T) nats, of the temperature-scaled, unfiltered policy
    ref_logprobs: Tensor  # (B, T) nats
    values: Tensor  # (B, T): V(s_t), before token t
    entropies: Tensor  # (B, T) nats, exact
    exact_kl: Tensor  # (B, T) nats: KL(policy || reference) over the whole vocabulary at s_t
    bootstrap: Tensor  # (B,): V after the last token where the row was cut, 0 where it ended
    temperature: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What a reward says of each row: in total, by named parts, and token by token."""

    total: Tensor  # (B,)
    parts: Mapping[str, Tensor]  # name -> (B,)
    per_token: Tensor  # (B, T)


@dataclass(frozen=True, eq=False)
class Targets:
    """What the update aims at."""

    kl: Tensor  # (B, T) nats, the configured estimator
    rewards: Tensor  # (B, T): per_token - kl_coef * kl where the KL is part of the reward
    advantages: Tensor  # (B, T), raw
    policy_weights: Tensor  # (B, T): what multiplies the log-prob (whitened where configured)
    returns: Tensor  # (B, T): what the critic is fitted to
    loss_mask: Tensor  # (B, T) bool: the tokens that carry gradient


@dataclass(frozen=True, eq=False)
class LossTerms:
    """One micro-batch of loss: the scalar to differentiate and the per-token terms behind it."""

    loss: Tensor  # ()
    logprobs: Tensor  # (B, T) nats, of the policy being trained
    ratio: Tensor  # (B, T)
    clipped: Tensor  # (B, T) bool
    stats: Mapping[str, float]  # sums over this micro-batch's part of the batch mean


@dataclass(frozen=True)
class UpdateRecord:
    """One finished update as plain numbers and text, ready for JSON."""

    index: int  # 1 for the first update
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]  # per phase
    samples: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RunRecord:
    """A whole run as plain numbers and text: enough for curves and comparisons, without any model."""

    name: str
    world: str
    algorithm: str
    seed: int
    config: Mapping[str, Any]  # as it began
    history: Sequence[UpdateRecord]


@dataclass(frozen=True, eq=False)
class State:
    """One state s_t as the stepper shows it: the policy's choices and what is thought of them.

    `candidate_ids` are the K likeliest tokens, likeliest first; everything else is in the `other_*` masses,
    so that each of the three distributions sums to 1.
    """

    t: int
    prefix_ids: tuple[int, ...]
    value: float
    entropy: float  # nats
    candidate_ids: tuple[int, ...]
    probs: Tensor  # (K,) temperature-scaled, unfiltered
    sampling_probs: Tensor  # (K,) after top-k and top-p
    ref_probs: Tensor  # (K,)
    other_prob: float
    other_sampling_prob: float
    other_ref_prob: float
    done: bool


@dataclass(frozen=True, eq=False)
class Step:
    """One token written: the state it was written in, and how likely it was there."""

    state: State
    token_id: int
    token: str
    sampled: bool  # False: the learner forced it
    logprob: float  # nats
    ref_logprob: float  # nats
    is_end: bool


AnySequences = TypeVar("AnySequences", bound=Sequences)


def take_rows(record: AnySequences, rows: slice | Sequence[int]) -> AnySequences:
    """Return a record with some rows: every tensor and tuple is cut alike, plain numbers stay."""
    index = rows if isinstance(rows, slice) else list(rows)

    def cut(value: Any) -> Any:
        if isinstance(value, tuple):
            return value[index] if isinstance(index, slice) else tuple(value[row] for row in index)
        return value[index] if isinstance(value, Tensor) else value

    return type(record)(**{field.name: cut(getattr(record, field.name)) for field in fields(record)})


def without_padding(rows: Sequences) -> Sequences:
    """Return the same rows without the columns that are padding in all of them."""
    first = int(rows.attention_mask[:, : rows.prompt_width].any(dim=0).long().argmax())
    width = int(rows.lengths.max())
    last = rows.prompt_width + width
    cut = {name: getattr(rows, name)[:, :width] for name in ("response_mask", "action_mask", "sentence")}
    cut |= {name: getattr(rows, name)[:, first:last] for name in ("tokens", "attention_mask")}
    return replace(rows, prompt_width=rows.prompt_width - first, **cut)


def detached(record: Any) -> Any:
    """Return a record whose tensors carry no gradient and share no storage with the original."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    tensors = {name: value.detach().clone() for name, value in values.items() if isinstance(value, Tensor)}
    return type(record)(**(values | tensors))
