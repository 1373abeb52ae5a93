"""Give one loss per position or per pair, and reduce them to the number that is minimised.

Losses of policies and critics are (B, T) and 0 where the mask is off; losses of pairs are
(B,). None is averaged: only ``reduce`` does that, by one of four named rules. Advantages,
old log-probs, old values, returns and reference log-probs are data: no gradient flows into
them, even when a caller forgot to detach. ρ_t = exp(log π(a_t|s_t) − log π_old(a_t|s_t)) is
the ratio (the PPO paper calls it r_t, which here is the reward).
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from rllab.core.errors import LabError
from rllab.maths.masking import apply_mask, masked_mean, masked_sum


def policy_gradient_loss(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """Raise the log-prob of good tokens, lower that of bad ones: −Â_t·log π(a_t|s_t).

    Williams 1992 (REINFORCE); with a critic's advantage, A2C (Mnih et al. 2016).
    logprobs, advantages, mask: (B, T). Returns (B, T).
    """
    clean_logprobs = apply_mask(logprobs, mask, name="logprobs")
    return -apply_mask(advantages, mask, name="advantages").detach() * clean_logprobs


def clipped_surrogate_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_eps: float,
    clip_eps_high: float | None = None,
) -> Tensor:
    """Stop pushing once the policy moved enough: −min(ρ_t·Â_t, clip(ρ_t, 1−ε, 1+ε⁺)·Â_t).

    Schulman et al. 2017 (PPO); a larger ε⁺ is DAPO's clip-higher (Yu et al. 2025).

        gradient      ρ < 1−ε      between      ρ > 1+ε⁺
        Â > 0         full         full         exactly 0
        Â < 0         exactly 0    full         full

    logprobs, old_logprobs, advantages, mask: (B, T). ``clip_eps_high`` None means ε⁺ = ε.
    Returns (B, T).
    """
    high = clip_eps if clip_eps_high is None else clip_eps_high
    ratio = _ratio(logprobs, old_logprobs, mask)
    weights = apply_mask(advantages, mask, name="advantages").detach()
    clipped = ratio.clamp(1 - clip_eps, 1 + high)
    return apply_mask(-torch.minimum(ratio * weights, clipped * weights), mask)


def course_clipped_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_eps: float,
    clip_eps_high: float | None = None,
) -> Tensor:
    """Cap the ratio from above alone: −min(ρ_t, clip(ρ_t, 1−ε, 1+ε⁺))·Â_t = −min(ρ_t, 1+ε⁺)·Â_t.

    A form met in courses, kept to be compared with PPO's: they agree for Â > 0. For Â < 0
    this one never stops pushing a token down, and lets go of a bad token that rose:

        gradient      ρ < 1−ε      between      ρ > 1+ε⁺
        Â > 0         full         full         exactly 0
        Â < 0         full         full         exactly 0

    logprobs, old_logprobs, advantages, mask: (B, T). ``clip_eps_high`` None means ε⁺ = ε.
    Returns (B, T).
    """
    high = clip_eps if clip_eps_high is None else clip_eps_high
    ratio = _ratio(logprobs, old_logprobs, mask)
    weights = apply_mask(advantages, mask, name="advantages").detach()
    return apply_mask(-ratio.clamp(max=1 + high) * weights, mask)


def _ratio(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor) -> Tensor:
    """Give ρ_t, and 1 where the mask is off, so that exp never sees what padding holds."""
    clean = apply_mask(logprobs, mask, name="logprobs")
    return (clean - apply_mask(old_logprobs, mask, name="old_logprobs").detach()).exp()


def clipped_value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip_eps: float,
) -> Tensor:
    """Fit the critic, not trusting a move beyond ±ε: ½·max((V−G)², (clip(V, V_old±ε)−G)²).

    The critic's loss of OpenAI's PPO code, described by Engstrom et al. 2020. ε is in units
    of reward; math.inf switches the clipping off and leaves ½·(V−G)².

    values, old_values, returns, mask: (B, T). Returns (B, T).
    """
    clean = apply_mask(values, mask, name="values")
    old = apply_mask(old_values, mask, name="old_values").detach()
    targets = apply_mask(returns, mask, name="returns").detach()
    near = clean.clamp(old - clip_eps, old + clip_eps)
    return torch.maximum((clean - targets).square(), (near - targets).square()) / 2


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Score the preferred response higher: −log σ(R_chosen − R_rejected), in nats.

    Bradley and Terry 1952; as a reward model's loss, Ouyang et al. 2022.
    chosen, rejected: (B,) scores. Returns (B,); log 2 where the scores are equal.
    """
    return -functional.logsigmoid(chosen - rejected)


