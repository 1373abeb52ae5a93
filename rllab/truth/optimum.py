"""The best policy under a price for KL: known exactly, because the tree is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy
from rllab.truth.levels import Cursor, Level, following, kept_logprobs, sizes_below, sums_along, walk
from rllab.value.objective import Objective

# ---- The best policy under a price for KL: known exactly, because the tree is ----


@dataclass(frozen=True, eq=False)
class Optimum:
    """pi* = argmax E[R] - beta KL(pi || pi_ref), with J* = beta log Z at gamma = 1.

    Attributes:
        beta: Reward units per nat of KL.
        J: The value of the optimum: reward minus beta KL.
        logprobs: Log-probs of the optimum for the actions of each level, (N, K).
        leaf_logprobs: Its log-prob of each response in nats, (L,).
        reward: Expected reward of the optimum.
        kl: KL(optimum || reference) in nats a response.
    """

    beta: float  # reward units per nat
    J: float
    logprobs: tuple[Tensor, ...]  # (N, K) nats for each level of the tree
    leaf_logprobs: Tensor  # (L,) nats
    reward: float  # expected, undiscounted
    kl: float  # nats: KL(pi* || pi_ref)


def soft_optimum(
    levels: Sequence[Level], rewards: Sequence[Tensor], ref_logprobs: Sequence[Tensor], *, beta: float, gamma: float
) -> Optimum:
    """Solve V* = beta log sum_a pi_ref(a) exp((r + gamma V*')/beta) from the leaves up; pi* is the summand's share."""
    logprobs, values = [], torch.zeros(0, dtype=torch.float64)
    for level, reward, ref in zip(reversed(levels), reversed(rewards), reversed(ref_logprobs), strict=True):
        tilted = ref + (reward + gamma * following(values, level.child)) / beta
        total = torch.logsumexp(tilted, dim=1)
        values = beta * total
        logprobs.append(tilted - total[:, None])
    logprobs.reverse()
    leaf, ref_leaf = sums_along(levels, logprobs), sums_along(levels, ref_logprobs)
    probs = leaf.exp()
    return Optimum(
        beta=beta,
        J=float(values[0]),
        logprobs=tuple(logprobs),
        leaf_logprobs=leaf,
        reward=float((probs * sums_along(levels, rewards)).sum()),
        kl=float((probs * (leaf - ref_leaf)).sum()),
    )


# ---- The best of n samples: exactly which response wins how often ----


@dataclass(frozen=True, eq=False)
class BestOf:
    """The distribution of the response that scores highest among n.

    Attributes:
        n: Number of responses drawn.
        logprobs: Log-prob of each response to be the one that is kept, (L,).
        reward: Expected score of the response that is kept.
        kl: KL(best of n || policy) in nats a response.
    """

    n: int
    logprobs: Tensor  # (L,) nats, in the order of the tree's leaves
    reward: float  # expected score
    kl: float  # nats from the policy that wrote the samples

    @property
    def bound(self) -> float:
        """Return log n - (n - 1)/n, which the KL never exceeds, in nats (Beirami et al. 2024)."""
        return math.log(self.n) - (self.n - 1) / self.n


def best_of_law(logprobs: Tensor, score: Tensor, *, n: int) -> BestOf:
    """Weigh every response (L,) by its chance to be the best of n; equal scores share theirs as chance drew them.

    A group of equal scores with mass m and everything below it with mass F wins with (F + m)^n - F^n.
    """
    if not is_whole(n, low=1):
        raise LabError("n", n, "draw at least one response, and give a whole number")
    values, group = torch.unique(score, return_inverse=True)  # ascending
    mass = torch.zeros(len(values), dtype=torch.float64).index_add(0, group, logprobs.exp())
    up_to = mass.cumsum(0)
    beaten = (mass / up_to).clamp(max=1.0)  # share of the group among all that do not beat it
    wins = n * up_to.log() + torch.log(-torch.expm1(n * torch.log1p(-beaten)))  # log((F+m)^n - F^n)
    law = torch.where(mass[group] > 0, logprobs + (wins - mass.log())[group], -torch.inf)
    ratio = torch.where(law > -torch.inf, law - logprobs, 0.0)
    return BestOf(n, law, reward=float((law.exp() * score).sum()), kl=float((law.exp() * ratio).sum()))


# ---- The exact gradient of J in the policy's parameters, in pieces that fit into memory ----


def trainable(policy: Policy) -> list[nn.Parameter]:
    """Return the parameters that a gradient speaks of: all that are not frozen, in their own order."""
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    if not parameters:
        raise LabError("policy", type(policy.model).__name__, "all of its parameters are frozen; unfreeze some")
    return parameters


def flat(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return gradients as one vector; a parameter that had no part in the result has gradient 0."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(parameter) if one is None else one).flatten() for one, parameter in pairs])


def policy_gradient(
    policy: Policy,
    prompt: str,
    levels: Sequence[Level],
    slopes: Sequence[Tensor],
    *,
    objective: Objective,
    job: Job = NO_JOB,
) -> Tensor:
    """Return sum over states and actions of slope times the gradient of log pi, flat."""
    parameters = trainable(policy)
    climb = _Climb(levels, slopes, parameters, temperature=objective.temperature)
    with torch.enable_grad(), policy.lock:
        decoder = Decoder(policy, [policy.encode(prompt)], gradient=True, job=job)
        walk(decoder, climb, below=sizes_below(levels), job=job)
    return climb.total


class _Climb:
    """Add up gradients over the pieces of a tree."""

    def __init__(
        self, levels: Sequence[Level], slopes: Sequence[Tensor], parameters: list[nn.Parameter], *, temperature: float
    ) -> None:
        self.total = torch.zeros(sum(parameter.numel() for parameter in parameters), dtype=parameters[0].dtype)
        self._cursor, self._slopes, self._temperature = Cursor(levels), slopes, temperature
        self._parameters, self._terms = parameters, [torch.zeros((), dtype=torch.float64)]

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the log-probs of a piece by their slopes."""
        rows = self._cursor.advance(depth, len(logits))
        level = self._cursor.levels[depth]
        logprobs = kept_logprobs(logits, level.actions[rows], temperature=self._temperature)
        self._terms.append((self._slopes[depth][rows] * logprobs).sum())
        return level.going_on(rows)

    def close(self) -> None:
        """Differentiate what was seen; the graph of what comes next hangs on it, so it is kept until all let go."""
        total = torch.stack(self._terms).sum()
        gradients = torch.autograd.grad(total, self._parameters, retain_graph=True, allow_unused=True)
        self.total += flat(gradients, self._parameters).cpu()
        self._terms = [torch.zeros((), dtype=torch.float64)]
