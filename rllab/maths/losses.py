"""Losses per position or per pair, and the reducers that turn them into the number that is minimised.

Losses of policies and critics are (B, T) and 0 where the mask is off; losses of pairs are
(B,). None is averaged: only `reduce` does that, by one of four named rules. Advantages,
old log-probs, old values, returns and reference log-probs are data: no gradient flows into
them, even when a caller forgot to detach. ρ_t = exp(log π(a_t|s_t) − log π_old(a_t|s_t)) is
the ratio (the PPO paper calls it r_t, which here is the reward).
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from rllab.core.errors import LabError
from rllab.maths.masking import apply_mask, masked_mean, masked_sum

REDUCERS: Final = ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "constant")


def policy_gradient_loss(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """Compute the policy gradient loss of each token: −Â_t·log π(a_t|s_t).

    Williams 1992 (REINFORCE); with a critic's advantage, A2C (Mnih et al. 2016).

    Args:
        logprobs: log π(a_t|s_t), (B, T), nats.
        advantages: Â_t, (B, T).
        mask: Which positions count, (B, T).

    Returns:
        Losses, (B, T), 0 where the mask is off.
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
    """Compute PPO's clipped loss of each token: −min(ρ_t·Â_t, clip(ρ_t, 1−ε, 1+ε⁺)·Â_t).

    Schulman et al. 2017 (PPO); a larger ε⁺ is DAPO's clip-higher (Yu et al. 2025).

        gradient      ρ < 1−ε      between      ρ > 1+ε⁺
        Â > 0         full         full         exactly 0
        Â < 0         exactly 0    full         full

    Args:
        logprobs: log π(a_t|s_t) of the policy being trained, (B, T), nats.
        old_logprobs: log π_old(a_t|s_t) of the policy that sampled, (B, T), nats.
        advantages: Â_t, (B, T).
        mask: Which positions count, (B, T).
        clip_eps: ε.
        clip_eps_high: ε⁺; None means the same as ε.

    Returns:
        Losses, (B, T), 0 where the mask is off.
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
    """Compute the one-sided loss of each token: −min(ρ_t, clip(ρ_t, 1−ε, 1+ε⁺))·Â_t = −min(ρ_t, 1+ε⁺)·Â_t.

    A form that some courses teach, here to be compared with PPO's: they agree for Â > 0. For Â < 0
    this one never stops pushing a token down, and lets go of a bad token that rose:

        gradient      ρ < 1−ε      between      ρ > 1+ε⁺
        Â > 0         full         full         exactly 0
        Â < 0         full         full         exactly 0

    Args:
        logprobs: log π(a_t|s_t) of the policy being trained, (B, T), nats.
        old_logprobs: log π_old(a_t|s_t) of the policy that sampled, (B, T), nats.
        advantages: Â_t, (B, T).
        mask: Which positions count, (B, T).
        clip_eps: ε.
        clip_eps_high: ε⁺; None means the same as ε.

    Returns:
        Losses, (B, T), 0 where the mask is off.
    """
    high = clip_eps if clip_eps_high is None else clip_eps_high
    ratio = _ratio(logprobs, old_logprobs, mask)
    weights = apply_mask(advantages, mask, name="advantages").detach()
    return apply_mask(-ratio.clamp(max=1 + high) * weights, mask)


def _ratio(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor) -> Tensor:
    """Return ρ_t, and 1 where the mask is off, so that exp never sees what padding holds."""
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
    """Compute the critic's loss with moves beyond ±ε not rewarded: ½·max((V−G)², (clip(V, V_old±ε)−G)²).

    The critic's loss of OpenAI's PPO code, described by Engstrom et al. 2020.

    Args:
        values: V(s_t) of the critic being trained, (B, T), reward units.
        old_values: V(s_t) when the batch was sampled, (B, T), reward units.
        returns: G_t, (B, T), reward units.
        mask: Which positions count, (B, T).
        clip_eps: ε, in reward units; math.inf switches the clipping off and leaves ½·(V−G)².

    Returns:
        Losses, (B, T), 0 where the mask is off.
    """
    clean = apply_mask(values, mask, name="values")
    old = apply_mask(old_values, mask, name="old_values").detach()
    targets = apply_mask(returns, mask, name="returns").detach()
    near = clean.clamp(old - clip_eps, old + clip_eps)
    return torch.maximum((clean - targets).square(), (near - targets).square()) / 2


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Compute the loss of each preference: −log σ(R_chosen − R_rejected).

    Bradley and Terry 1952; as a reward model's loss, Ouyang et al. 2022.

    Args:
        chosen: Scores of the preferred responses, (B,).
        rejected: Scores of the others, (B,).

    Returns:
        Losses, (B,), nats; log 2 where the scores are equal.
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
    """Compute the DPO loss of each preference: −log σ(β·(Δ_chosen − Δ_rejected)).

    Rafailov et al. 2023. Δ = log π(y|x) − log π_ref(y|x), summed over the response's tokens;
    β·Δ is the implicit reward. At π = π_ref the loss is log 2.

    Args:
        logps_chosen: log π(y|x) of the preferred responses, (B,), nats.
        logps_rejected: log π(y|x) of the others, (B,), nats.
        ref_logps_chosen: log π_ref(y|x) of the preferred responses, (B,), nats.
        ref_logps_rejected: log π_ref(y|x) of the others, (B,), nats.
        beta: β, in reward units per nat.

    Returns:
        Losses, (B,), nats.
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
    """Reduce a masked (B, T) tensor to one number, by one of four rules.

        mode                   formula                          denominator counts
        token-mean             Σ_b Σ_t x_bt / N                 tokens, N
        seq-mean-token-mean    Σ_b (Σ_t x_bt / n_b) / B         rows, B
        seq-mean-token-sum     Σ_b Σ_t x_bt / B                 rows, B
        constant               Σ_b Σ_t x_bt / c                 c, always given

    n_b is row b's count, N all of them, B the rows that have any. DAPO (Yu et al. 2025)
    averages tokens, GRPO (Shao et al. 2024) rows of means, Dr. GRPO (Liu et al. 2025) divides
    by a constant. Where a batch is processed in slices, give `count` of the whole batch's mask
    as the denominator: the slices' results, and their gradients, then add up to the
    whole batch's, which averages of averages do not.

    Args:
        x: Losses, (B, T).
        mask: Which positions count, (B, T).
        mode: One of `REDUCERS`.
        denominator: What to divide by; None counts it here.

    Returns:
        A scalar, 0 where nothing counts.

    Raises:
        LabError: If the mode is unknown, its constant is missing, or the denominator is not above 0.
    """
    if mode not in REDUCERS:
        raise LabError.choice("reducer", mode, REDUCERS)
    rows = (masked_mean if mode == "seq-mean-token-mean" else masked_sum)(x, mask, dim=-1)  # (B,)
    if denominator is None:
        return rows.sum() / count(mask, mode).clamp(min=1)
    if not float(denominator) > 0:
        raise LabError("denominator", float(denominator), "give a number above 0")
    return rows.sum() / denominator


def count(mask: Tensor, mode: str) -> Tensor:
    """Return the number that `reduce` divides by: tokens or rows.

    Args:
        mask: Which positions count, (B, T).
        mode: One of `REDUCERS`, but `constant`, which counts nothing.

    Returns:
        An integer scalar.

    Raises:
        LabError: If the mode is unknown or `constant`.
    """
    if mode not in REDUCERS:
        raise LabError.choice("reducer", mode, REDUCERS)
    if mode == "constant":
        raise LabError("denominator", None, "give the constant that the reducer 'constant' divides by")
    return mask.bool().sum() if mode == "token-mean" else mask.bool().any(dim=-1).sum()
