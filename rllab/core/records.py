"""The records that flow through the lab: frozen, complete when made, one per stage.

    prompts -generate-> Sequences -evaluate-> Rollout -score-> Scores -targets-> Targets -loss-> LossTerms

Axis letters: B rows, P prompt width, T response width, A actions (the vocabulary), K shown candidates.
Prompts are padded on the left and responses on the right, so column P + t holds response token t in every row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from rllab.core.errors import LabError


@dataclass(frozen=True, eq=False)
class Sequences:
    """Prompts with their responses, as tokens and as text: what rollouts, pairs, leaves and logs all come as.

    Two rows with P = 3, T = 4 (· is padding, E the end token; row 1 was cut at the limit)::

        tokens          · a b | c d E ·        attention_mask  0 1 1 | 1 1 1 0
                        a b c | d e f g                        1 1 1 | 1 1 1 1
        response_mask           1 1 1 0        ended           1
                                1 1 1 1                        0

    Args:
        tokens: Token ids, (B, P+T) long.
        attention_mask: Which of them are text rather than padding, (B, P+T) bool.
        prompt_width: P, the width of the prompts with their padding, in tokens.
        response_mask: The response up to and including its end token, (B, T) bool.
        action_mask: The sampled tokens, (B, T) bool; differs from response_mask only where a token was forced.
        sentence: Number of the sentence that each response token belongs to, (B, T) long.
        ended: Whether the row closed with the end token rather than being cut, (B,) bool.
        group: Index of the prompt, (B,) long.
        prompts: The prompts as text, B of them.
        responses: The responses as text, B of them, special tokens left out.

    Raises:
        LabError: If the shapes do not belong together.
    """

    tokens: Tensor  # (B, P+T)
    attention_mask: Tensor  # (B, P+T)
    prompt_width: int
    response_mask: Tensor  # (B, T)
    action_mask: Tensor  # (B, T)
    sentence: Tensor  # (B, T)
    ended: Tensor  # (B,)
    group: Tensor  # (B,)
    prompts: tuple[str, ...]
    responses: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise LabError unless all shapes have the same rows and columns."""
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
        """Return the same record with some of its rows.

        Args:
            rows: A slice, or the row numbers in the order in which they are wanted.

        Returns:
            The record with these rows; the columns stay.
        """
        return take_rows(self, rows)

    def response_ids(self, row: int) -> list[int]:
        """Return the response token ids of one row.

        Args:
            row: The row number.

        Returns:
            The ids, end token included, padding left out.
        """
        ids: list[int] = self.response_tokens[row][self.response_mask[row]].tolist()
        return ids


def check_rows(name: str, numbers: Tensor, rows: Sequences, *, remedy: str, first: int = 0) -> None:
    """Raise LabError if any value is NaN or infinite, and show the row that it belongs to.

    Args:
        name: What the error calls the values.
        numbers: The values, (B,) or (B, ...).
        rows: The rows that the values belong to.
        remedy: The end of the error's sentence.
        first: The number of the first row, where these rows are a slice of a batch.

    Raises:
        LabError: If a value is not finite.
    """
    flat = numbers.detach().reshape(len(rows), -1)  # (B, ...)
    finite = torch.isfinite(flat)
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        said = f"it belongs to row {first + row}, {rows.responses[row][:60]!r}; {remedy}"
        raise LabError(name, flat[row, column].item(), said)


