"""`kl_frontier` at its fast size: the slope of the frontier is beta, and the gap below it is KL to the optimum."""

import itertools
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import kl_frontier
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: kl_frontier.Result) -> None:
    for edge in result.frontier:
        assert edge.slope == pytest.approx(edge.beta, rel=1e-4)
        assert abs(edge.gap) <= 1e-10
    kls = [edge.point.kl for edge in result.frontier]
    assert kls == sorted(kls)
    for trained in result.trained:
        assert trained.below == pytest.approx(trained.explained, abs=1e-10)
    below = [trained.below for trained in result.trained]
    assert all(one > two for one, two in itertools.pairwise(below[:4]))
    assert below[-1] >= -1e-12
    assert below[-1] < 0.05 * below[0]
    assert result.optimum_there.kl == pytest.approx(result.best_of.kl, abs=1e-6)
    assert result.best_of.reward < result.optimum_there.reward


def test_the_frontier_has_slope_beta_and_nothing_lies_above_it() -> None:
    check_signature(kl_frontier.run(kl_frontier.FAST))


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(kl_frontier))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        kl_frontier.run(kl_frontier.FAST, job=Job(stop))
