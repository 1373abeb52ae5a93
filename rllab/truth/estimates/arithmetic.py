"""Sums and differences of estimates, with their errors: samples are compared one by one where there are any."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rllab.truth.sampling import sample_mean
from rllab.value.objective import Estimate

SURE = 3.0  # standard errors: chance alone goes that far about once in 400 comparisons


def action_value(behind: Estimate, paid: float) -> Estimate:
    """Return Q = r + gamma V' out of the value of the one state that an action leads to."""
    return combine([behind], [behind.objective.gamma], plus=paid)


def surprise(before: Estimate, behind: Estimate, paid: float) -> Estimate:
    """Return the TD error r + gamma V' - V."""
    return combine([behind, before], [behind.objective.gamma, -1.0], plus=paid)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return one estimate minus another."""
    return combine([one, other], [1.0, -1.0])


def combine(estimates: Sequence[Estimate], weights: Sequence[float], *, plus: float = 0.0) -> Estimate:
    """Return a weighted sum of estimates of one kind.

    Samples made with common random numbers belong together, so their sums are taken sample by sample: the error
    of a difference is then that of the differences, which is often far smaller than the errors of its parts.
    """
    first = estimates[0]
    mean = plus + sum(weight * one.mean for one, weight in zip(estimates, weights, strict=True))
    if first.kind != "monte-carlo":
        return Estimate(mean, first.standard_error, first.samples, first.kind, first.objective)
    returns = torch.tensor([one.returns for one in estimates], dtype=torch.float64)  # (estimates, samples)
    return sample_mean(plus + torch.tensor(weights, dtype=torch.float64) @ returns, first.objective)
