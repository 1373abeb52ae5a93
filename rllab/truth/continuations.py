"""Writing many continuations of many prefixes at a time: what they share is read once, what has ended is dropped."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import Stopped
from rllab.maths.divergence import kl_k1, selected_logprobs
from rllab.maths.sampling import draw, exponential_noise
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy
from rllab.trainer.stages import derived_seed

BUDGET = 64 * 2**20  # bytes of keys and values read at one time: what the caches of a CPU can still follow
KEEP = 0.7  # share of rows still being written below which the others are dropped; dropping copies the cache


@dataclass(frozen=True)
class Start:
    """A prefix that is to be written on."""

    prefix: Sequence[int]
    known: Collection[int] = ()  # a sample that begins with one of these is left: it is known how that text goes on
    barred: Collection[int] = ()  # no sample begins with one of these; the others are drawn in proportion


@dataclass(frozen=True, eq=False)
class Written:
    """Responses, prefixes included, and by how much the policy liked each new token more than its reference."""

    tokens: Tensor  # (n, horizon) long
    lengths: Tensor  # (n,)
    gap: Tensor  # (n, horizon) nats: log pi - log pi_ref; 0 where nothing was sampled
    known: Tensor  # (n,) bool: left after one token, because it is known how that text goes on


class CommonNoise:
    """Exp(1) numbers that belong to (sample, token position), the same behind every prefix."""

    def __init__(self, seed: int, samples: slice, *, like: Tensor) -> None:
        self._seed, self._samples = seed, samples
        self._shape, self._like = (samples.stop - samples.start, like.shape[-1]), like
        self._drawn: dict[int, Tensor] = {}

    def at(self, positions: Tensor, samples: Tensor) -> Tensor:
        """Return the numbers (n, A) for rows that write token `positions` (n,) of their samples (n,)."""
        distinct, inverse = positions.unique(return_inverse=True)
        wanted = distinct.tolist()
        self._drawn = {place: noise for place, noise in self._drawn.items() if place >= wanted[0]}
        for place in wanted:
            if place not in self._drawn:
                generator = torch.Generator().manual_seed(derived_seed(self._seed, self._samples.start, place))
                self._drawn[place] = exponential_noise(self._shape, generator=generator, like=self._like)
        return torch.stack([self._drawn[place] for place in wanted])[inverse, samples]


def write_on(
    policies: Sequence[Policy],
    prompt_ids: Sequence[int],
    starts: Sequence[Start],
    *,
    samples: slice,
    seed: int,
    horizon: int,
    temperature: float,
    stop: threading.Event | None = None,
) -> Written:
    """Write the samples of each start to their end, rows of one start side by side.

    The first policy writes. A second one, if there is one, reads along: the reference.
    """
    contexts = [[*prompt_ids, *start.prefix] for start in starts]
    repeat = torch.arange(len(starts)).repeat_interleave(samples.stop - samples.start).to(policies[0].device)
    decoders = [Decoder(policy, contexts, stop=stop).take(repeat) for policy in policies]
    pages = _Pages(starts, samples, horizon=horizon, policy=policies[0])
    noise = CommonNoise(seed, samples, like=decoders[0].logits)
    while True:
        if stop is not None and stop.is_set():
            raise Stopped
        logits = [decoder.logits / temperature for decoder in decoders]
        probs = pages.allowed(torch.softmax(logits[0], dim=-1))
        chosen = draw(probs, noise.at(pages.positions, pages.samples))
        pages.write(chosen, [selected_logprobs(one, chosen) for one in logits] if len(logits) > 1 else [])
        if not bool(pages.open.any()):
            return pages.finished()
        if pages.crowded or _full(decoders[0]):
            kept = pages.drop_closed()
            decoders, chosen = [decoder.take(kept) for decoder in decoders], chosen[kept]
        for decoder in decoders:
            decoder.push(chosen)


def rows_at_once(policy: Policy, *, width: int) -> int:
    """Return how many rows fit into the budget, by their keys, values and logits.

    A large network reads all its weights for every column, so its rows may take half as much as those.
    """
    config = policy.model.config
    hidden = int(getattr(config, "hidden_size", 1))  # the cache of a table holds tokens alone
    numbers = 2 * int(config.num_hidden_layers) * hidden * width + 4 * policy.vocabulary
    weights = policy.model.num_parameters() if hidden > 1 else 0  # of a table one row is read
    budget = max(BUDGET, weights * policy.dtype.itemsize // 2)
    return max(1, budget // (numbers * policy.dtype.itemsize))


def _full(decoder: Decoder) -> bool:
    """Tell whether a row of a decoder, perhaps a closed one, has no room for another token."""
    return int(decoder.attention_mask.sum(dim=1).max()) >= decoder.policy.context


class _Pages:
    """The responses being written: which rows are still open, and at which token each is."""

    def __init__(self, starts: Sequence[Start], samples: slice, *, horizon: int, policy: Policy) -> None:
        count, device = samples.stop - samples.start, policy.device
        self._eos, self._horizon = policy.eos_id, horizon
        prefixes = [start.prefix for start in starts]
        lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
        self._length = lengths.repeat_interleave(count)  # tokens of each response so far
        rows = len(self._length)
        padded = [[*prefix, *[policy.pad_id] * (horizon - len(prefix))] for prefix in prefixes]
        self._tokens = torch.tensor(padded, device=device).repeat_interleave(count, dim=0)
        self._gap = torch.zeros(rows, horizon, dtype=policy.dtype, device=device)
        self._row = torch.arange(rows, device=device)  # of each row that is being read
        self._sample = torch.arange(count, device=device).repeat(len(prefixes))
        self._start = torch.arange(len(prefixes), device=device).repeat_interleave(count)
        self._left = _marked([start.known for start in starts], policy)
        self._shut = _marked([start.barred for start in starts], policy)
        self._first = True
        self._known = torch.zeros(rows, dtype=torch.bool, device=device)
        self.open = ~self._known

    @property
    def positions(self) -> Tensor:
        """Return at which token each row being read is, (n,)."""
        return self._length[self._row].clamp(max=self._horizon - 1)

    @property
    def samples(self) -> Tensor:
        """Return which sample each row being read is, (n,)."""
        return self._sample[self._row]

    @property
    def crowded(self) -> bool:
        """Tell whether so many rows have closed that dropping them pays."""
        return float(self.open.float().mean()) < KEEP

    def allowed(self, probs: Tensor) -> Tensor:
        """Return the probabilities (n, A) without those of the tokens that may not come first."""
        return probs.masked_fill(self._shut[self._start], 0.0) if self._first and self._shut.any() else probs

    def write(self, chosen: Tensor, logprobs: Sequence[Tensor]) -> None:
        """Append a token to each open row; log-probs are the policy's and, where it reads along, the reference's."""
        rows = self._row[self.open]
        places = self._length[rows]
        self._tokens[rows, places] = chosen[self.open]
        if logprobs:
            self._gap[rows, places] = kl_k1(*logprobs)[self.open]
        self._length[rows] += 1
        self.open = self.open & (chosen != self._eos) & (self._length[self._row] < self._horizon)
        if self._first:
            self._known = self._left[self._start, chosen]
            self.open, self._first = self.open & ~self._known, False

    def drop_closed(self) -> Tensor:
        """Go on with the open rows alone, and return their places among those that were being read."""
        kept = self.open.nonzero()[:, 0]
        self._row, self.open = self._row[kept], self.open[kept]
        return kept

    def finished(self) -> Written:
        """Return the responses."""
        return Written(self._tokens, self._length, self._gap, self._known)


def _marked(tokens: Sequence[Collection[int]], policy: Policy) -> Tensor:
    """Mark some tokens in each row, (n, A)."""
    marks = torch.zeros(len(tokens), policy.vocabulary, dtype=torch.bool)
    for row, some in enumerate(tokens):
        marks[row, list(some)] = True
    return marks.to(policy.device)
