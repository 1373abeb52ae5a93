"""Writing many continuations of many prefixes at a time: what they share is read once, what has ended is dropped."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.errors import Stopped
from rllab.generation import Decoder, draw, exponential_noise
from rllab.maths.divergence import kl_k1, selected_logprobs
from rllab.policy import Policy
from rllab.stages import derived_seed

BUDGET = 64 * 2**20  # bytes of keys and values read at one time: what the caches of a CPU can still follow
KEEP = 0.7  # share of rows still being written below which the others are dropped; dropping copies the cache


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
    prefixes: Sequence[Sequence[int]],
    *,
    samples: slice,
    seed: int,
    horizon: int,
    temperature: float,
    known: Sequence[Collection[int]],
    stop: threading.Event | None = None,
) -> Written:
    """Write the samples of each prefix to their end, rows of one prefix side by side.

    The first policy writes. A second one, if there is one, reads along: the reference. A sample whose first
    token is among those `known` behind its prefix is left there.
    """
    count = samples.stop - samples.start
    contexts = [[*prompt_ids, *prefix] for prefix in prefixes]
    left = [torch.tensor(sorted(tokens), dtype=torch.long) for tokens in known]
    repeat = torch.arange(len(prefixes)).repeat_interleave(count).to(policies[0].device)
    decoders = [Decoder(policy, contexts, stop=stop).take(repeat) for policy in policies]
    pages = _Pages(prefixes, samples, horizon=horizon, policy=policies[0])
    noise = CommonNoise(seed, samples, like=decoders[0].logits)
    while True:
        if stop is not None and stop.is_set():
            raise Stopped
        logits = [decoder.logits / temperature for decoder in decoders]
        chosen = draw(torch.softmax(logits[0], dim=-1), noise.at(pages.positions, pages.samples))
        pages.write(chosen, [selected_logprobs(one, chosen) for one in logits] if len(logits) > 1 else [])
        if left:
            groups = zip(chosen.cpu().split(count), left, strict=True)
            pages.leave(torch.cat([torch.isin(drawn, tokens) for drawn, tokens in groups]))
            left = []  # a first token is drawn but once
        if not bool(pages.open.any()):
            return pages.finished()
        if pages.crowded or _full(decoders[0]):
            kept = pages.drop_closed()
            decoders, chosen = [decoder.take(kept) for decoder in decoders], chosen[kept]
        for decoder in decoders:
            decoder.push(chosen)


def rows_at_once(policy: Policy, *, width: int) -> int:
    """Return how many rows fit into the budget, by their keys, values and logits."""
    config = policy.model.config
    hidden = int(getattr(config, "hidden_size", 1))  # the cache of a table holds tokens alone
    numbers = 2 * int(config.num_hidden_layers) * hidden * width + 4 * policy.vocabulary
    return max(1, BUDGET // (numbers * policy.dtype.itemsize))


def _full(decoder: Decoder) -> bool:
    """Tell whether a row of a decoder, perhaps a closed one, has no room for another token."""
    return int(decoder.attention_mask.sum(dim=1).max()) >= decoder.policy.context


class _Pages:
    """The responses being written: which rows are still open, and at which token each is."""

    def __init__(self, prefixes: Sequence[Sequence[int]], samples: slice, *, horizon: int, policy: Policy) -> None:
        count, device = samples.stop - samples.start, policy.device
        self._eos, self._horizon = policy.eos_id, horizon
        lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
        self._length = lengths.repeat_interleave(count)  # tokens of each response so far
        rows = len(self._length)
        starts = [[*prefix, *[policy.pad_id] * (horizon - len(prefix))] for prefix in prefixes]
        self._tokens = torch.tensor(starts, device=device).repeat_interleave(count, dim=0)
        self._gap = torch.zeros(rows, horizon, dtype=policy.dtype, device=device)
        self._row = torch.arange(rows, device=device)  # of each row that is being read
        self._sample = torch.arange(count, device=device).repeat(len(prefixes))
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

    def write(self, chosen: Tensor, logprobs: Sequence[Tensor]) -> None:
        """Append a token to each open row; log-probs are the policy's and, where it reads along, the reference's."""
        rows = self._row[self.open]
        places = self._length[rows]
        self._tokens[rows, places] = chosen[self.open]
        if logprobs:
            self._gap[rows, places] = kl_k1(*logprobs)[self.open]
        self._length[rows] += 1
        self.open = self.open & (chosen != self._eos) & (self._length[self._row] < self._horizon)

    def leave(self, rows: Tensor) -> None:
        """Close rows (n,) whose continuation is known."""
        self._known = rows.to(self.open.device)
        self.open = self.open & ~self._known

    def drop_closed(self) -> Tensor:
        """Go on with the open rows alone, and return their places among those that were being read."""
        kept = self.open.nonzero()[:, 0]
        self._row, self.open = self._row[kept], self.open[kept]
        return kept

    def finished(self) -> Written:
        """Return the responses."""
        return Written(self._tokens, self._length, self._gap, self._known)
