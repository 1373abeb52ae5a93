"""Calibration of a critic. It explains more the nearer the end is; and three ways to spoil it, each with its sign.

The policy stays as it is; a critic that starts at V = 0 is fitted to what its texts brought. Judged on fresh texts:
how much of the variance of the return it explains, by how much of the text is written, and how far off it is on
average. Spoilt: a learning rate of 0; a value after the end that is not 0; padding that takes part in the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.maths.masking import apply_mask, masked_mean
from rllab.maths.returns import gae
from rllab.policy.generation import generate
from rllab.trainer.metrics import explained_variance
from rllab.trainer.stages import derived_seed
from rllab.value.critic import Critic, ValueFunction
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world
from rllab.worlds.world import World

QUARTERS = 4
FITTED, FROZEN, WRONG_END, PADDED = "fitted", "learning rate 0", "value after the end", "padding included"
ARMS = (FITTED, FROZEN, WRONG_END, PADDED)


@dataclass(frozen=True)
class Size:
    """The world, seeds, texts to fit on and as many to judge on, steps of the fit, and texts a step."""

    world: str
    seeds: int
    texts: int
    steps: int
    batch: int
    lr: float


@dataclass(frozen=True)
class Outcome:
    """One critic on one seed, judged on fresh texts."""

    arm: str
    seed: int
    explained: tuple[float, ...]  # variance explained, by quarter of the text
    overall: float  # variance explained over all states
    bias: float  # mean of V - G, reward units


@dataclass(frozen=True)
class Result:
    """All arms on the same texts."""

    world: str
    outcomes: tuple[Outcome, ...]

    def of(self, arm: str) -> list[Outcome]:
        """Return one arm's outcomes, by seed."""
        return [one for one in self.outcomes if one.arm == arm]


FAST = Size("micro", seeds=3, texts=256, steps=30, batch=96, lr=4e-3)
WORKSHOP = Size("micro", seeds=10, texts=384, steps=50, batch=96, lr=4e-3)
TALES = Size("tales", seeds=5, texts=192, steps=40, batch=32, lr=1e-3)  # minutes; recorded as critic_foresight-tales


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Write texts for each seed, fit every critic to half of them, and judge it on the other half."""
    world, outcomes = load_world(size.world), []
    for seed in range(size.seeds):
        fit_rows, fit_returns = write(world, size.texts, derived_seed(seed, "fit"), job)
        rows, returns = write(world, size.texts, derived_seed(seed, "judge"), job)
        for place, arm in enumerate(ARMS):
            job.report(seed * len(ARMS) + place, size.seeds * len(ARMS), f"{arm}, seed {seed}")
            critic = fit(world, fit_rows, fit_returns, arm, size, seed=seed, job=job)
            outcomes.append(judge(critic, rows, returns, arm, seed))
    return Result(size.world, tuple(outcomes))


def write(world: World, texts: int, seed: int, job: Job) -> tuple[Rollout, Tensor]:
    """Let the policy write, and return the texts with what is paid at each token, (B, T)."""
    prompts = [world.prompts[number % len(world.prompts)] for number in range(texts)]
    sequences = generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed, job=job.quiet())
    rows = evaluate(world.policy, sequences, reference=world.reference, job=job)
    return rows, world.reward.score(rows).per_token.to(rows.logprobs.dtype)


def fit(world: World, rows: Rollout, paid: Tensor, arm: str, size: Size, *, seed: int, job: Job) -> ValueFunction:
    """Fit a critic that starts at V = 0 to the returns of the texts, in one of the four ways."""
    if not isinstance(world.critic, Critic):
        raise TypeError(type(world.critic))
    critic = Critic.beside(world.policy.model, world.critic.copy().model)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(list(critic.parameters()), lr=size.lr)
    for _ in range(0 if arm == FROZEN else size.steps):  # steps of length 0 are none
        job.check()
        chosen = torch.randperm(len(rows), generator=generator)[: size.batch].tolist()
        loss = _loss(critic, rows.select(chosen), paid[chosen], arm)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return critic


def judge(critic: ValueFunction, rows: Rollout, paid: Tensor, arm: str, seed: int) -> Outcome:
    """Hold a critic against the returns of texts that it has not seen."""
    mask, returns = rows.response_mask, _returns(paid, rows.response_mask)
    with torch.no_grad():
        values = apply_mask(critic.state_values(rows)[:, :-1].to(returns.dtype), mask)
    place = (mask.cumsum(dim=1) - 1) / rows.lengths[:, None]  # in [0, 1)
    quarters = [mask & ((place * QUARTERS).floor() == quarter) for quarter in range(QUARTERS)]
    explained = tuple(explained_variance(values, returns, quarter) for quarter in quarters)
    bias = float(masked_mean(values - returns, mask))
    return Outcome(arm, seed, explained, explained_variance(values, returns, mask), bias)


def _loss(critic: Critic, rows: Rollout, paid: Tensor, arm: str) -> Tensor:
    """Return half the mean squared error of V against what was still to come, and what is believed to come after."""
    mask = rows.response_mask
    values = critic.state_values(rows).to(paid.dtype)  # (B, T+1): before each token, and after the last column
    bootstrap = torch.zeros(len(rows), dtype=paid.dtype)
    if arm == WRONG_END:
        bootstrap = values.detach().gather(1, rows.lengths[:, None])[:, 0]
    before = apply_mask(values[:, :-1], mask)
    _, targets = gae(paid, before.detach(), mask, gamma=1.0, lam=1.0, bootstrap=bootstrap)
    if arm == PADDED:
        return (values[:, :-1] - apply_mask(targets, mask)).square().mean() / 2
    return masked_mean((before - targets).square(), mask) / 2


def _returns(paid: Tensor, mask: Tensor) -> Tensor:
    """Return what was still to come at each token, undiscounted, (B, T)."""
    return apply_mask(apply_mask(paid, mask).flip(1).cumsum(dim=1).flip(1), mask)
