"""Masks: which positions of a padded batch count, and sums over those alone.

A mask is boolean or 0/1, True = counts. A batch of two responses, the first of three
tokens with its end token, the second of five:

    column t        0      1      2      3      4
    row 0         the    end   <eos>     ·      ·        lengths[0] = 3
    row 1           a    cat    sat    down  <eos>       lengths[1] = 5

    mask row 0      1      1      1      0      0        last_index 2
    mask row 1      1      1      1      1      1        last_index 4

Masks come from lengths, never from the identity of a token: the end token is an action like
any other, also where it shares its id with padding.
"""

import torch
from torch import Tensor

from rllab.core.errors import LabError


def until_end(lengths: Tensor, *, width: int) -> Tensor:
    """Return the response mask: True for the first `lengths[b]` columns of row b.

    Args:
        lengths: Tokens of each response, end token included, (B,) integers.
        width: T.

    Returns:
        The mask, (B, T) bool.

    Raises:
        LabError: If a length is negative or larger than the width.
    """
    if lengths.numel() and (int(lengths.min()) < 0 or int(lengths.max()) > width):
        raise LabError("lengths", lengths.tolist(), f"keep every length between 0 and {width}")
    columns = torch.arange(width, device=lengths.device)
    return columns < lengths.unsqueeze(-1)  # (B, width)


def apply_mask(x: Tensor, mask: Tensor, *, value: float = 0.0, name: str = "x") -> Tensor:
    """Return x with `value` where the mask is off, whatever was there.

    Multiplying by a mask is not enough: 0·inf and 0·NaN are NaN, and an overflow that is
    masked afterwards still poisons the gradient. So every function of this package cleans
    its inputs here, before any exp or log. The gradient at an off position is exactly 0.

    Args:
        x: Numbers, (...).
        mask: Which of them count, (...).
        value: What the others become.
        name: What an error calls x.

    Returns:
        The cleaned numbers, (...).

    Raises:
        LabError: If the shapes differ; rows are never broadcast over columns.
    """
    if x.shape != mask.shape:
        remedy = f"give it the shape of its mask, {tuple(mask.shape)}"
        raise LabError(f"shape of {name}", tuple(x.shape), remedy)
    return torch.where(mask.bool(), x, torch.full_like(x, value))


def masked_sum(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Return the sum over the positions that count: Σ_{i: m_i} x_i.

    Args:
        x: Numbers, (...).
        mask: Which of them count, (...).
        dim: The dimension to sum over; None for all.

    Returns:
        The sum, 0 where none counts.
    """
    return apply_mask(x, mask).sum(dim=dim)


def masked_mean(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Return the mean over the positions that count: (1/n)·Σ_{i: m_i} x_i.

    Args:
        x: Numbers, (...).
        mask: Which of them count, (...).
        dim: The dimension to average over; None for all.

    Returns:
        The mean, 0 where none counts.
    """
    count = mask.bool().sum(dim=dim)
    return masked_sum(x, mask, dim=dim) / count.clamp(min=1)


def masked_var(x: Tensor, mask: Tensor) -> Tensor:
    """Return the sample variance over the positions that count: (1/(n−1))·Σ_{i: m_i} (x_i − x̄)².

    Args:
        x: Numbers, (...).
        mask: Which of them count, (...).

    Returns:
        A scalar, 0 for n < 2.
    """
    count = mask.bool().sum()
    squares = (apply_mask(x, mask) - masked_mean(x, mask)).square()
    return masked_sum(squares, mask) / (count - 1).clamp(min=1)


def last_index(mask: Tensor) -> Tensor:
    """Return the last column that counts in each row.

    Args:
        mask: Which positions count, (B, T).

    Returns:
        Columns, (B,) long; −1 where none counts.
    """
    before = torch.full((*mask.shape[:-1], 1), -1, device=mask.device)  # found where nothing counts
    columns = torch.arange(mask.shape[-1], device=mask.device)
    counting = torch.where(mask.bool(), columns, -1)  # (B, T)
    return torch.cat([before, counting], dim=-1).amax(dim=-1)  # (B,)
