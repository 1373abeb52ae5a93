"""The shape of a tree of responses: its unfinished prefixes by length, and the finished responses as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.maths.masking import until_end
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy

# ---- The shape of a tree of responses: its unfinished prefixes by length, and the finished responses as r ----

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
        """Return the prefixes with the chosen actions (N, K) after them, (M, d+1)."""
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
    """Return all finished responses as one batch, in the order of their level."""
    rows, texts = zip(*_leaves(levels, policy), strict=True)
    wide = [torch.nn.functional.pad(row, (0, len(levels) - row.shape[1]), value=policy.pad_id) for row in rows]
    lengths = torch.cat([torch.full((len(row),), row.shape[1]) for row in rows])
    return responses_to(prompt, policy, torch.cat(wide), lengths=lengths, texts=tuple(chain.from_iterable(texts)))


def written_to(prompt: str, policy: Policy, tokens: Tensor, *, lengths: Tensor) -> Sequences:
    """Return responses (n, T) of known lengths (n,) as a batch with their texts."""
    ids = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
    return responses_to(prompt, policy, tokens, lengths=lengths, texts=tuple(map(policy.decode, ids)))


def responses_to(prompt: str, policy: Policy, tokens: Tensor, *, lengths: Tensor, texts: tuple[str, ...]) -> Sequences:
    """Return responses (n, T) of known lengths (n,) to one prompt as a batch."""
    prompts = torch.tensor(policy.encode(prompt)).expand(len(tokens), -1)
    mask = until_end(lengths, width=tokens.shape[1])
    return Sequences(
        tokens=torch.cat([prompts, tokens], dim=1).to(policy.device),
        attention_mask=torch.cat([torch.ones_like(prompts, dtype=torch.bool), mask], dim=1).to(policy.device),
        prompt_width=prompts.shape[1],
        response_mask=mask.to(policy.device),
        action_mask=mask.to(policy.device),
        sentence=policy.sentences(tokens).to(policy.device),
        ended=(tokens.gather(1, lengths[:, None] - 1)[:, 0] == policy.eos_id).to(policy.device),
        group=torch.zeros(len(tokens), dtype=torch.long, device=policy.device),
        prompts=(prompt,) * len(tokens),
        responses=texts,
    )


def _number(mask: Tensor) -> Tensor:
    """Number the marked places from 0, row after row."""
    return mask.flatten().cumsum(dim=0).view_as(mask) - 1


def _leaves(levels: Sequence[Level], policy: Policy) -> Iterator[tuple[Tensor, list[str]]]:
    """Yield the responses that end in each level, (M, d+1), with their texts."""
    words, texts = _words(levels, policy), [""]
    for level, following in zip(levels, (*levels[1:], None), strict=True):
        over = level.leaf >= 0
        rows = level.longer(over)
        yield rows, _longer(texts, over, rows, policy, words)
        if following is not None:
            texts = _longer(texts, ~over, following.prefixes, policy, words)


def _longer(texts: Sequence[str], chosen: Tensor, rows: Tensor, policy: Policy, words: Words | None) -> list[str]:
    """Return how the chosen actions (N, K) read after the texts (N,) of a level; they make the prefixes `rows`.

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


# ---- From what is paid at the leaves to what every state is worth: Bellman's equations, once through the  ----

LOOKS_AHEAD = 1e-6  # largest difference between two accounts of the same row, relative to its size


def edge_rewards(levels: Sequence[Level], per_token: Tensor, *, reward: str) -> list[Tensor]:
    """Return what is paid for each action, (N, K) for each level; per_token (L, T) is what is paid along each leaf.

    A payment may depend on the text up to its token alone, or it would not belong to one edge of the tree.
    """
    below = _some_leaf(levels)
    rewards = [per_token[leaf, depth] for depth, leaf in enumerate(below)]
    along = sums_along(levels, rewards)
    rows = per_token.sum(dim=1)
    if bool(((along - rows).abs() > LOOKS_AHEAD * (1 + rows.abs())).any()):
        remedy = "it pays for a token by what is written after it; let it judge each prefix alone"
        raise LabError("reward", reward, remedy)
    return rewards


def paid_edges(
    levels: Sequence[Level], rewards: Sequence[Tensor], ref_logprobs: Sequence[Tensor], *, kl_coef: float
) -> list[Tensor]:
    """Return r - kl_coef (log pi - log pi_ref) for each action, (N, K); one that is never chosen pays no KL."""
    if kl_coef == 0.0:
        return list(rewards)
    return [
        reward - kl_coef * torch.where(level.logprobs.exp() > 0, level.logprobs - ref, 0.0)
        for level, reward, ref in zip(levels, rewards, ref_logprobs, strict=True)
    ]


