"""How a token is drawn from probabilities: the noise, the choice, and the filters before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def exponential_noise(shape: Sequence[int], *, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw Exp(1) noise on the CPU for a whole batch, so that every device and split sees the same numbers."""
    noise = torch.empty(tuple(shape), dtype=like.dtype).exponential_(generator=generator)
    return noise.to(like.device)


def draw(probs: Tensor, noise: Tensor) -> Tensor:
    """Sample one index per row as argmax(p / q) with q ~ Exp(1), which is what torch.multinomial does."""
    return torch.argmax(probs / noise, dim=-1)


def filtered(probs: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Keep the top_k likeliest tokens, then the fewest that reach the mass top_p, and rescale to 1.

    0 and 1.0 switch the two off. The token that crosses top_p is kept, as is usual.
    """
    kept = probs
    if 0 < top_k < probs.shape[-1]:
        lowest = kept.topk(top_k, dim=-1).values[..., -1:]
        kept = torch.where(kept >= lowest, kept, 0.0)
        kept = kept / kept.sum(dim=-1, keepdim=True)
    if top_p < 1.0:
        ordered, order = kept.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        inside = torch.zeros_like(kept, dtype=torch.bool).scatter(-1, order, before < top_p)
        kept = torch.where(inside, kept, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)
