"""Entropy collapse. Without exploration the rare best answer is never found; with too much it is never used.

Twenty answers: the best one is rare, a decent one is common, the rest are worth nothing. Without an entropy bonus the
decent one takes all; with a little more bonus than needed no answer does. The runs are accompanied by two exact laws
of the first order (Cui et al. 2025), and by how far one batch lets a rare answer rise under PPO's clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.maths.divergence import entropy
from rllab.maths.losses import clipped_surrogate_loss
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

ANSWERS, RARE, COMMON, DECENT = 20, 0.005, 0.15, 0.6  # share of the best, share and worth of the decent one
BONUSES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)  # reward per nat
BATCH, RATE, MARK = 16, 0.5, 20  # answers, learning rate, updates between two measurements
LAW_STEP = 1e-4  # a learning rate at which the second order is not visible
CLIPS = (0.2, 0.28)  # PPO's usual one, and DAPO's for the side upwards
SHARES = (0.01, 0.1, 0.7)  # of an answer, before a batch pushes it; 1.28 of each is still below 1
SHOWN = {0.0: "policy", 0.1: "value", 0.2: "reward", 0.5: "down"}  # bonuses whose entropy is drawn, in these colours


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
    found: float  # share of the seeds whose policy gives the best answer with probability > 1/2


@dataclass(frozen=True)
class Law:
    """The change of the entropy by one small step, and what the covariance predicted, in nats."""

    gradient: str
    measured: float
    predicted: float  # -step Cov(log pi, A), or -step Cov(log pi, pi A)


@dataclass(frozen=True)
class Rise:
    """The probability of an answer before and after a batch pushes it up to the clip."""

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
    """Train with each bonus on each seed, and measure the laws.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        All bonuses, both laws and the clip.
    """
    arms = []
    for number, bonus in enumerate(BONUSES):
        job.report(number, len(BONUSES), f"bonus {bonus:g}")
        arms.append(_train(bonus, size, job))
    laws = tuple(entropy_law(name, seed=0) for name in MOVES)
    return Result(tuple(arms), laws, tuple(rise(share, eps) for eps in CLIPS for share in SHARES))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    found = [arm.found for arm in result.arms]
    best = found.index(max(found))
    plain, most = result.arms[0].entropy, result.arms[-1].entropy
    return unmet(
        {
            "a bonus in between finds the best answer on every seed": 0 < best < len(found) - 1 and found[best] == 1.0,
            "no bonus and the largest one never find it": found[0] == found[-1] == 0.0,
            "more bonus finds it more often, up to the best": found[: best + 1] == sorted(found[: best + 1]),
            "more bonus finds it less often, beyond the best": found[best:] == sorted(found[best:], reverse=True),
            "the entropy starts at 2.88 nats": abs(plain[0] - 2.88) < 0.02,
            "without a bonus it is low after 100 updates": plain[5] < 0.8,
            "without a bonus it collapses": plain[-1] < 0.1,
            "with the largest bonus it stays": most[-1] > 2.5,
            "the covariance predicts a small step": all(
                math.isclose(law.measured, law.predicted, rel_tol=1e-3) for law in result.laws
            ),
            "a batch lets an answer rise to the clip": all(
                math.isclose(rise.after, min(1.0, (1 + rise.clip_eps_high) * rise.before), rel_tol=0.01)
                for rise in result.rises
            ),
        }
    )


def entropy_by_bonus(result: Result) -> Picture:
    """Draw the entropy of the policy over updates for some bonuses.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the entropy at the end without a bonus.
    """
    curves = {bonus: result.arm(bonus).entropy for bonus in SHOWN}
    updates = [MARK * place for place in range(len(curves[0.0]))]
    lines = [Line(f"bonus {bonus:g}", updates, curve, SHOWN[bonus]) for bonus, curve in curves.items()]
    plain, best = result.arm(0.0), max(result.arms, key=lambda arm: arm.found)
    words = (
        f"With no bonus the entropy falls from {fixed(plain.entropy[0])} to {fixed(plain.entropy[-1])} nats and "
        f"{plain.found:.0%} of the seeds find the best answer; with {best.bonus:g} {best.found:.0%} do."
    )
    drawn = line_chart(lines, Axes("update", "entropy (nats)"))
    return Picture(drawn, words, "entropy by update and bonus", plain.entropy[-1])


def who_finds(result: Result) -> Picture:
    """Draw how many seeds found the best answer over the bonus.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says which bonus is best: the "smallest", the "largest" or one "between".
    """
    bonuses, found = [arm.bonus for arm in result.arms], [100 * arm.found for arm in result.arms]
    best, last = found.index(max(found)), len(found) - 1
    axes = Axes("entropy bonus (reward per nat)", "seeds that found the best answer (%)", ticks=bonuses)
    line = Line("found", bonuses, found, "policy", mode="lines+markers")
    words = (
        f"A bonus of {bonuses[best]:g} finds the best answer on {found[best]:.0f}% of the seeds; without one it is "
        f"{found[0]:.0f}%, and with {bonuses[-1]:g}, which pays more for exploring than for finding, {found[-1]:.0f}%."
    )
    outcome = {0: "smallest", last: "largest"}.get(best, "between")
    drawn = line_chart([line, line.dot(best)], axes)
    return Picture(drawn, words, "share of seeds that found the best answer by bonus", outcome)


def worth() -> Tensor:
    """Return the reward of each answer, the best first and the decent one second, (20,)."""
    return torch.tensor([1.0, DECENT, *[0.0] * (ANSWERS - 2)], dtype=torch.float64)


def start() -> Tensor:
    """Return the logits before training, (20,)."""
    rest = (1 - RARE - COMMON) / (ANSWERS - 2)
    return torch.tensor([RARE, COMMON, *[rest] * (ANSWERS - 2)], dtype=torch.float64).log()


def _train(bonus: float, size: Size, job: Job) -> Arm:
    """Train by the sampled policy gradient with the batch mean as baseline, and the exact gradient of the bonus."""
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
    """Return the change of the entropy by one small step along a gradient of random rewards, and the law's prediction.

    Args:
        name: One of MOVES: the natural gradient moves each logit by A, the softmax policy gradient by pi A.
        seed: Of policy and rewards.
        step: The learning rate.

    Returns:
        The law, measured and predicted.
    """
    generator = torch.Generator().manual_seed(seed)
    logits, rewards = torch.randn(2, ANSWERS, generator=generator, dtype=torch.float64)
    logprobs = logits.log_softmax(dim=0)
    probs = logprobs.exp()
    move = MOVES[name](probs, rewards - probs @ rewards)
    covariance = probs @ (logprobs * move) - (probs @ logprobs) * (probs @ move)
    return Law(name, float(entropy(logits + step * move) - entropy(logits)), -step * float(covariance))


MOVES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {  # probabilities, advantages -> how each logit moves
    "natural": lambda _, advantages: advantages,
    "softmax": lambda probs, advantages: probs * advantages,
}


def rise(share: float, clip_eps_high: float) -> Rise:
    """Push one answer by the clipped loss of one batch until its gradient is gone; its ratio is then at the clip."""
    logits = torch.tensor([share, 1 - share], dtype=torch.float64).log().requires_grad_()
    old, advantage, mask = logits.detach()[None, :1], torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1)
    while True:  # each step raises it until the clip takes the gradient away
        logprobs = logits.log_softmax(dim=0)[None, :1]
        loss = clipped_surrogate_loss(
            logprobs, old, advantage, mask, clip_eps=CLIPS[0], clip_eps_high=clip_eps_high
        ).sum()
        (slope,) = torch.autograd.grad(loss, logits)
        if not bool(slope.any()):
            return Rise(clip_eps_high, share, float(logits.softmax(dim=0)[0].detach()))
        logits = (logits - 2e-3 * slope).detach().requires_grad_()
