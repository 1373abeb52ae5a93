"""At the fast size, the error of GAE is U-shaped in lambda, and where it is least depends on batch and critic."""

import itertools
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import gae_lambda
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: gae_lambda.Result) -> None:
    perfect, noisy, blind = (result.arm(name) for name in gae_lambda.CRITICS)
    assert any(gae_lambda.is_u_shaped(noisy.mse(batch)) for batch in gae_lambda.BATCHES)
    assert any(gae_lambda.is_u_shaped(blind.mse(batch)) for batch in gae_lambda.BATCHES)
    for arm in (noisy, blind):
        best = [arm.best(batch) for batch in gae_lambda.BATCHES]
        assert best == sorted(best)
        assert best[-1] > best[0]
    assert all(blind.best(batch) >= noisy.best(batch) for batch in gae_lambda.BATCHES[1:])
    assert [perfect.best(batch) for batch in gae_lambda.BATCHES] == [0.0] * len(gae_lambda.BATCHES)
    assert perfect.variance[0] == pytest.approx(0.0, abs=1e-20)
    assert noisy.bias2[0] > 10 * noisy.bias2[-1]
    assert noisy.variance[-1] > 2 * min(noisy.variance)
    assert all(one <= two for one, two in itertools.pairwise(blind.variance[2:]))


def test_the_best_lambda_rises_with_the_batch_and_with_the_error_of_the_critic() -> None:
    seen: list[str] = []
    check_signature(gae_lambda.run(gae_lambda.FAST, job=Job(report=lambda done, total, text: seen.append(text))))
    assert seen == list(gae_lambda.CRITICS)


def test_a_u_has_its_least_inside() -> None:
    assert gae_lambda.is_u_shaped([3, 2, 1, 2])
    assert not gae_lambda.is_u_shaped([1, 2, 3])
    assert not gae_lambda.is_u_shaped([3, 2, 1])
    assert not gae_lambda.is_u_shaped([3, 1, 2, 1.5])


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(gae_lambda))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        gae_lambda.run(gae_lambda.FAST, job=Job(stop))
