"""Random padded batches for the tests of the equations, and what to spoil them with."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from rllab.maths.masking import until_end

POISONS = (float("nan"), float("inf"), float("-inf"), 1e30)


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ragged(*lengths: int, width: int) -> Tensor:
    return until_end(torch.tensor(lengths), width=width)


def poisoned(x: Tensor, mask: Tensor, poison: float) -> Tensor:
    return torch.where(mask, x, torch.full_like(x, poison))


@st.composite
def batches(draw: st.DrawFn, *, tensors: int = 2, holes: bool = False) -> tuple[Tensor, ...]:
    """Draw a mask (B, T), with holes or without, and tensors of its shape: (mask, x1, x2, ...)."""
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    seed = draw(st.integers(0, 2**31 - 1))
    if holes:
        mask = normal(rows, width, seed=seed) > 0
    else:
        mask = ragged(*draw(st.lists(st.integers(0, width), min_size=rows, max_size=rows)), width=width)
    return mask, *(normal(rows, width, seed=seed + 1 + i) for i in range(tensors))
