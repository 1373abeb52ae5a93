"""The shape of a tree of responses: its unfinished prefixes by length, and the finished responses as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllab.core.records import Sequences
from rllab.maths.masking import until_end
from rllab.policy.policy import Policy

Words = NDArray[np.object_]  # strings: numpy joins many at once


@dataclass(frozen=True, eq=False)
class Level:
    """All unfinished prefixes of one length d, and where each of their K actions leads.

    Rows are in the order in which the level before leads to them, so the rows below a range of rows are a
    range again.
    """

    prefixes: Tensor  # (N, d) long
    actions: Tensor  # (N, K) long: token ids
    logprobs: Tensor  # (N, K) float64, nats, temperature-scaled; of the kept actions alone where some are cut
    child: Tensor  # (N, K) long: row of the next level, -1 where the response is over
    leaf: Tensor  # (N, K) long: row of the leaves, -1 where it goes on

    def going_on(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the places (M,) in `rows` whose action leads to the next level, and that action's token (M,)."""
        places, columns = (self.child[rows] >= 0).nonzero(as_tuple=True)
        return places, self.actions[rows][places, columns]

    def longer(self, chosen: Tensor) -> Tensor:
        """Return the prefixes with the chosen actions (N, K) behind them, (M, d+1)."""
        places, columns = chosen.nonzero(as_tuple=True)
        return torch.cat([self.prefixes[places], self.actions[places, columns][:, None]], dim=1)


def link(pieces: Sequence[tuple[Tensor, Tensor]], *, eos: int) -> tuple[Level, ...]:
    """Make levels out of their actions and log-probs: every action but the end leads to the next level's next row."""
    prefixes, leaves, levels = torch.zeros(1, 0, dtype=torch.long), 0, []
    for depth, (actions, logprobs) in enumerate(pieces):
        last = depth + 1 == len(pieces)
        over = (actions == eos) | last
        child, leaf = torch.where(over, -1, _number(~over)), torch.where(over, leaves + _number(over), -1)
        levels.append(Level(prefixes, actions, logprobs, child, leaf))
        prefixes, leaves = levels[-1].longer(child >= 0), leaves + int(over.sum())
    return tuple(levels)


def leaf_sequences(levels: Sequence[Level], policy: Policy, prompt: str) -> Sequences:
    """Lay out all finished responses as one batch, in the order of their level."""
    rows, texts = zip(*_leaves(levels, policy), strict=True)
    wide = [torch.nn.functional.pad(row, (0, len(levels) - row.shape[1]), value=policy.pad_id) for row in rows]
    lengths = torch.cat([torch.full((len(row),), row.shape[1]) for row in rows])
    return responses_to(prompt, policy, torch.cat(wide), lengths=lengths, texts=tuple(chain.from_iterable(texts)))


def written_to(prompt: str, policy: Policy, tokens: Tensor, *, lengths: Tensor) -> Sequences:
    """Lay out responses (n, T) of known lengths (n,) with their texts."""
    ids = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
    return responses_to(prompt, policy, tokens, lengths=lengths, texts=tuple(map(policy.decode, ids)))


def responses_to(prompt: str, policy: Policy, tokens: Tensor, *, lengths: Tensor, texts: tuple[str, ...]) -> Sequences:
    """Lay out responses (n, T) of known lengths (n,) to one prompt as a batch."""
    prompts = torch.tensor(policy.encode(prompt)).expand(len(tokens), -1)
    mask = until_end(lengths, width=tokens.shape[1])
    return Sequences(
        tokens=torch.cat([prompts, tokens], dim=1).to(policy.device),
        attention_mask=torch.cat([torch.ones_like(prompts, dtype=torch.bool), mask], dim=1).to(policy.device),
        prompt_width=prompts.shape[1],
        response_mask=mask.to(policy.device),
        action_mask=mask.to(policy.device),
        segment=policy.segments(tokens).to(policy.device),
        ended=(tokens.gather(1, lengths[:, None] - 1)[:, 0] == policy.eos_id).to(policy.device),
        group=torch.zeros(len(tokens), dtype=torch.long, device=policy.device),
        prompts=(prompt,) * len(tokens),
        responses=texts,
    )


def _number(mask: Tensor) -> Tensor:
    """Number the marked places from 0, row after row."""
    return mask.flatten().cumsum(dim=0).view_as(mask) - 1


def _leaves(levels: Sequence[Level], policy: Policy) -> Iterator[tuple[Tensor, list[str]]]:
    """Give the responses that end in each level, (M, d+1), and how they read."""
    words, texts = _words(levels, policy), [""]
    for level, following in zip(levels, (*levels[1:], None), strict=True):
        over = level.leaf >= 0
        rows = level.longer(over)
        yield rows, _longer(texts, over, rows, policy, words)
        if following is not None:
            texts = _longer(texts, ~over, following.prefixes, policy, words)


def _longer(texts: Sequence[str], chosen: Tensor, rows: Tensor, policy: Policy, words: Words | None) -> list[str]:
    """Return how the chosen actions (N, K) read behind the texts (N,) of a level; they make the prefixes `rows`.

    Whole words need not be decoded again with everything before them: a tree shares its beginnings.
    """
    if words is None:
        return [policy.decode(row) for row in rows.tolist()]
    spaced = np.where(words == "", words, " " + words) if rows.shape[1] > 1 else words
    parents = np.array(texts, dtype=object)[chosen.nonzero()[:, 0].numpy()]
    longer: list[str] = (parents + spaced[rows[:, -1].numpy()]).tolist()
    return longer


def _words(levels: Sequence[Level], policy: Policy) -> Words | None:
    """Return how each token that occurs reads, (vocabulary,); None where a token is not a whole word."""
    if not policy.is_word_level:
        return None
    occurs = torch.zeros(policy.vocabulary, dtype=torch.bool)
    for level in levels:
        occurs[level.actions] = True
    pairs = enumerate(occurs.tolist())
    return np.array([policy.decode([token]) if present else "" for token, present in pairs], dtype=object)
