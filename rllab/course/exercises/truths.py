"""What is right in every exercise that can be computed, from the lab's own equations.

A truth never repeats an answer: it calls `rllab.maths`, differentiates, enumerates or searches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rllab.course.tabular.maze import corridor_sweep
from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.divergence import entropy
from rllab.maths.losses import (
    bradley_terry_loss,
    clipped_surrogate_loss,
)
from rllab.maths.masking import masked_sum
from rllab.maths.returns import gae, td_errors, token_rewards

Row = Sequence[float]


def row(values: Row) -> Tensor:
    """Return numbers as one row of a batch, (1, T) in float64."""
    return torch.tensor([list(values)], dtype=torch.float64)


def whole(values: Row) -> Tensor:
    """Return a mask under which all of a row counts, (1, T)."""
    return torch.ones(1, len(values), dtype=torch.bool)


# Returns and credit


def td_row(rewards: Row, values: Row) -> Tensor:
    """Return the TD errors of a response that ended, undiscounted."""
    return td_errors(row(rewards), row(values), whole(rewards), gamma=1.0)[0]


def gae_row(rewards: Row, values: Row, lam: float) -> Tensor:
    """Return GAE of a response that ended, undiscounted."""
    return gae(row(rewards), row(values), whole(rewards), gamma=1.0, lam=lam)[0][0]


def noise_to_signal(length: float) -> float:
    """Return tr Var(g) / |g|^2 of one sampled gradient with a mean baseline, by enumerating one position's four tokens.

    `length` independent positions, the uniform policy over four tokens, +1 for each target token, one score at the end.
    """
    pi = torch.full((4,), 0.25, dtype=torch.float64)
    pay = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    score = torch.eye(4, dtype=torch.float64) - pi  # (action, logit): gradient of log pi
    signal = (pi[:, None] * score * pay[:, None]).sum(0).square().sum()
    centred = pay - (pi * pay).sum()
    others = (length - 1) * (pi * centred.square()).sum()
    second = (pi * score.square().sum(1) * (centred.square() + others)).sum()
    return float((second - signal) / signal)


# Preferences and distributions


def preference(gap: float) -> Tensor:
    """Return the Bradley-Terry probability of the response that scores higher by `gap`."""
    return (-bradley_terry_loss(torch.tensor([gap], dtype=torch.float64), torch.zeros(1))).exp()


def preference_slope(gap: float) -> Tensor:
    """Return the derivative of the Bradley-Terry loss in the gap, by autograd."""
    leaf = torch.tensor([gap], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(bradley_terry_loss(leaf, torch.zeros(1)).sum(), leaf)[0]


def dpo_margin(policy: Row, reference: Row, beta: float) -> float:
    """Return the difference of the implicit rewards beta log(pi / pi_ref) of chosen and rejected."""
    return beta * ((policy[0] - reference[0]) - (policy[1] - reference[1]))


def best_of_kl(n: float, *, answers: int = 100_000) -> float:
    """Return KL(best of n || one) over equally likely answers that all score differently, by enumeration."""
    edges = torch.linspace(0, 1, answers + 1, dtype=torch.float64) ** n
    best = edges.diff()
    return float(torch.special.xlogy(best, best * answers).sum())


def frontier_slope(beta: float) -> float:
    """Return dE[R] / dKL along the optima pi_ref exp(R / beta), by a small step in beta over random answers."""
    reward = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def point(at: float) -> tuple[float, float]:
        logits = reward / at
        pi = logits.softmax(0)
        return float(pi @ reward), float(math.log(64) - entropy(logits))

    (low, low_kl), (high, high_kl) = point(beta * 1.001), point(beta / 1.001)
    return (high - low) / (high_kl - low_kl)


def peak(curve: Callable[[float], float], *, low: float = 1e-6, high: float = 1e3) -> float:
    """Return where a curve with one hump is highest, by narrowing it down on a log scale."""
    a, b = math.log(low), math.log(high)
    for _ in range(200):
        left, right = a + (b - a) / 3, b - (b - a) / 3
        a, b = (left, b) if curve(math.exp(left)) < curve(math.exp(right)) else (a, right)
    return math.exp((a + b) / 2)


def gold_peaks(alpha: float, beta: float) -> list[float]:
    """Return the distance d at which gold is highest, in the best-of-n form and in the RL form."""
    return [peak(lambda d: d * (alpha - beta * d)), peak(lambda d: d * (alpha - beta * math.log(d)))]


# Groups, gradients, losses


def grouped(scores: Row, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the advantages of one group."""
    return function(row(scores)[0], torch.zeros(len(scores), dtype=torch.long))


def corners(ratios: Row, advantages: Row, clip_eps: float) -> Tensor:
    """Return PPO's loss at some ratios and advantages."""
    old = row([0.0] * len(ratios))
    return clipped_surrogate_loss(row(ratios).log(), old, row(advantages), whole(ratios), clip_eps=clip_eps)[0]


def paid_tokens(score: float, logprobs: Row, ref_logprobs: Row, beta: float) -> Tensor:
    """Return the reward of each token: the score at the end, minus beta KL everywhere."""
    scores = torch.tensor([score], dtype=torch.float64)
    return token_rewards(scores, row(logprobs), row(ref_logprobs), whole(logprobs), kl_coef=beta)[0]


TRUTHS: Mapping[str, Callable[..., float | Tensor | list[float]]] = {
    "sweep": corridor_sweep,
    "sequence logprob": lambda prompt, response: masked_sum(
        row([*prompt, *response]), row([0] * len(prompt) + [1] * len(response))
    ),
    "entropy": lambda logits: entropy(row(logits)),
    "preference": preference,
    "preference slope": preference_slope,
    "backup": lambda pi, rewards, following: row(pi)[0] @ (row(rewards) + row(following))[0],
    "advantages": lambda pi, q: row(q)[0] - row(pi)[0] @ row(q)[0],
    "td": td_row,
    "rloo": lambda scores: grouped(scores, leave_one_out),
    "cost": lambda short, long: noise_to_signal(long) / noise_to_signal(short),
    "gae": gae_row,
    "corners": corners,
    "token rewards": paid_tokens,
    "best of n": best_of_kl,
    "peaks": gold_peaks,
    "frontier": frontier_slope,
    "grpo": lambda scores: grouped(scores, group_relative),
    "dpo": dpo_margin,
}
