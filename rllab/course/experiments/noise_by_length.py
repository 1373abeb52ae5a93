"""Noise of the gradient by when the reward comes: with one score at the end it grows with the length of the text.

A text has T tokens over K words, and each position earns 1 for its target word. The signal is the true gradient, the
noise is the variance of the gradient of a single text: noise-to-signal = tr Var(g) / |g|^2, which is how many texts
must be averaged before the signal is as large as the noise.

The targets, slopes of 1, 1 and 0 with reward-to-go at half the level, are met and known in closed form (`exact_ratio`).
A network that shares its weights over positions is not measured here: there the quotient of the arms grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, significant

WORDS = 4
ARMS = ("terminal", "reward-to-go", "own token")
ROLES = dict(zip(ARMS, ("reward", "value", "policy"), strict=True))
LABELS = dict(zip(ARMS, ("one score at the end", "reward to go", "own token"), strict=True))
GROWTH = {0.0: "none", 0.5: "root", 1.0: "length", 2.0: "square"}  # slope on a log-log picture -> how it grows


@dataclass(frozen=True)
class Size:
    """The lengths of the texts, and how many single-text gradients are sampled for each length."""

    lengths: tuple[int, ...]
    draws: int


@dataclass(frozen=True)
class Ratio:
    """The noise-to-signal ratio of one arm at one length, measured and exact."""

    arm: str
    length: int
    measured: float
    exact: float


@dataclass(frozen=True)
class Result:
    """All arms at all lengths, and the all-or-nothing score: 1 for the one right text, else 0."""

    ratios: tuple[Ratio, ...]
    all_or_nothing: tuple[tuple[int, float], ...]  # (length, exact ratio)

    def of(self, arm: str) -> list[Ratio]:
        """Return the ratios of one arm, by length."""
        return [ratio for ratio in self.ratios if ratio.arm == arm]

    def slope(self, arm: str) -> float:
        """Return the slope of log ratio over log length, by least squares: 1 means in proportion."""
        return log_slope([(ratio.length, ratio.measured) for ratio in self.of(arm)])

    def level(self, arm: str) -> float:
        """Return the ratio at the greatest length."""
        return self.of(arm)[-1].measured


FAST, WORKSHOP = Size((4, 16, 64), 4_000), Size((4, 8, 16, 32, 64, 128, 256, 512), 5_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure every arm at every length.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The ratios, measured and exact.
    """
    generator, ratios = torch.Generator().manual_seed(0), []
    for number, length in enumerate(size.lengths):
        job.check()
        job.report(number, len(size.lengths), f"texts of {length} tokens")
        tokens = torch.randint(0, WORDS, (size.draws, length), generator=generator)
        rewards, scores = (tokens == 0).double(), scores_of(tokens)
        signal = length * (1 - 1 / WORDS) / WORDS**2  # |g|^2, exactly
        for arm in ARMS:
            square = (credits_of(arm, rewards)[..., None] * scores).square().sum(dim=(1, 2)).mean()
            ratios.append(Ratio(arm, length, float(square) / signal - 1, exact_ratio(arm, length)))
    return Result(tuple(ratios), tuple((length, enumerated_ratio(length)) for length in (1, 2, 4, 6)))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    half = result.level("reward-to-go") / result.level("terminal")
    return unmet(
        {
            "the noise of one score at the end grows with the length": 0.9 < result.slope("terminal") < 1.1,
            "the noise of reward-to-go grows with the length": 0.9 < result.slope("reward-to-go") < 1.1,
            "the noise of each token's own reward does not grow": abs(result.slope("own token")) < 0.02,
            "reward-to-go has half the noise of one score at the end": 0.45 < half < 0.56,
            "what is measured is what is exact": all(
                math.isclose(ratio.measured, ratio.exact, rel_tol=0.08) for ratio in result.ratios
            ),
            "all or nothing has a ratio of K^T - 1": all(
                math.isclose(ratio, WORDS**length - 1, rel_tol=1e-9) for length, ratio in result.all_or_nothing
            ),
        }
    )


def noise_growth(result: Result) -> Picture:
    """Draw the noise-to-signal ratio over the length of the text, both logarithmic; dots measured, lines exact.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says how the ratio grows with one score at the end, see `growth`.
    """
    lines = []
    for arm in ARMS:
        ratios = result.of(arm)
        lengths = [ratio.length for ratio in ratios]
        lines.append(Line("", lengths, [ratio.measured for ratio in ratios], ROLES[arm], mode="markers"))
        lines.append(Line(LABELS[arm], lengths, [ratio.exact for ratio in ratios], ROLES[arm]))
    stops = sorted({ratio.length for ratio in result.ratios})
    axes = Axes("tokens in a text", "noise / signal of one text", log_x=True, log_y=True, ticks=stops)
    first, last = (significant(result.of("terminal")[at].measured) for at in (0, -1))
    slopes = ", ".join(f"{fixed(result.slope(arm))} for {LABELS[arm]}" for arm in ARMS)
    words = (
        f"From {stops[0]} to {stops[-1]} tokens the ratio grows from {first} to {last} with one score at the end "
        f"(dots: measured; lines: exact). Slopes on this log-log picture: {slopes}; 1 means in proportion to the "
        "length."
    )
    grows = growth(result.slope("terminal"))
    return Picture(
        line_chart(lines, axes), words, "noise-to-signal ratio by length of the text", grows, ("exact", "average")
    )


def growth(slope: float) -> str:
    """Return how a number grows with the length.

    Args:
        slope: Its slope on a log-log picture.

    Returns:
        "none", "root", "length" or "square".

    >>> growth(0.9), growth(0.1)
    ('length', 'none')
    """
    return GROWTH[min(GROWTH, key=lambda known: abs(known - slope))]


def credits_of(arm: str, rewards: Tensor) -> Tensor:
    """Return the factor of each position's log-prob in the gradient.

    Args:
        arm: One of ARMS.
        rewards: (B, T), 1 where the word is the target.

    Returns:
        (B, T): the credit less its mean over the texts, which is the baseline.
    """
    if arm == "terminal":
        rewards = rewards.sum(dim=1, keepdim=True).expand_as(rewards)
    elif arm == "reward-to-go":
        rewards = rewards.flip(1).cumsum(dim=1).flip(1)
    return rewards - rewards.mean(dim=0)


def exact_ratio(arm: str, length: int) -> float:
    """Return the ratio with the true mean as the baseline: K - 1 for each reward a position is credited, less 1."""
    credited = {"terminal": length, "reward-to-go": (length + 1) / 2, "own token": 1}[arm]
    return credited * (WORDS - 1) - 1


def enumerated_ratio(length: int) -> float:
    """Return the ratio of the all-or-nothing score without a baseline, over all K^T texts: K^T - 1."""
    texts = torch.cartesian_prod(*[torch.arange(WORDS)] * length).reshape(-1, length)
    rewards = (texts == 0).all(dim=1).double()
    gradients = rewards[:, None, None] * scores_of(texts)  # (K^T, T, K)
    signal = gradients.mean(dim=0).square().sum()
    return float(gradients.square().sum(dim=(1, 2)).mean() / signal) - 1


def scores_of(tokens: Tensor) -> Tensor:
    """Return the gradient of each position's log-prob in its logits under the uniform policy, (B, T) -> (B, T, K)."""
    return torch.nn.functional.one_hot(tokens, WORDS).double() - 1 / WORDS


def log_slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of log y over log x through points (x, y), by least squares."""
    x, y = torch.tensor(points, dtype=torch.float64).log().T
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
