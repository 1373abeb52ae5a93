"""`baselines` at its fast size: unbiased baselines, and what they do to the variance."""

import itertools
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import baselines
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: baselines.Result) -> None:
    assert max(row.bias for row in result.shifts) <= 1e-12
    level = result.shifts[0]
    for row in result.shifts:
        assert row.mean == pytest.approx(level.mean, rel=1e-9)  # a baseline takes the level out
        assert row.best == pytest.approx(level.best, rel=1e-9)
        assert row.best <= row.mean + 1e-12
        assert row.best <= row.none + 1e-12
    growth = [(row.none - level.none) / row.shift**2 for row in result.shifts[1:]]
    assert all(one > 0 for one in growth)
    assert result.shifts[-1].none > 10 * result.shifts[-1].mean
    ratios = [group.ratio for group in result.groups]
    assert all(one > two for one, two in itertools.pairwise(ratios))
    assert 1.0 < ratios[-1] < 1.2 < ratios[0]
    assert all(group.bias <= 4 * group.chance + 1e-12 for group in result.groups)
    assert [group.chance == 0.0 for group in result.groups] == [True, True, False, False]


def test_baselines_change_the_variance_and_not_the_mean() -> None:
    check_signature(baselines.run(baselines.FAST))


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(baselines))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        baselines.run(baselines.FAST, job=Job(stop))
