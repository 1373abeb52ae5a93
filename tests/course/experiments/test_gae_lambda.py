"""`gae_lambda`: the figures point at the best lambda and add up."""

import pytest

from rllab.course.experiments import gae_lambda, recorded_result


@pytest.mark.parametrize("critic", gae_lambda.CRITICS)
def test_the_large_dots_are_at_the_best_lambda(critic: str) -> None:
    result = recorded_result(gae_lambda)
    picture = gae_lambda.best_lambda(result, critic)
    dots = [trace for trace in picture.figure.data if len(trace.x) == 1]
    assert [dot.x[0] for dot in dots] == [result.arm(critic).best(batch) for batch in gae_lambda.SHOWN_BATCHES]
    assert picture.outcome == {"perfect": "same", "noisy": "up", "uninformative": "up"}[critic]


def test_the_error_is_bias_and_variance() -> None:
    picture = gae_lambda.bias_and_variance(recorded_result(gae_lambda), "noisy", 64)
    bias2, variance, error, _dot = (trace.y for trace in picture.figure.data)
    assert [squared + noise for squared, noise in zip(bias2, variance, strict=True)] == pytest.approx(list(error))
