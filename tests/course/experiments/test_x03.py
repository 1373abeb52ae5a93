"""X3 on its fast size: the error of GAE is U-shaped in lambda, and where it is least depends on batch and critic."""

import itertools
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.course.experiments import x03
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: x03.Result) -> None:
    perfect, noisy, blind = (result.arm(name) for name in x03.CRITICS)
    assert any(x03.is_u_shaped(noisy.mse(batch)) for batch in x03.BATCHES)
    assert any(x03.is_u_shaped(blind.mse(batch)) for batch in x03.BATCHES)
    for arm in (noisy, blind):
        best = [arm.best(batch) for batch in x03.BATCHES]
        assert best == sorted(best)
        assert best[-1] > best[0]
    assert all(blind.best(batch) >= noisy.best(batch) for batch in x03.BATCHES[1:])
    assert [perfect.best(batch) for batch in x03.BATCHES] == [0.0] * len(x03.BATCHES)
    assert perfect.variance[0] == pytest.approx(0.0, abs=1e-20)
    assert noisy.bias2[0] > 10 * noisy.bias2[-1]
    assert noisy.variance[-1] > 2 * min(noisy.variance)
    assert all(one <= two for one, two in itertools.pairwise(blind.variance[2:]))


def test_the_best_lambda_rises_with_the_batch_and_with_the_error_of_the_critic() -> None:
    seen: list[str] = []
    check_signature(x03.run(x03.FAST, progress=lambda done, total, text: seen.append(text)))
    assert seen == list(x03.CRITICS)


def test_a_u_has_its_least_inside() -> None:
    assert x03.is_u_shaped([3, 2, 1, 2])
    assert not x03.is_u_shaped([1, 2, 3])
    assert not x03.is_u_shaped([3, 2, 1])
    assert not x03.is_u_shaped([3, 1, 2, 1.5])


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(x03))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        x03.run(x03.FAST, stop=stop)