@dataclass(frozen=True, eq=False)
class Rollout(Sequences):
    """Sequences with the log-probs, entropies and values of every token.

    Args:
        logprobs: log π(a_t|s_t) of the temperature-scaled, unfiltered policy, (B, T), nats.
        ref_logprobs: log π_ref(a_t|s_t), (B, T), nats.
        values: V(s_t), before token t, (B, T), reward units.
        entropies: Exact entropy of the policy at s_t, (B, T), nats.
        exact_kl: KL(π‖π_ref) over the whole vocabulary at s_t, (B, T), nats.
        bootstrap: V after the last token where the row was cut, 0 where it ended, (B,), reward units.
        temperature: What the logits were divided by.
    """

    logprobs: Tensor  # (B, T)
    ref_logprobs: Tensor  # (B, T)
    values: Tensor  # (B, T)
    entropies: Tensor  # (B, T)
    exact_kl: Tensor  # (B, T)
    bootstrap: Tensor  # (B,)
    temperature: float


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of each row: in total, by named parts, and token by token.

    Args:
        total: The score of the whole text, (B,), reward units.
        parts: Named parts of it, (B,) each.
        per_token: What is paid at each token, (B, T); a row sums to its total, unless levels are paid.
    """

    total: Tensor  # (B,)
    parts: Mapping[str, Tensor]  # (B,) each
    per_token: Tensor  # (B, T)


@dataclass(frozen=True, eq=False)
class Targets:
    """What policy and critic are updated towards.

    Args:
        kl: The configured estimator of the KL, (B, T), nats.
        rewards: What each token is paid, less kl_coef * kl where the KL is part of the reward, (B, T).
        advantages: Raw advantages, (B, T), reward units.
        policy_weights: What multiplies the log-prob: the advantages, whitened where configured, (B, T).
        returns: What the critic is fitted to, (B, T), reward units.
        loss_mask: The tokens that carry gradient, (B, T) bool.
    """

    kl: Tensor  # (B, T)
    rewards: Tensor  # (B, T)
    advantages: Tensor  # (B, T)
    policy_weights: Tensor  # (B, T)
    returns: Tensor  # (B, T)
    loss_mask: Tensor  # (B, T)


@dataclass(frozen=True, eq=False)
class LossTerms:
    """The loss of one micro-batch, and the per-token terms that it is made of.

    Args:
        loss: The scalar to differentiate.
        logprobs: log π(a_t|s_t) of the policy being trained, (B, T), nats.
        ratio: π(a_t|s_t) / π_old(a_t|s_t), (B, T).
        clipped: Where the clip stops the gradient, (B, T) bool.
        stats: This micro-batch's share of the batch means, by metric name.
    """

    loss: Tensor  # ()
    logprobs: Tensor  # (B, T)
    ratio: Tensor  # (B, T)
    clipped: Tensor  # (B, T)
    stats: Mapping[str, float]


@dataclass(frozen=True)
class UpdateRecord:
    """One finished update as plain numbers and text, ready for JSON.

    Args:
        index: Number of the update, 1 for the first.
        config: The settings that it was made with.
        metrics: Its metrics by name.
        seconds: How long each phase took, in seconds.
        samples: Some of its responses, with what was measured of them.
    """

    index: int
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    samples: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RunRecord:
    """A whole run as plain numbers and text: enough for curves and comparisons, without any model.

    Args:
        name: The run's name.
        world: Name of its world.
        algorithm: Name of its algorithm.
        seed: Seed of the run.
        config: The settings that it began with.
        history: Its updates, first to last.
    """

    name: str
    world: str
    algorithm: str
    seed: int
    config: Mapping[str, Any]
    history: Sequence[UpdateRecord]


@dataclass(frozen=True, eq=False)
class State:
    """One state s_t as the stepper shows it: the policy's choices and the critic's value.

    All tokens but the K candidates are in the `other_*` masses, so that each of the three distributions sums to 1.

    Args:
        t: The state's column, counted from 0.
        prefix_ids: The response tokens so far, t of them.
        value: The critic's V(s_t), reward units.
        entropy: Entropy of the next token, nats.
        candidate_ids: The K most likely tokens, most likely first.
        probs: Their probabilities, temperature-scaled and unfiltered, (K,).
        sampling_probs: Their probabilities after top-k and top-p, (K,).
        ref_probs: Their probabilities under the reference, (K,).
        other_prob: Probability of all other tokens.
        other_sampling_prob: The same after top-k and top-p.
        other_ref_prob: The same under the reference.
        done: Whether the response has ended here.
    """

    t: int
    prefix_ids: tuple[int, ...]
    value: float
    entropy: float
    candidate_ids: tuple[int, ...]
    probs: Tensor  # (K,)
    sampling_probs: Tensor  # (K,)
    ref_probs: Tensor  # (K,)
    other_prob: float
    other_sampling_prob: float
    other_ref_prob: float
    done: bool


@dataclass(frozen=True, eq=False)
class Step:
    """One token written: the state in which it was written, and how likely it was there.

    Args:
        state: The state before the token.
        token_id: Its id.
        token: How it reads.
        sampled: Whether it was sampled; False where the learner forced it.
        logprob: Its log-prob under the policy, nats.
        ref_logprob: Its log-prob under the reference, nats.
        is_end: Whether it is the end token.
    """

    state: State
    token_id: int
    token: str
    sampled: bool
    logprob: float
    ref_logprob: float
    is_end: bool


AnySequences = TypeVar("AnySequences", bound=Sequences)


def take_rows(record: AnySequences, rows: slice | Sequence[int]) -> AnySequences:
    """Return a record with some of its rows.

    Args:
        record: Sequences, or a record that extends them.
        rows: A slice, or row numbers in the order in which they are wanted.

    Returns:
        The same kind of record: every tensor and tuple is cut alike, plain numbers stay.
    """
    index = rows if isinstance(rows, slice) else list(rows)

    def cut(value: Any) -> Any:
        if isinstance(value, tuple):
            return value[index] if isinstance(index, slice) else tuple(value[row] for row in index)
        return value[index] if isinstance(value, Tensor) else value

    return type(record)(**{field.name: cut(getattr(record, field.name)) for field in fields(record)})


def without_padding(rows: Sequences) -> Sequences:
    """Return the same rows without the columns that are padding in all of them.

    Args:
        rows: The rows.

    Returns:
        Rows with the narrowest prompt and response columns that hold them.
    """
    first = int(rows.attention_mask[:, : rows.prompt_width].any(dim=0).long().argmax())
    width = int(rows.lengths.max())
    last = rows.prompt_width + width
    cut = {name: getattr(rows, name)[:, :width] for name in ("response_mask", "action_mask", "sentence")}
    cut |= {name: getattr(rows, name)[:, first:last] for name in ("tokens", "attention_mask")}
    return replace(rows, prompt_width=rows.prompt_width - first, **cut)


def detached(record: Any) -> Any:
    """Return a record whose tensors carry no gradient and share no storage with the original.

    Args:
        record: Any dataclass of this module.

    Returns:
        A record of the same kind.
    """
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    tensors = {name: value.detach().clone() for name, value in values.items() if isinstance(value, Tensor)}
    return type(record)(**(values | tensors))


# ---- Update records as lines of strict JSON, where infinity and NaN are words ----


def to_line(record: Mapping[str, Any]) -> str:
    """Format one object as a line of strict JSON: NaN and infinity become the texts "nan", "inf" and "-inf".

    Everything outside ASCII is escaped, so that no odd line break or half character in a text can harm the file.

    Args:
        record: Names with numbers, texts, lists and mappings.

    Returns:
        The line, without its line break.
    """
    return json.dumps(_strict(record), allow_nan=False)


def history_text(history: Iterable[UpdateRecord]) -> str:
    """Format a history as JSON lines, one update each.

    Args:
        history: The updates of a run.

    Returns:
        The text of the file.
    """
    return "".join(to_line(asdict(record)) + "\n" for record in history)


def read_history(file: Path) -> list[UpdateRecord]:
    """Read back what `history_text` wrote; the metrics are numbers again.

    Args:
        file: A file of JSON lines.

    Returns:
        The updates in their order.

    Raises:
        LabError: If a line does not hold an update.
    """
    history = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
            history.append(UpdateRecord(**row))
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"line {number} of {file.name}", line, "not an update; load an older save") from error
    return history


def _strict(value: Any) -> Any:
    """Replace the numbers that JSON does not know by their names, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _strict(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(inner) for inner in value]
    return value
