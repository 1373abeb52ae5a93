"""Calibration of a critic. It explains more towards the end; and three ways to spoil it, each with its symptom.

The policy stays fixed; a critic that starts at V = 0 is fitted to the returns of its texts. Measured on fresh texts:
how much of the variance of the return it explains, by how much of the text is written, and its mean error. Spoilt by a
learning rate of 0; by a value after the end other than 0; by padding that takes part in the fit.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.course.experiments import unmet
from rllab.maths.masking import apply_mask, masked_mean
from rllab.maths.returns import gae
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed
from rllab.policy.generation import generate
from rllab.trainer.metrics import explained_variance
from rllab.trainer.stages import derived_seed
from rllab.value.critic import Critic, ValueFunction
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world
from rllab.worlds.world import World

QUARTERS = 4
LOWEST = -1.0  # a line with a lower explained variance is put into words, not drawn: it would flatten the others
FITTED, FROZEN, WRONG_END, PADDED = "fitted", "learning rate 0", "value after the end", "padding included"
ARMS = (FITTED, FROZEN, WRONG_END, PADDED)


@dataclass(frozen=True)
class Size:
    """The world, seeds, texts to fit and as many to measure on, steps of the fit, texts per step, learning rate."""

    world: str
    seeds: int
    texts: int
    steps: int
    batch: int
    lr: float


@dataclass(frozen=True)
class Outcome:
    """One critic on one seed, measured on fresh texts."""

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
        return [outcome for outcome in self.outcomes if outcome.arm == arm]


FAST = Size("micro", seeds=3, texts=128, steps=15, batch=96, lr=4e-3)
WORKSHOP = Size("micro", seeds=10, texts=384, steps=50, batch=96, lr=4e-3)
TALES = Size("tales", seeds=5, texts=192, steps=40, batch=32, lr=1e-3)  # minutes; recorded as critic_foresight-tales


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Sample texts for each seed, fit every critic to half of them, and measure it on the other half.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        What each critic explains.
    """
    world, outcomes = load_world(size.world), []
    for seed in range(size.seeds):
        fit_rows, fit_paid = sample_texts(world, size.texts, derived_seed(seed, "fit"), job)
        rows, paid = sample_texts(world, size.texts, derived_seed(seed, "judge"), job)
        for place, arm in enumerate(ARMS):
            job.report(seed * len(ARMS) + place, size.seeds * len(ARMS), f"{arm}, seed {seed}")
            critic = fit(world, fit_rows, fit_paid, arm, size, seed=seed, job=job)
            outcomes.append(measure(critic, rows, paid, arm, seed))
    return Result(size.world, tuple(outcomes))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    paired = list(zip(*(result.of(arm) for arm in ARMS), strict=True))  # by seed
    return unmet(
        {
            "a critic explains more in the second half of a text": all(
                sum(fitted.explained[2:]) > sum(fitted.explained[:2]) for fitted, *_ in paired
            ),
            "a fitted critic explains something": all(fitted.overall > 0.05 for fitted, *_ in paired),
            "a critic that does not learn explains nothing": not any(any(frozen.explained) for _, frozen, *_ in paired),
            "a value after the end explains less": all(
                wrong_end.overall < fitted.overall - 0.03 for fitted, _, wrong_end, _ in paired
            ),
            "padding changes little, because a causal critic sees nothing after the end": all(
                abs(padded.overall - fitted.overall) < 0.15 for fitted, _, _, padded in paired
            ),
        }
    )


def explained_by_position(result: Result) -> Picture:
    """Draw how much of the variance of the return each critic explains, by quarter of the text, median over seeds.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is how much more the fitted critic explains in its best quarter than in the first.
    """
    quarters, lines, overall = list(range(1, QUARTERS + 1)), [], {}
    for arm, role in zip(ARMS, ("value", "edge", "down", "policy"), strict=True):
        critics = result.of(arm)
        typical = [statistics.median(column) for column in zip(*(critic.explained for critic in critics), strict=True)]
        overall[arm] = fixed(statistics.median(critic.overall for critic in critics))
        if min(typical) > LOWEST:
            lines.append(Line(arm, quarters, typical, role, mode="lines+markers"))
    drawn = line_chart(lines, Axes("quarter of the text", "explained variance, fresh texts", ticks=quarters))
    first, most = lines[0].y[0], max(lines[0].y)
    worst = fixed(min(critic.overall for critic in result.of(WRONG_END)), 0)
    off_scale = "" if len(lines) == len(ARMS) else "; too low for this picture"
    words = (
        f"The fitted critic explains {fixed(first)} of the variance in the first quarter and up to {fixed(most)} "
        f"later. With a value other than 0 after the end it explains {overall[WRONG_END]} in total ({worst} on the "
        f"worst seed{off_scale}) instead of {overall[FITTED]}, without learning {overall[FROZEN]}; padding in the fit "
        f"changes little here ({overall[PADDED]}), because nothing before the end looks at what comes after it. "
        "Medians of seeds."
    )
    return Picture(drawn, words, "explained variance by position in the text", most - first)


def sample_texts(world: World, texts: int, seed: int, job: Job) -> tuple[Rollout, Tensor]:
    """Return texts sampled from the policy, with the reward of each token, (B, T)."""
    prompts = [world.prompts[number % len(world.prompts)] for number in range(texts)]
    sequences = generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed, job=job.quiet())
    rows = evaluate(world.policy, sequences, reference=world.reference, job=job)
    return rows, world.reward.score(rows).per_token.to(rows.logprobs.dtype)


def fit(world: World, rows: Rollout, paid: Tensor, arm: str, size: Size, *, seed: int, job: Job) -> ValueFunction:
    """Return a critic that starts at V = 0, fitted to the returns of the texts in one of the four ways."""
    if not isinstance(world.critic, Critic):
        raise TypeError(type(world.critic))
    critic = Critic.for_policy(world.policy.model, world.critic.copy().model)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(list(critic.parameters()), lr=size.lr)
    for _ in range(0 if arm == FROZEN else size.steps):  # steps of length 0 change nothing
        job.check()
        chosen = torch.randperm(len(rows), generator=generator)[: size.batch].tolist()
        loss = _loss(critic, rows.select(chosen), paid[chosen], arm)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return critic


def measure(critic: ValueFunction, rows: Rollout, paid: Tensor, arm: str, seed: int) -> Outcome:
    """Return what a critic explains of the returns of texts that it has not seen."""
    mask = rows.response_mask
    returns = apply_mask(apply_mask(paid, mask).flip(1).cumsum(dim=1).flip(1), mask)  # undiscounted reward-to-go
    with torch.no_grad():
        values = apply_mask(critic.state_values(rows)[:, :-1].to(returns.dtype), mask)
    place = (mask.cumsum(dim=1) - 1) / rows.lengths[:, None]  # in [0, 1)
    quarters = [mask & ((place * QUARTERS).floor() == quarter) for quarter in range(QUARTERS)]
    explained = tuple(explained_variance(values, returns, quarter) for quarter in quarters)
    bias = float(masked_mean(values - returns, mask))
    return Outcome(arm, seed, explained, explained_variance(values, returns, mask), bias)


def _loss(critic: Critic, rows: Rollout, paid: Tensor, arm: str) -> Tensor:
    """Return half the mean squared error of V against the returns, as the arm computes them."""
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
