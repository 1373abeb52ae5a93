"""Advantages that need the whole batch, or the group of one prompt: centring and scaling.

Two functions divide by a spread. Where the spread is nothing but rounding (one value, or all
values alike) there is no information in it, and the result is exactly 0 instead of amplified
noise; elsewhere no small constant is added, so the scale is exact.
"""

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.maths.masking import apply_mask, masked_mean, masked_var


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """Return x with mean 0 and sample variance 1 over the positions that count: (x − x̄)/s.

    The usual treatment of PPO's advantages, over the whole batch. With fewer than two
    positions there is no variance, and only the centring remains (which gives 0).

        x       3.0  1.0   9.9          whitened    1.0  −1.0   0.0
        mask     1    1     0    (…)                              ↑ off: 0, content unseen

    Args:
        x: Numbers, (B, T).
        mask: Which of them count, (B, T).

    Returns:
        Whitened numbers, (B, T), 0 where the mask is off.
    """
    clean = apply_mask(x, mask)
    centred = apply_mask(clean - masked_mean(clean, mask), mask)
    return centred * _inverse_spread(masked_var(clean, mask), clean.abs().amax())


def group_relative(scores: Tensor, group: Tensor, *, scale: bool = True) -> Tensor:
    """Compare each score with its group: A_i = (R_i − R̄_g)/σ_g, the advantage of GRPO.

    Shao et al. 2024 (DeepSeekMath); σ_g is the population standard deviation of the group.
    `scale=False` leaves the division out, as Dr. GRPO does (Liu et al. 2025). A silent
    group, all scores alike, gives exactly 0. Dividing by σ_g makes the expected gradient
    point elsewhere than the true one; the group mean alone only shrinks it by (G−1)/G.

    Args:
        scores: R_i, (B,), reward units.
        group: Number of each row's prompt, (B,) integers in any order.
        scale: Whether to divide by the group's standard deviation.

    Returns:
        Advantages, (B,).

    Raises:
        LabError: If a shape is wrong.
    """
    index, counts = _groups(scores, group)
    shifted = _above_lowest(scores, index, counts)
    centred = shifted - (_group_sum(shifted, index, counts) / counts)[index]
    variance = _group_sum(centred.square(), index, counts) / counts
    inverse = _inverse_spread(variance, _group_max(scores.abs(), index, counts))
    factor = inverse if scale else (inverse > 0).to(scores.dtype)
    return centred * factor[index]


def leave_one_out(scores: Tensor, group: Tensor) -> Tensor:
    """Compare each score with the others of its group: A_i = R_i − (1/(G−1))·Σ_{j≠i} R_j.

    Kool et al. 2019; Ahmadian et al. 2024 (RLOO). The baseline does not depend on row i, so
    the gradient stays unbiased. A group of one has no others: its baseline is 0.

    Args:
        scores: R_i, (B,), reward units.
        group: Number of each row's prompt, (B,) integers in any order.

    Returns:
        Advantages, (B,).

    Raises:
        LabError: If a shape is wrong.
    """
    index, counts = _groups(scores, group)
    shifted = _above_lowest(scores, index, counts)
    others = _group_sum(shifted, index, counts)[index] - shifted
    sizes = counts[index]
    return torch.where(sizes > 1, shifted - others / (sizes - 1).clamp(min=1), scores)


def _groups(scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Number the groups from 0: the number of each row's group (B,), and the sizes (G,)."""
    if scores.ndim != 1 or group.shape != scores.shape:
        remedy = f"give one number and one score per row; scores have the shape {tuple(scores.shape)}"
        raise LabError("shape of group", tuple(group.shape), remedy)
    _, index, counts = torch.unique(group, return_inverse=True, return_counts=True)
    return index, counts


def _group_sum(x: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """Return the sum of each group, (G,)."""
    return x.new_zeros(counts.shape).index_add(0, index, x)


def _group_max(x: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """Return the largest number of each group, (G,)."""
    return x.new_zeros(counts.shape).scatter_reduce(0, index, x, "amax", include_self=False)


def _above_lowest(scores: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """Return scores above the lowest of their group, so that equal scores are exactly 0, (B,)."""
    return scores + _group_max(-scores, index, counts)[index]


def _inverse_spread(variance: Tensor, size: Tensor) -> Tensor:
    """Return 1/√variance, and 0 where the spread is only rounding of numbers of this size."""
    rounding = 4 * torch.finfo(variance.dtype).eps * size
    spread = variance.sqrt()
    return torch.where(spread > rounding, 1 / spread, 0)
