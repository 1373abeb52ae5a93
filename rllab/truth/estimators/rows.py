"""Bias, variance and direction of gradients, as a row of a table."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.policy.generation import Progress
from rllab.truth.estimators.arms import ARMS, Arm
from rllab.truth.estimators.gradients import Gradients, sampled, trees_of, true_gradient
from rllab.worlds.world import World


@dataclass(frozen=True)
class BenchRow:
    """How good an estimator of the gradient g is. Squared numbers are sums over all parameters."""

    name: str
    bias: float  # |mean - g|
    chance: float  # how large that is by chance alone with so many draws; 0 where nothing was drawn
    variance: float  # of one gradient
    mse: float  # mean |estimate - g|^2: bias and variance together
    cosine: float  # between the mean and g
    length: float  # of the mean, in units of the length of g
    gradients: int

    @property
    def is_biased(self) -> bool:
        """Tell whether the bias is more than three times what chance, or rounding, explains."""
        return self.bias > 3 * self.chance + 1e-9


def judge(name: str, gradients: Gradients, truth: Tensor) -> BenchRow:
    """Compare an estimator's gradients with the exact one."""
    probs, values = gradients.probs[:, None], gradients.values
    mean = (probs * values).sum(dim=0)
    variance = float((probs * (values - mean).square()).sum())
    n = len(values)
    if gradients.sampled:
        variance *= n / (n - 1)
    return BenchRow(
        name=name,
        bias=float((mean - truth).norm()),
        chance=(variance / n) ** 0.5 if gradients.sampled else 0.0,
        variance=variance,
        mse=float((probs * (values - truth).square()).sum()),
        cosine=float(torch.nn.functional.cosine_similarity(mean, truth, dim=0)),
        length=float(mean.norm() / truth.norm()),
        gradients=n,
    )


def compare(
    world: World,
    arms: Sequence[Arm] = ARMS,
    *,
    prompts: Sequence[str] = (),
    rows: int = 16,
    group: int = 4,
    draws: int = 200,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> list[BenchRow]:
    """Judge estimators by gradients that they draw from the same responses, in a world whose truth is known."""
    trees = trees_of(world, prompts=prompts, stop=stop)
    truth, rows_of = true_gradient(trees, stop=stop), []
    for number, arm in enumerate(arms):
        drawn = sampled(world, trees, arm, rows=rows, group=group, draws=draws, seed=seed, stop=stop)
        rows_of.append(judge(arm.name, drawn, truth))
        if progress is not None:
            progress(number + 1, len(arms), arm.name)
    return rows_of
