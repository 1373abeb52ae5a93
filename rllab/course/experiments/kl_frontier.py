"""The frontier of reward against KL. Its slope is beta; what is trained lies below it by beta KL(pi || pi*).

One state with 200 answers, everything exact: the tilted optimum, the best of n, and a policy on its way to the
optimum by gradient steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.truth.levels import Level
from rllab.truth.optimum import Optimum, best_of_law, soft_optimum

ANSWERS = 200
BETAS = (5.0, 3.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.4, 0.35, 0.3, 0.25)
NUDGE = 1e-4  # relative step of beta for the slope
BEST_OF = 16
LR = 0.1


@dataclass(frozen=True)
class Size:
    """How many gradient steps the trained policy takes, and how often it is looked at."""

    steps: int
    every: int


@dataclass(frozen=True)
class Point:
    """One policy: how far it is from the reference, and what it earns."""

    kl: float  # nats
    reward: float


@dataclass(frozen=True)
class Edge:
    """The frontier at one beta."""

    beta: float
    point: Point
    slope: float  # dE[R]/dKL along the frontier
    gap: float  # J* - beta log Z by summing over the answers: 0 but for rounding


@dataclass(frozen=True)
class Trained:
    """The trained policy after so many steps at beta 0.5."""

    step: int
    point: Point
    below: float  # J* - J
    explained: float  # beta KL(pi || pi*)


@dataclass(frozen=True)
class Result:
    """Frontier, training, and the best of n beside the optimum at the same KL."""

    frontier: tuple[Edge, ...]
    trained: tuple[Trained, ...]
    best_of: Point
    optimum_there: Point


FAST, WORKSHOP = Size(steps=100, every=20), Size(steps=2000, every=100)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Compute the frontier, and train one policy towards it."""
    generator = torch.Generator().manual_seed(0)
    ref = torch.log_softmax(torch.randn(ANSWERS, generator=generator, dtype=torch.float64), dim=0)
    reward = torch.randn(ANSWERS, generator=generator, dtype=torch.float64)
    best = best_of_law(ref, reward, n=BEST_OF)
    there = _optimum(ref, reward, _beta_at(ref, reward, best.kl))
    return Result(
        tuple(_edge(ref, reward, beta) for beta in BETAS),
        tuple(_train(ref, reward, size, job)),
        Point(best.kl, best.reward),
        Point(there.kl, there.reward),
    )


def _optimum(ref: Tensor, reward: Tensor, beta: float) -> Optimum:
    """Return the best policy of a tree that is one state."""
    actions = torch.arange(ANSWERS)[None]
    level = Level(torch.zeros(1, 0, dtype=torch.long), actions, ref[None], torch.full_like(actions, -1), actions)
    return soft_optimum([level], [reward[None]], [ref[None]], beta=beta, gamma=1.0)


def _edge(ref: Tensor, reward: Tensor, beta: float) -> Edge:
    """Return the frontier at one beta, with its slope by a small step to both sides."""
    low, here, high = (_optimum(ref, reward, beta * (1 + sign * NUDGE)) for sign in (-1, 0, 1))
    partition = float((ref + reward / beta).logsumexp(0))
    slope = (high.reward - low.reward) / (high.kl - low.kl)
    return Edge(beta, Point(here.kl, here.reward), slope, here.J - beta * partition)


def _beta_at(ref: Tensor, reward: Tensor, kl: float) -> float:
    """Find the beta whose optimum is so far from the reference: KL falls as beta rises."""
    low, high = 1e-2, 1e2
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _optimum(ref, reward, middle).kl > kl else (low, middle)
    return math.sqrt(low * high)


def _train(ref: Tensor, reward: Tensor, size: Size, job: Job) -> list[Trained]:
    """Climb J = E[R] - beta KL by its exact gradient, and compare with the optimum on the way."""
    beta, seen = 0.5, []
    best = _optimum(ref, reward, beta)
    logits = ref.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=LR)
    for step in range(size.steps + 1):
        job.check()
        logprobs = torch.log_softmax(logits, dim=0)
        probs = logprobs.exp()
        earned, kl = (probs * reward).sum(), (probs * (logprobs - ref)).sum()
        if step % size.every == 0:
            apart = float((probs * (logprobs - best.leaf_logprobs)).sum().detach())
            below = best.J - float((earned - beta * kl).detach())
            seen.append(Trained(step, Point(float(kl.detach()), float(earned.detach())), below, beta * apart))
            job.report(step, size.steps, "training")
        optimizer.zero_grad()
        (beta * kl - earned).backward()
        optimizer.step()
    return seen
