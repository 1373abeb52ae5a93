"""`best_of_n_kl` at its fast size: the bound of best-of-n, and where it is met."""

import math
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import best_of_n_kl
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: best_of_n_kl.Result) -> None:
    for row in result.rows:
        assert row.kl <= row.bound + 1e-9
        assert row.win_rate <= row.n / (row.n + 1) + 1e-9
    many = result.of(max(row.answers for row in result.rows))
    bounds = dict(zip((2, 4, 16, 64, 256, 1024), (0.193, 0.636, 1.835, 3.175, 4.549, 5.932), strict=True))
    for row in many:
        assert row.bound == pytest.approx(bounds.get(row.n, 0.0), abs=6e-4)
        assert row.n > 64 or row.kl == pytest.approx(row.bound, abs=1e-3)
    assert result.of(10)[-1].kl == pytest.approx(math.log(10), abs=1e-6)
    assert result.of(2)[-1].kl == pytest.approx(math.log(2), abs=1e-6)


def test_the_bound_is_met_by_many_answers_and_missed_by_few() -> None:
    check_signature(best_of_n_kl.run(best_of_n_kl.FAST))


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(best_of_n_kl))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        best_of_n_kl.run(best_of_n_kl.FAST, job=Job(stop))
