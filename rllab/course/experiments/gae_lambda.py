"""GAE trades bias for variance. The best lambda rises with the batch and with the error of the critic.

A random walk of T steps of +1 or -1, each by its own fair coin, rewarded at the end by its final position. The true V
of a position is the position itself. What is measured is the gradient in the coins' logits, whose true value is 1/2
each: the raw advantage at lambda 1 carries the critic's offset, which does no harm and would look like bias.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.maths.returns import gae
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import significant

LENGTH, NOISE = 20, 1.5
LAMBDAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
BATCHES = (4, 16, 64, 256, 1024)  # walks that one gradient is averaged over
CRITICS = ("perfect", "noisy", "uninformative")
SHOWN_BATCHES = {4: "policy", 16: "reward", 256: "value", 1024: "down"}  # the size of a batch, and its colour
STOPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of lambda, written under the axis


@dataclass(frozen=True)
class Size:
    """How many walks are sampled, and how many noisy critics."""

    walks: int
    critics: int


@dataclass(frozen=True)
class Arm:
    """One kind of critic, over lambda: squared bias, and variance of the gradient of one walk."""

    critic: str
    bias2: tuple[float, ...]
    variance: tuple[float, ...]

    def mse(self, batch: int) -> tuple[float, ...]:
        """Return the mean squared error of a gradient averaged over `batch` walks, over lambda."""
        return tuple(bias2 + variance / batch for bias2, variance in zip(self.bias2, self.variance, strict=True))

    def best(self, batch: int) -> float:
        """Return the lambda with the least error."""
        errors = self.mse(batch)
        return LAMBDAS[errors.index(min(errors))]


@dataclass(frozen=True)
class Result:
    """All critics on the same walks."""

    arms: tuple[Arm, ...]

    def arm(self, critic: str) -> Arm:
        """Return one critic's part."""
        return next(arm for arm in self.arms if arm.critic == critic)