def dpo_loss(
    logps_chosen: Tensor,
    logps_rejected: Tensor,
    ref_logps_chosen: Tensor,
    ref_logps_rejected: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Fit preferences without a reward model: −log σ(β·(Δ_chosen − Δ_rejected)), in nats.

    Rafailov et al. 2023. Δ = log π(y|x) − log π_ref(y|x), summed over the response's tokens;
    β·Δ is the implicit reward. At π = π_ref the loss is log 2.
    All arguments: (B,). Returns (B,).
    """
    chosen = logps_chosen - ref_logps_chosen.detach()
    rejected = logps_rejected - ref_logps_rejected.detach()
    return bradley_terry_loss(beta * chosen, beta * rejected)


def reduce(
    x: Tensor,
    mask: Tensor,
    mode: str,
    *,
    denominator: float | Tensor | None = None,
) -> Tensor:
    """Make one number of a masked (B, T) tensor, by one of four rules.

        mode                   formula                          denominator counts
        token-mean             Σ_b Σ_t x_bt / N                 tokens, N
        seq-mean-token-mean    Σ_b (Σ_t x_bt / n_b) / B         rows, B
        seq-mean-token-sum     Σ_b Σ_t x_bt / B                 rows, B
        constant               Σ_b Σ_t x_bt / c                 c, always given

    n_b is row b's count, N all of them, B the rows that have any. DAPO (Yu et al. 2025)
    averages tokens, GRPO (Shao et al. 2024) rows of means, Dr. GRPO (Liu et al. 2025) divides
    by a constant. Where a batch is worked off in slices, give ``denominator`` = ``count`` of
    the whole batch's mask: the slices' results, and their gradients, then add up to the
    whole batch's, which averages of averages do not.

    x, mask: (B, T). Returns a scalar, 0 where nothing counts.
    Raises LabError for an unknown mode, a missing constant, a denominator that is not > 0.
    """
    rows = _ROWS[_known(mode)](x, mask)  # (B,)
    if denominator is None:
        return rows.sum() / count(mask, mode).clamp(min=1)
    if not float(denominator) > 0:
        raise LabError("denominator", float(denominator), "give a number above 0")
    return rows.sum() / denominator


def count(mask: Tensor, mode: str) -> Tensor:
    """Count what ``reduce`` divides by: tokens or rows, an integer scalar.

    mask: (B, T). Raises LabError for an unknown mode and for "constant", which counts nothing.
    """
    return _COUNTS[_known(mode)](mask)


def _tokens(mask: Tensor) -> Tensor:
    return mask.bool().sum()


def _filled_rows(mask: Tensor) -> Tensor:
    return mask.bool().any(dim=-1).sum()


def _no_count(_: Tensor) -> Tensor:
    raise LabError("denominator", None, "give the constant that the reducer 'constant' divides by")


def _row_sum(x: Tensor, mask: Tensor) -> Tensor:
    return masked_sum(x, mask, dim=-1)


def _row_mean(x: Tensor, mask: Tensor) -> Tensor:
    return masked_mean(x, mask, dim=-1)


_ROWS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "token-mean": _row_sum,
    "seq-mean-token-mean": _row_mean,
    "seq-mean-token-sum": _row_sum,
    "constant": _row_sum,
}
_COUNTS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "token-mean": _tokens,
    "seq-mean-token-mean": _filled_rows,
    "seq-mean-token-sum": _filled_rows,
    "constant": _no_count,
}
REDUCERS: Final = tuple(_ROWS)


def _known(mode: str) -> str:
    """Return the mode, or say which ones there are."""
    if mode not in _ROWS:
        raise LabError.choice("reducer", mode, REDUCERS)
    return mode
