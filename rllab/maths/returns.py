"""Rewards per token from scores, and returns and advantages from rewards.

Time: the reward r_t and the value V(s_t) of column t belong to the action y_t and to the
state *before* it; choosing y_t leads to s_{t+1}. The value after a row's last column is 0
where the response ended, and `bootstrap[b]` where it was cut by the length limit:

    column t        0      1      2      3      4      after
    row 0  V      V(s0)  V(s1)  V(s2)    ·      ·      0             ended at column 2
    row 1  V      V(s0)  V(s1)  V(s2)  V(s3)  V(s4)    bootstrap[1]  cut after column 4

Columns that do not count are transparent: the recursion passes over them, and what they hold
never matters. All outputs are 0 there.
"""

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.maths.divergence import kl_k1
from rllab.maths.masking import apply_mask, last_index


def token_rewards(
    scores: Tensor,
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    *,
    kl_coef: float,
) -> Tensor:
    """Compute the reward of each token: r_t = score_t − β·(log π(a_t|s_t) − log π_ref(a_t|s_t)).

    Stiennon et al. 2020; β is `kl_coef`. Scores of shape (B,) are paid at
    each row's last position that counts (a row without one is paid nothing); scores of shape
    (B, T) are taken as they are:

        scores (B,)     2.0    kl_coef 0        r   0.0  0.0  2.0   ·    ·
                       −1.0                         0.0  0.0  0.0  0.0 −1.0

    Args:
        scores: Scores of rows, (B,), or of tokens, (B, T), reward units.
        logprobs: log π(a_t|s_t), (B, T), nats.
        ref_logprobs: log π_ref(a_t|s_t), (B, T), nats.
        mask: Which positions count, (B, T).
        kl_coef: β, in reward units per nat.

    Returns:
        Rewards, (B, T), 0 where the mask is off.

    Raises:
        LabError: If the scores have another shape.
    """
    clean = apply_mask(logprobs, mask, name="logprobs"), apply_mask(ref_logprobs, mask, name="ref_logprobs")
    return apply_kl_penalty(_paid(scores, mask), kl_k1(*clean), mask, kl_coef=kl_coef)


def apply_kl_penalty(rewards: Tensor, kl: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """Subtract the price of divergence from the rewards: r_t − β·KL_t, whatever estimated KL_t.

    Args:
        rewards: r_t, (B, T), reward units.
        kl: KL_t, (B, T), nats.
        mask: Which positions count, (B, T).
        kl_coef: β, in reward units per nat.

    Returns:
        Rewards, (B, T), 0 where the mask is off.
    """
    return apply_mask(rewards, mask, name="rewards") - kl_coef * apply_mask(kl, mask, name="kl")


def _paid(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the scores on their columns, (B, T)."""
    if scores.shape == mask.shape:
        return apply_mask(scores, mask, name="scores")
    if scores.shape != mask.shape[:1]:
        remedy = f"give one score per row, {tuple(mask.shape[:1])}, or per token, {tuple(mask.shape)}"
        raise LabError("shape of scores", tuple(scores.shape), remedy)
    columns = torch.arange(mask.shape[-1], device=mask.device)
    is_last = columns == last_index(mask).unsqueeze(-1)  # (B, T)
    return apply_mask(scores.unsqueeze(-1).expand(mask.shape), is_last)


def discounted_returns(rewards: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """Compute the return from each step on: G_t = Σ_{k≥t} γ^{k−t}·r_k = r_t + γ·G_{t+1}.

    Args:
        rewards: r_t, (B, T), reward units.
        mask: Which positions count, (B, T).
        gamma: Discount per token.

    Returns:
        Returns, (B, T), 0 where the mask is off.
    """
    counts = mask.bool()
    clean = apply_mask(rewards, mask, name="rewards")
    running = torch.zeros_like(clean[..., 0]) if clean.shape[-1] else clean.sum(-1)
    columns = []
    for t in reversed(range(clean.shape[-1])):
        running = torch.where(counts[..., t], clean[..., t] + gamma * running, running)
        columns.append(running)
    return apply_mask(_restack(columns, clean), mask)


def td_errors(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    gamma: float,
    bootstrap: Tensor | None = None,
) -> Tensor:
    """Compute the TD error of each step: δ_t = r_t + γ·V(s_{t+1}) − V(s_t).

    Sutton 1988. With the true V it is the advantage itself, as the transition to s_{t+1} is
    deterministic. After the last position V is 0, or `bootstrap` where a row was cut.

    Args:
        rewards: r_t, (B, T), reward units.
        values: V(s_t), (B, T), reward units.
        mask: Which positions count, (B, T).
        gamma: Discount per token.
        bootstrap: V after the last position, (B,), 0 for the rows that ended; None where all ended.

    Returns:
        TD errors, (B, T), 0 where the mask is off.

    Raises:
        LabError: If a shape is wrong.
    """
    clean_rewards = apply_mask(rewards, mask, name="rewards")
    clean_values = apply_mask(values, mask, name="values")
    following = _next_values(clean_values, mask, bootstrap)
    return apply_mask(clean_rewards + gamma * following - clean_values, mask)


def gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    gamma: float,
    lam: float,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute generalized advantage estimates: Â_t = Σ_l (γλ)^l·δ_{t+l}, and the λ-returns Â_t + V(s_t).

    Schulman et al. 2016 (GAE). λ=0 gives the TD error, λ=1 the return minus the value; the
    λ-return is what the critic is fitted to. Nothing is whitened here.

    Args:
        rewards: r_t, (B, T), reward units.
        values: V(s_t), (B, T), reward units.
        mask: Which positions count, (B, T).
        gamma: Discount per token.
        lam: λ.
        bootstrap: V after the last position, (B,), 0 for the rows that ended; None where all ended.

    Returns:
        Advantages and returns, (B, T) each, 0 where the mask is off.

    Raises:
        LabError: If a shape is wrong.
    """
    deltas = td_errors(rewards, values, mask, gamma=gamma, bootstrap=bootstrap)
    advantages = discounted_returns(deltas, mask, gamma=gamma * lam)
    returns = apply_mask(advantages + apply_mask(values, mask), mask)
    return advantages, returns


def _next_values(values: Tensor, mask: Tensor, bootstrap: Tensor | None) -> Tensor:
    """Return V(s_{t+1}) for every column: the value at the next position that counts, (B, T)."""
    counts = mask.bool()
    following = values.new_zeros(values.shape[:-1]) if bootstrap is None else bootstrap
    if following.shape != values.shape[:-1]:
        remedy = f"give one value per row, {tuple(values.shape[:-1])}"
        raise LabError("shape of bootstrap", tuple(following.shape), remedy)
    columns = []
    for t in reversed(range(values.shape[-1])):
        columns.append(following)
        following = torch.where(counts[..., t], values[..., t], following)
    return _restack(columns, values)


def _restack(backwards: list[Tensor], like: Tensor) -> Tensor:
    """Join columns collected from the last to the first into the shape of `like`."""
    return torch.stack(backwards[::-1], dim=-1) if backwards else torch.zeros_like(like)
