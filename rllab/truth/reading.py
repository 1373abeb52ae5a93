"""What a policy says at every prefix of a tree: while it grows, or on one that is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy
from rllab.truth.levels import Level, link
from rllab.truth.walk import walk


def grow(
    policy: Policy,
    prompt_ids: Sequence[int],
    *,
    horizon: int,
    top_k: int,
    temperature: float,
    stop: threading.Event | None,
    count: Callable[[int], None],
) -> tuple[Level, ...]:
    """Enumerate every response of at most `horizon` tokens, or those of each state's `top_k` likeliest ones.

    `count` is told how many states have been read so far.
    """
    growth = _Growth(policy.eos_id, horizon, top_k, temperature, count)
    with torch.no_grad(), policy.lock:
        below = row_sizes(policy, horizon=horizon, top_k=top_k)
        walk(Decoder(policy, [prompt_ids], stop=stop), growth, below=below, stop=stop)
    pieces = [(torch.cat(actions), torch.cat(logprobs)) for actions, logprobs in growth.levels if actions]
    return link(pieces, eos=policy.eos_id)  # where a cut keeps the end alone, nothing is as long as the horizon


def read(
    policy: Policy,
    prompt_ids: Sequence[int],
    levels: Sequence[Level],
    *,
    temperature: float,
    stop: threading.Event | None = None,
) -> list[Tensor]:
    """Return a policy's log-probs of the actions of a tree, (N, K) for each level; over those actions they sum to 1."""
    reading = _Reading(levels, temperature)
    with torch.no_grad(), policy.lock:
        walk(Decoder(policy, [prompt_ids], stop=stop), reading, below=sizes_below(levels), stop=stop)
    return [torch.cat(level) for level in reading.logprobs]


def check_vocabulary(other: object, policy: Policy) -> None:
    """Refuse a policy that writes with other tokens: its log-probs would be those of other words."""
    if not isinstance(other, Policy):
        raise LabError("policy", other, "give a policy, such as world.reference")
    if other.tokenizer is not policy.tokenizer and other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise LabError(
            "policy", type(other.model).__name__, "it writes with other tokens; compare policies of one world"
        )


def kept_logprobs(logits: Tensor, actions: Tensor, *, temperature: float) -> Tensor:
    """Return the log-probs of some actions among themselves, (N, K) float64 nats; logits (N, A) are unscaled."""
    return torch.log_softmax(logits.cpu().gather(1, actions).double() / temperature, dim=1)


def row_sizes(policy: Policy, *, horizon: int, top_k: int) -> list[int]:
    """Return the most prefixes that a row of each level can stand for."""
    branches = min(top_k or policy.vocabulary, policy.vocabulary - 1)
    return [sum(branches**further for further in range(horizon - depth)) for depth in range(horizon)]


def sizes_below(levels: Sequence[Level]) -> list[int]:
    """Return the most prefixes that a row of each level stands for, as far as widths tell."""
    widths = [int((level.child >= 0).sum(dim=1).max()) for level in levels]
    sizes = [1]
    for width in reversed(widths[:-1]):
        sizes.append(1 + width * sizes[-1])
    return sizes[::-1]


class _Growth:
    """Collect the actions of a tree and their log-probs, level by level, while it grows."""

    def __init__(self, eos: int, horizon: int, top_k: int, temperature: float, count: Callable[[int], None]) -> None:
        self.levels: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in range(horizon)]
        self._seen, self._count = 0, count
        self._eos, self._top_k, self._temperature = eos, top_k, temperature

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a piece, and go on behind every action but the end."""
        rows, vocabulary = logits.shape
        cut = 0 < self._top_k < vocabulary
        actions = logits.topk(self._top_k).indices.cpu() if cut else torch.arange(vocabulary).expand(rows, -1)
        for column, kept in zip(
            self.levels[depth], (actions, kept_logprobs(logits, actions, temperature=self._temperature)), strict=True
        ):
            column.append(kept)
        self._seen += rows
        self._count(self._seen)
        going_on = (actions != self._eos) & (depth + 1 < len(self.levels))
        parents, columns = going_on.nonzero(as_tuple=True)
        return parents, actions[parents, columns]

    def close(self) -> None:
        """Pieces need nothing more."""


class _Reading:
    """Collect a policy's log-probs on a tree that is there."""

    def __init__(self, levels: Sequence[Level], temperature: float) -> None:
        self.logprobs: list[list[Tensor]] = [[] for _ in levels]
        self._cursor, self._temperature = Cursor(levels), temperature

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a piece's log-probs."""
        rows = self._cursor.advance(depth, len(logits))
        actions = self._cursor.levels[depth].actions[rows]
        self.logprobs[depth].append(kept_logprobs(logits, actions, temperature=self._temperature))
        return self._cursor.levels[depth].going_on(rows)

    def close(self) -> None:
        """Pieces need nothing more."""


class Cursor:
    """Which rows of each level come next, while a tree is walked in pieces."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = levels
        self._next = [0] * len(levels)

    def advance(self, depth: int, count: int) -> slice:
        """Return the next `count` rows of a level."""
        start = self._next[depth]
        self._next[depth] = start + count
        return slice(start, start + count)
