"""The figures on values and gradients: what is said and pointed at is what the experiment measured."""

import pytest

from rllab.course.experiments import baselines, gae_lambda, kl_estimators
from rllab.course.figures.experiments_value import (
    SHOWN_BATCHES,
    baseline_variance,
    best_lambda,
    bias_and_variance,
    estimator_errors,
    groups,
)
from rllab.plots.text import fixed, significant


@pytest.fixture(scope="module")
def gae_result() -> gae_lambda.Result:
    return gae_lambda.run(gae_lambda.FAST)


def test_the_variance_without_a_baseline_grows_and_the_other_stays() -> None:
    result = baselines.run(baselines.FAST)
    picture = baseline_variance(result)
    drawn = {trace.name: trace.y for trace in picture.figure.data}
    none, mean, _best = drawn.values()
    assert picture.outcome == pytest.approx(none[-1] / none[0])
    assert mean[-1] == pytest.approx(mean[0])
    assert significant(none[-1]) in picture.words
    assert all(fixed(one.ratio) in groups(result, one.k).words for one in result.groups)


@pytest.mark.parametrize("critic", gae_lambda.CRITICS)
def test_the_large_dots_stand_at_the_best_lambda(gae_result: gae_lambda.Result, critic: str) -> None:
    picture = best_lambda(gae_result, critic)
    dots = [trace for trace in picture.figure.data if len(trace.x) == 1]
    assert [dot.x[0] for dot in dots] == [gae_result.arm(critic).best(batch) for batch in SHOWN_BATCHES]
    assert picture.outcome == {"perfect": "same", "noisy": "up", "uninformative": "up"}[critic]


def test_the_error_is_bias_and_variance(gae_result: gae_lambda.Result) -> None:
    bias2, variance, error, _dot = (trace.y for trace in bias_and_variance(gae_result, "noisy", 64).figure.data)
    assert [one + two for one, two in zip(bias2, variance, strict=True)] == pytest.approx(list(error))


def test_the_estimator_with_little_of_both_is_named() -> None:
    result = kl_estimators.run(kl_estimators.FAST)
    picture = estimator_errors(result)
    assert picture.outcome == "k3"
    under = dict(zip(("k1", "k2", "k3"), picture.figure.layout.xaxis.ticktext, strict=True))
    assert "+25%" in under["k2"]
    assert "off by 0%<br>far" in under["k1"]
    assert "off by 0%<br>far" in under["k3"]
    assert picture.figure.data[0].y == tuple(result.value(name, 0.1).deviation for name in ("k1", "k2", "k3"))