def back_up(
    levels: Sequence[Level], rewards: Sequence[Tensor], *, gamma: float
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return Q (N, K) and V (N,) of each level: Q = r + gamma V', V = sum_a pi(a) Q(a)."""
    q, v = [], [torch.zeros(0, dtype=torch.float64)]
    for level, reward in zip(reversed(levels), reversed(rewards), strict=True):
        q.append(reward + gamma * following(v[-1], level.child))
        v.append((level.logprobs.exp() * q[-1]).sum(dim=1))
    return tuple(q[::-1]), tuple(v[:0:-1])


def following(values: Tensor, child: Tensor) -> Tensor:
    """Return the values (N', ) of the next level's rows that actions lead to, (N, K); 0 where the response is over."""
    if len(values) == 0:
        return torch.zeros(child.shape, dtype=torch.float64)
    return torch.where(child >= 0, values[child.clamp(min=0)], 0.0)


def reached(levels: Sequence[Level], logprobs: Sequence[Tensor]) -> list[Tensor]:
    """Return the log-prob of being in each state under a policy, (N,) for each level."""
    reach = [torch.zeros(1, dtype=torch.float64)]
    for level, chosen in zip(levels[:-1], logprobs, strict=False):
        reach.append((reach[-1][:, None] + chosen)[level.child >= 0])
    return reach


def at_leaves(levels: Sequence[Level], edges: Sequence[Tensor]) -> Tensor:
    """Collect, in the order of the leaves, numbers (N, K) that belong to the actions which end a response."""
    return torch.cat([edge[level.leaf >= 0] for level, edge in zip(levels, edges, strict=True)])


def sums_along(levels: Sequence[Level], edges: Sequence[Tensor]) -> Tensor:
    """Add numbers of actions (N, K) up along each response, (L,)."""
    before, sums = torch.zeros(1, dtype=torch.float64), []
    for level, edge in zip(levels, edges, strict=True):
        sums.append(before[:, None] + edge)
        before = sums[-1][level.child >= 0]
    return at_leaves(levels, sums)


def _some_leaf(levels: Sequence[Level]) -> list[Tensor]:
    """Return a leaf below each action, (N, K) for each level."""
    below: list[Tensor] = []
    for level in reversed(levels):
        first = below[-1][:, 0] if below else level.child[:0, 0]
        deeper = first[level.child.clamp(min=0)] if len(first) else level.child
        below.append(torch.where(level.child >= 0, deeper, level.leaf))
    return below[::-1]


# ---- Reading a whole tree of texts with one network: every shared beginning is read once ----

BUDGET = 256 * 2**20  # bytes that the prefixes open at one time may take
ACTIVATIONS = 40  # numbers kept for the gradient per token, layer and hidden unit, about


class Visitor(Protocol):
    """What is done with the pieces of a tree; those of one level come in the order of its rows."""

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Receive the next token's unscaled logits (n, A) of a piece; return where to continue and by which token.

        Both are (M,): places of parents in the piece, and the token appended to each. None ends the walk.
        """
        ...

    def close(self) -> None:
        """Mark what was seen since the last call as complete."""
        ...


def walk(decoder: Decoder, visitor: Visitor, *, below: Sequence[int], job: Job = NO_JOB, depth: int = 0) -> None:
    """Descend from the rows of a decoder; a row of level d stands for `below[d]` prefixes, itself included.

    Before more prefixes would be open than fit into memory, the level is cut and its parts are walked in turn.
    """
    limit = open_prefixes(decoder.policy, width=decoder.prompt_width + len(below))
    while True:
        job.check()
        parents, tokens = visitor.see(depth, decoder.output)
        depth += 1
        size = max(1, limit // below[depth]) if depth < len(below) else limit
        if not 0 < len(parents) <= size:
            break
        decoder = _follow(decoder, parents, tokens)
    visitor.close()
    for some_parents, some_tokens in zip(parents.split(size), tokens.split(size), strict=True):
        if len(some_parents):
            walk(_follow(decoder, some_parents, some_tokens), visitor, below=below, job=job, depth=depth)


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


# ---- What a policy says at every prefix of a tree: while it grows, or on one that is there ----


def grow(
    policy: Policy,
    prompt_ids: Sequence[int],
    *,
    horizon: int,
    top_k: int,
    temperature: float,
    job: Job,
    count: Callable[[int], None],
) -> tuple[Level, ...]:
    """Enumerate every response of at most `horizon` tokens, or those of each state's `top_k` likeliest ones.

    `count` is told how many states have been read so far.
    """
    growth = _Growth(policy.eos_id, horizon, top_k, temperature, count)
    with torch.no_grad(), policy.lock:
        below = row_sizes(policy, horizon=horizon, top_k=top_k)
        walk(Decoder(policy, [prompt_ids], job=job), growth, below=below, job=job)
    pieces = [(torch.cat(actions), torch.cat(logprobs)) for actions, logprobs in growth.levels if actions]
    return link(pieces, eos=policy.eos_id)  # where a cut keeps the end alone, nothing is as long as the horizon


def read(
    policy: Policy, prompt_ids: Sequence[int], levels: Sequence[Level], *, temperature: float, job: Job = NO_JOB
) -> list[Tensor]:
    """Return a policy's log-probs of the actions of a tree, (N, K) for each level; over those actions they sum to 1."""
    reading = _Reading(levels, temperature)
    with torch.no_grad(), policy.lock:
        walk(Decoder(policy, [prompt_ids], job=job), reading, below=sizes_below(levels), job=job)
    return [torch.cat(level) for level in reading.logprobs]


def check_vocabulary(other: object, policy: Policy) -> None:
    """Raise LabError for a policy with another vocabulary: its log-probs would be those of other words."""
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
        """Store a piece, and continue after every action but the end."""
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
        """Store a piece's log-probs."""
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