FAST, WORKSHOP = Size(walks=4_000, critics=4), Size(walks=50_000, critics=20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure bias and variance of the gradient under each critic and lambda.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Squared bias and variance of each kind of critic.
    """
    generator = torch.Generator().manual_seed(0)
    steps = 2.0 * torch.randint(0, 2, (size.walks, LENGTH), generator=generator).double() - 1.0
    arms = []
    for number, name in enumerate(CRITICS):
        job.report(number, len(CRITICS), name)
        count = size.critics if name == "noisy" else 1
        measured = torch.stack([_measure(steps, _values(steps, name, generator), job) for _ in range(count)])
        bias2, variance = measured.mean(dim=0).unbind(dim=1)
        arms.append(Arm(name, tuple(bias2.clamp(min=0).tolist()), tuple(variance.tolist())))
    return Result(tuple(arms))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    perfect, noisy, blind = (result.arm(critic) for critic in CRITICS)
    best = {arm.critic: [arm.best(batch) for batch in BATCHES] for arm in result.arms}
    wrong = (noisy, blind)
    later = zip(best["uninformative"][1:], best["noisy"][1:], strict=True)
    return unmet(
        {
            "the error of a wrong critic is U-shaped in lambda": all(
                any(is_u_shaped(arm.mse(batch)) for batch in BATCHES) for arm in wrong
            ),
            "the best lambda never falls as the batch grows": all(
                best[arm.critic] == sorted(best[arm.critic]) for arm in wrong
            ),
            "the best lambda is higher for the largest batch": all(
                best[arm.critic][-1] > best[arm.critic][0] for arm in wrong
            ),
            "a worse critic wants a higher lambda": all(worse >= better for worse, better in later),
            "with a perfect critic lambda 0 is best": set(best["perfect"]) == {0.0},
            "with a perfect critic lambda 0 has no variance": perfect.variance[0] < 1e-20,
            "a low lambda is biased": noisy.bias2[0] > 10 * noisy.bias2[-1],
            "a high lambda is noisy": noisy.variance[-1] > 2 * min(noisy.variance),
            "without a critic the variance rises with lambda": all(
                low <= high for low, high in itertools.pairwise(blind.variance[2:])
            ),
        }
    )


def is_u_shaped(errors: Sequence[float]) -> bool:
    """Return whether numbers fall to a place inside and rise from there.

    >>> is_u_shaped([3, 2, 1, 2]), is_u_shaped([1, 2, 3]), is_u_shaped([3, 2, 1]), is_u_shaped([3, 1, 2, 1.5])
    (True, False, False, False)
    """
    low = errors.index(min(errors))
    falls = list(errors[: low + 1]) == sorted(errors[: low + 1], reverse=True)
    rises = list(errors[low:]) == sorted(errors[low:])
    return 0 < low < len(errors) - 1 and falls and rises


def best_lambda(result: Result, critic: str = "noisy") -> Picture:
    """Draw the error of the gradient over lambda for some batch sizes, each with a large dot at its best lambda.

    Args:
        result: What `run` returned, or a recorded result.
        critic: One of CRITICS.

    Returns:
        The picture; its outcome is the way the best lambda moves as the batch grows: "up", "same" or "down".
    """
    arm, lines, best = result.arm(critic), [], []
    for batch, role in SHOWN_BATCHES.items():
        best.append(arm.best(batch))
        line = Line(f"{batch:,} walks", LAMBDAS, arm.mse(batch), role, mode="lines+markers")
        lines += [line, line.dot(LAMBDAS.index(best[-1]))]
    drawn = line_chart(lines, Axes("λ", "squared error of the gradient", log_y=True, ticks=STOPS))
    few, many = min(SHOWN_BATCHES), max(SHOWN_BATCHES)
    words = (
        f"{critic.capitalize()} critic: with {few} walks in a batch λ = {best[0]:g} is best, with {many:,} walks "
        f"λ = {best[-1]:g} (large dots)."
    )
    way = "up" if best[-1] > best[0] else "down" if best[-1] < best[0] else "same"
    return Picture(drawn, words, f"error of the gradient over lambda, {critic} critic", way)


def bias_and_variance(result: Result, critic: str, batch: int) -> Picture:
    """Draw the two parts of the error over lambda: squared bias, and variance divided by the batch.

    Args:
        result: What `run` returned, or a recorded result.
        critic: One of CRITICS.
        batch: Walks in a batch.

    Returns:
        The picture.
    """
    arm = result.arm(critic)
    noise = [variance / batch for variance in arm.variance]
    at = LAMBDAS.index(arm.best(batch))
    error = Line("error = sum", LAMBDAS, arm.mse(batch), "ink")
    lines = [
        Line("bias²", LAMBDAS, arm.bias2, "down", mode="lines+markers"),
        Line("variance", LAMBDAS, noise, "value", mode="lines+markers"),
        error,
        error.dot(at),
    ]
    drawn = line_chart(lines, Axes("λ", "squared error of the gradient", around=0.0, ticks=STOPS))
    words = (
        f"{critic.capitalize()} critic, {batch} walks: the error is least at λ = {LAMBDAS[at]:g}, where bias² is "
        f"{significant(arm.bias2[at])} and variance {significant(noise[at])}."
    )
    return Picture(drawn, words, "bias and variance of the gradient over lambda")


def _values(steps: Tensor, critic: str, generator: torch.Generator) -> Tensor:
    """Return what a critic predicts before each step, (walks, T)."""
    place = steps.cumsum(dim=1) - steps
    if critic == "uninformative":
        return torch.zeros_like(place)
    if critic == "perfect":
        return place
    errors = NOISE * torch.randn(LENGTH, 2 * LENGTH + 1, generator=generator, dtype=torch.float64)
    return place + errors[torch.arange(LENGTH), place.long() + LENGTH]  # one error for each state, always the same


def _measure(steps: Tensor, values: Tensor, job: Job) -> Tensor:
    """Return squared bias and variance of the gradient for each lambda, (lambdas, 2)."""
    mask, moments = torch.ones_like(steps, dtype=torch.bool), []
    rewards = torch.zeros_like(steps)
    rewards[:, -1] = steps.sum(dim=1)
    for lam in LAMBDAS:
        job.check()
        advantages, _ = gae(rewards, values, mask, gamma=1.0, lam=lam)
        gradients = steps / 2 * advantages  # d log pi / d logit = chosen - 1/2
        variance = gradients.var(dim=0).sum()
        chance = variance / len(steps)  # what the squared bias is by chance alone
        moments.append(torch.stack([(gradients.mean(dim=0) - 0.5).square().sum() - chance, variance]))
    return torch.stack(moments)
