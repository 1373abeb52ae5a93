"""Reading a whole tree of texts with one network: every shared beginning is read once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from rllab.core.errors import Stopped
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy

BUDGET = 256 * 2**20  # bytes that the prefixes open at one time may take
ACTIVATIONS = 40  # numbers kept for the gradient per token, layer and hidden unit, about


class Visitor(Protocol):
    """What is done with the pieces of a tree; those of one level come in the order of its rows."""

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the next token's unscaled logits (n, A) of a piece; return where to go on and by which token.

        Both are (M,): places of parents in the piece, and the token appended to each. None ends the walk.
        """
        ...

    def close(self) -> None:
        """Note that what was seen since the last call is complete."""
        ...


def walk(
    decoder: Decoder, visitor: Visitor, *, below: Sequence[int], stop: threading.Event | None = None, depth: int = 0
) -> None:
    """Go down from the rows of a decoder; a row of level d stands for `below[d]` prefixes, itself included.

    Before more prefixes would be open than fit into memory, the level is cut and its parts are walked in turn.
    """
    limit = open_prefixes(decoder.policy, width=decoder.prompt_width + len(below))
    while True:
        if stop is not None and stop.is_set():
            raise Stopped
        parents, tokens = visitor.see(depth, decoder.output)
        depth += 1
        size = max(1, limit // below[depth]) if depth < len(below) else limit
        if not 0 < len(parents) <= size:
            break
        decoder = _follow(decoder, parents, tokens)
    visitor.close()
    for some_parents, some_tokens in zip(parents.split(size), tokens.split(size), strict=True):
        if len(some_parents):
            walk(_follow(decoder, some_parents, some_tokens), visitor, below=below, stop=stop, depth=depth)


def _follow(decoder: Decoder, parents: Tensor, tokens: Tensor) -> Decoder:
    """Return a decoder of the parents' rows that has read one more token in each."""
    child = decoder.take(parents)
    child.push(tokens.to(decoder.tokens.device))
    return child


def open_prefixes(policy: Policy, *, width: int) -> int:
    """Return how many prefixes fit into memory: their keys and values, and what a gradient keeps."""
    config = policy.model.config
    hidden = int(getattr(config, "hidden_size", policy.vocabulary))  # a table has no hidden units
    numbers = int(config.num_hidden_layers) * hidden * (2 * width + ACTIVATIONS) + policy.vocabulary
    return max(1, BUDGET // (numbers * policy.dtype.itemsize))
