"""Curves of several seeds as one: mean and confidence band, and the difference of two arms seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.errors import LabError, nearest
from rllab.core.records import UpdateRecord

# Two-sided 95% quantiles of Student's t for 1 to 30 degrees of freedom; beyond that the normal one is near enough.
T_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Band:
    """One metric over updates: the mean of several seeds, and where the mean lies with 95% confidence.

    One seed has no band: low and high are the curve itself, and `seeds` says so.
    """

    metric: str
    updates: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Interval:
    """The mean of some numbers with its 95% confidence interval."""

    mean: float
    low: float
    high: float
    count: int


def interval(numbers: Sequence[float]) -> Interval:
    """Return mean and 95% interval by Student's t; numbers that are none are left out."""
    finite = [one for one in numbers if math.isfinite(one)]
    if not finite:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = statistics.fmean(finite)
    if len(finite) == 1:
        return Interval(mean, mean, mean, 1)
    freedom = len(finite) - 1
    quantile = T_QUANTILES[freedom - 1] if freedom <= len(T_QUANTILES) else NORMAL_QUANTILE
    reach = quantile * statistics.stdev(finite) / math.sqrt(len(finite))
    return Interval(mean, mean - reach, mean + reach, len(finite))


def band(histories: Sequence[Sequence[UpdateRecord]], metric: str) -> Band:
    """Put the curves of several seeds into one, as far as all of them go."""
    length = min((len(history) for history in histories), default=0)
    if not length:
        raise LabError("runs", len(histories), "each needs at least one finished update")
    for history in histories:
        if metric not in history[0].metrics:
            close = nearest(metric, history[0].metrics)
            raise LabError("metric", metric, f"these runs do not log it; near it are {close}")
    points = [interval([history[k].metrics[metric] for history in histories]) for k in range(length)]
    return Band(
        metric=metric,
        updates=tuple(histories[0][k].index for k in range(length)),
        mean=tuple(point.mean for point in points),
        low=tuple(point.low for point in points),
        high=tuple(point.high for point in points),
        seeds=len(histories),
    )


def final(history: Sequence[UpdateRecord], metric: str, *, last: int = 10) -> float:
    """Return the mean of a metric over the last updates of a run."""
    return statistics.fmean(record.metrics[metric] for record in history[-last:])


def difference(
    first: Sequence[Sequence[UpdateRecord]], second: Sequence[Sequence[UpdateRecord]], metric: str
) -> Interval:
    """Return how much more the first arm ends with, seed by seed: the same seed wrote the same first texts in both."""
    if len(first) != len(second):
        raise LabError("seeds", f"{len(first)} and {len(second)}", "compare arms that ran the same seeds")
    return interval([final(one, metric) - final(other, metric) for one, other in zip(first, second, strict=True)])
