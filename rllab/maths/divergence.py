"""Next-token distributions: log-probs, entropy, exact KL and its estimators, and how a token is sampled.

Everything is in nats. `logits` have the vocabulary in the last dimension, (…, A), and are
already divided by the temperature. A logit of −inf is a token that cannot be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def selected_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-prob of each chosen token: log π(a|s) = z_a − log Σ_b exp z_b.

    Args:
        logits: Already shifted, so that `logits[..., t, :]` is the distribution that
            `tokens[..., t]` was sampled from, (…, A).
        tokens: Token ids, (…) long.

    Returns:
        Log-probs, (…), nats.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    return logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Tensor) -> Tensor:
    """Compute the entropy of each distribution: H(π) = −Σ_a π(a)·log π(a).

    A token with logit −inf adds 0·log 0 = 0, in the value and in the gradient.

    Args:
        logits: Logits, (…, A).

    Returns:
        Entropies between 0 and log A, (…), nats.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    possible = torch.where(logits == -torch.inf, torch.zeros_like(logprobs), logprobs)
    return -(logprobs.exp() * possible).sum(dim=-1)


def categorical_kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    """Compute KL(π‖π_ref) = Σ_a π(a)·(log π(a) − log π_ref(a)) exactly.

    A token that π cannot choose adds 0; one that only π can choose makes the KL infinite.

    Args:
        logits: Logits of π, (…, A).
        ref_logits: Logits of π_ref, (…, A).

    Returns:
        Divergences, (…), nats; never negative beyond rounding.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    difference = logprobs - torch.log_softmax(ref_logits, dim=-1)
    possible = torch.where(logits == -torch.inf, torch.zeros_like(difference), difference)
    return (logprobs.exp() * possible).sum(dim=-1)


# The three estimators below are Schulman's (2020, "Approximating KL Divergence"). All take the
# policy that sampled the tokens first and estimate KL(π‖π_ref), in nats, position by position;
# they know no mask, so clean padded inputs with apply_mask before k3 meets its exp. With
# d = log π(a) − log π_ref(a), a ~ π. As a *value* and as a *loss* they are different things:
#
#     estimator          mean under π       gradient of the mean, samples held fixed
#     k1 = d             KL(π‖π_ref)        0: no penalty at all
#     k2 = d²/2          near KL            the gradient of KL(π‖π_ref)
#     k3 = e^{−d}−1+d    KL(π‖π_ref)        the gradient of KL(π_ref‖π), the other direction


def kl_k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Estimate KL(π‖π_ref) by k1 = log π(a) − log π_ref(a): unbiased, noisy, any sign.

    Schulman 2020. Use it in the reward; differentiated as a loss its expected gradient is 0.

    Args:
        logprobs: log π(a) of tokens sampled from π, (…), nats.
        ref_logprobs: log π_ref(a) of the same tokens, (…), nats.

    Returns:
        Estimates, (…), nats.
    """
    return logprobs - ref_logprobs


def kl_k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Estimate KL(π‖π_ref) by k2 = (log π(a) − log π_ref(a))²/2: biased, never negative.

    Schulman 2020. Differentiated as a loss it gives the exact gradient of KL(π‖π_ref) in expectation.

    Args:
        logprobs: log π(a) of tokens sampled from π, (…), nats.
        ref_logprobs: log π_ref(a) of the same tokens, (…), nats.

    Returns:
        Estimates, (…), nats.
    """
    return (logprobs - ref_logprobs).square() / 2


def kl_k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Estimate KL(π‖π_ref) by k3 = ρ − 1 − log ρ with ρ = π_ref(a)/π(a): unbiased, ≥ 0.

    Schulman 2020. GRPO (Shao et al. 2024) differentiates it as a loss; in expectation that
    follows the gradient of KL(π_ref‖π).

    Args:
        logprobs: log π(a) of tokens sampled from π, (…), nats.
        ref_logprobs: log π_ref(a) of the same tokens, (…), nats.

    Returns:
        Estimates, (…), nats.
    """
    log_rho = ref_logprobs - logprobs
    return torch.expm1(log_rho) - log_rho


# ---- How a token is sampled from probabilities: the noise, the choice, and the filters before it ----


def exponential_noise(shape: Sequence[int], *, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw Exp(1) noise on the CPU for a whole batch, so that every device and split sees the same numbers.

    Args:
        shape: Shape of the noise.
        generator: Source of the random draws, on the CPU.
        like: A tensor of the wanted number type and device.

    Returns:
        The noise.
    """
    noise = torch.empty(tuple(shape), dtype=like.dtype).exponential_(generator=generator)
    return noise.to(like.device)


def sample(probs: Tensor, noise: Tensor) -> Tensor:
    """Sample one index per row as argmax(p / q) with q ~ Exp(1), which is what torch.multinomial does.

    Args:
        probs: Probabilities, (…, A).
        noise: Exp(1) noise, (…, A).

    Returns:
        Token ids, (…) long.
    """
    return torch.argmax(probs / noise, dim=-1)


def filtered(probs: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Keep the top_k most likely tokens, then the fewest that reach the probability top_p, and rescale to 1.

    The token that crosses top_p is kept, as is usual (nucleus sampling, Holtzman et al. 2020).

    Args:
        probs: Probabilities, (…, A).
        top_k: How many tokens to keep; 0 for all.
        top_p: Probability to keep; 1 for all.

    Returns:
        Probabilities, (…, A), 0 for what was left out.
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
