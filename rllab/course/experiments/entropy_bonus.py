"""Entropy collapse. A policy that stops trying never finds the rare best answer; too much trying never uses it.

Twenty answers: the best one is rare, a decent one is common, the rest are worth nothing. With no bonus for entropy the
decent one takes all; with a little more than enough of it nothing takes anything. Beside the runs stand two exact laws
of the first order (Cui et al. 2025), and how far one batch lets a rare answer rise under PPO's clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.divergence import entropy
from rllab.maths.losses import clipped_surrogate_loss

ANSWERS, RARE, COMMON, DECENT = 20, 0.005, 0.15, 0.6  # share of the best, share and worth of the decent one
BONUSES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)  # reward per nat
BATCH, RATE, MARK = 16, 0.5, 20
LAW_STEP = 1e-4  # a learning rate at which the second order is not seen
CLIPS = (0.2, 0.28)  # PPO's usual one, and DAPO's for the side upwards
SHARES = (0.01, 0.1, 0.7)  # of an answer, before a batch pushes it; 1.28 of each is still below 1


@dataclass(frozen=True)
class Size:
    """How many seeds and updates."""

    seeds: int
    updates: int


@dataclass(frozen=True)
class Arm:
    """One bonus over all seeds: mean entropy in nats at update 0, MARK, 2 MARK, ..., and how many found the best."""

    bonus: float
    entropy: tuple[float, ...]
    found: float  # share of the seeds whose policy gives the best answer more often than not


@dataclass(frozen=True)
class Law:
    """What one small step did to the entropy, and what the covariance had said, in nats."""

    gradient: str
    measured: float
    predicted: float  # -step Cov(log pi, A), or -step Cov(log pi, pi A)


@dataclass(frozen=True)
class Rise:
    """How often an answer is given after a batch has pushed it as long as the clip lets it."""

    clip_eps_high: float
    before: float
    after: float


@dataclass(frozen=True)
class Result:
    """All bonuses on the same seeds, both laws, and the clip."""

    arms: tuple[Arm, ...]
    laws: tuple[Law, ...]
    rises: tuple[Rise, ...]

    def arm(self, bonus: float) -> Arm:
        """Return one bonus's part."""
        return next(arm for arm in self.arms if arm.bonus == bonus)


FAST, WORKSHOP = Size(10, 600), Size(40, 1_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train with each bonus on each seed, and check the laws."""
    arms = []
    for number, bonus in enumerate(BONUSES):
        job.report(number, len(BONUSES), f"bonus {bonus:g}")
        arms.append(_train(bonus, size, job))
    laws = tuple(entropy_law(name, seed=0) for name in STEPS)
    return Result(tuple(arms), laws, tuple(rise(share, eps) for eps in CLIPS for share in SHARES))


def worth() -> Tensor:
    """Return the reward of each answer, the best first and the decent one second, (20,)."""
    return torch.tensor([1.0, DECENT, *[0.0] * (ANSWERS - 2)], dtype=torch.float64)


def start() -> Tensor:
    """Return the logits before training, (20,)."""
    rest = (1 - RARE - COMMON) / (ANSWERS - 2)
    return torch.tensor([RARE, COMMON, *[rest] * (ANSWERS - 2)], dtype=torch.float64).log()


def _train(bonus: float, size: Size, job: Job) -> Arm:
    """Follow the sampled policy gradient with the batch mean as baseline, and the exact gradient of the bonus."""
    generator, rewards = torch.Generator().manual_seed(0), worth()
    logits = start().repeat(size.seeds, 1)  # one row for each seed
    entropies = [entropy(logits).mean()]
    for update in range(size.updates):
        job.check()
        logprobs = logits.log_softmax(dim=1)
        probs = logprobs.exp()
        drawn = torch.multinomial(probs, BATCH, replacement=True, generator=generator)
        advantages = rewards[drawn] - rewards[drawn].mean(dim=1, keepdim=True)  # they add up to 0
        reward_slope = torch.zeros_like(logits).scatter_add(1, drawn, advantages) / BATCH
        entropy_slope = -probs * (logprobs + entropy(logits)[:, None])
        logits = logits + RATE * (reward_slope + bonus * entropy_slope)
        if (update + 1) % MARK == 0:
            entropies.append(entropy(logits).mean())
    found = (logits.softmax(dim=1)[:, 0] > 0.5).double().mean()
    return Arm(bonus, tuple(torch.stack(entropies).tolist()), float(found))


def entropy_law(name: str, *, seed: int, step: float = LAW_STEP) -> Law:
    """Take one small step along a gradient of random rewards, and compare the entropy with the law.

    The natural gradient moves each logit by A, the softmax policy gradient by pi A.
    """
    generator = torch.Generator().manual_seed(seed)
    logits, rewards = torch.randn(2, ANSWERS, generator=generator, dtype=torch.float64)
    logprobs = logits.log_softmax(dim=0)
    probs = logprobs.exp()
    move = STEPS[name](probs, rewards - probs @ rewards)
    covariance = probs @ (logprobs * move) - (probs @ logprobs) * (probs @ move)
    return Law(name, float(entropy(logits + step * move) - entropy(logits)), -step * float(covariance))


def _natural(probs: Tensor, advantages: Tensor) -> Tensor:
    del probs  # the natural gradient does not look at how often an answer is given
    return advantages


def _softmax(probs: Tensor, advantages: Tensor) -> Tensor:
    return probs * advantages


STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"natural": _natural, "softmax": _softmax}


def rise(share: float, clip_eps_high: float) -> Rise:
    """Push one answer by the clipped loss of one batch until its gradient is gone; ratio p'/p then is at the clip."""
    logits = torch.tensor([share, 1 - share], dtype=torch.float64).log().requires_grad_()
    old, one, mask = logits.detach()[None, :1], torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1)
    while True:  # each step raises it until the clip takes the gradient away
        logprobs = logits.log_softmax(dim=0)[None, :1]
        loss = clipped_surrogate_loss(logprobs, old, one, mask, clip_eps=CLIPS[0], clip_eps_high=clip_eps_high).sum()
        (slope,) = torch.autograd.grad(loss, logits)
        if not bool(slope.any()):
            return Rise(clip_eps_high, share, float(logits.softmax(dim=0)[0].detach()))
        logits = (logits - 2e-3 * slope).detach().requires_grad_()
