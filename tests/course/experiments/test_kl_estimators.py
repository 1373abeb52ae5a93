"""At the fast size, bias and spread of the three estimators, and what each of them follows as a loss."""

import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import kl_estimators
from rllab.course.experiments.recorded import recorded_result

DEVIATIONS = {  # in units of the true KL
    ("k1", 0.1): 20.0,
    ("k2", 0.1): 1.42,
    ("k3", 0.1): 1.42,
    ("k1", 1.0): 2.0,
    ("k2", 1.0): 1.73,
    ("k3", 1.0): 1.70,
}


def check_signature(result: kl_estimators.Result) -> None:
    for (estimator, apart), deviation in DEVIATIONS.items():
        assert result.value(estimator, apart).deviation == pytest.approx(deviation, rel=0.04)
    assert result.value("k2", 0.1).bias == pytest.approx(0.0025, abs=0.012)
    assert result.value("k2", 1.0).bias == pytest.approx(0.25, abs=0.02)
    assert abs(result.value("k3", 1.0).bias) < 0.02
    assert result.slope("k1").to_nothing <= 1e-9
    assert result.slope("k2").to_reverse <= 1e-9
    assert result.slope("k3").to_forward <= 1e-9
    assert min(result.slope("k2").to_forward, result.slope("k3").to_reverse, result.slope("k3").to_nothing) > 1e-3


def test_three_estimators_of_one_number_follow_three_gradients() -> None:
    check_signature(kl_estimators.run(kl_estimators.FAST))


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(kl_estimators))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        kl_estimators.run(kl_estimators.FAST, job=Job(stop))
