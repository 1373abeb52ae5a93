"""`kl_estimators`: the figure shows the spread and names the estimator with little bias and little spread."""

from rllab.course.experiments import kl_estimators, recorded_result


def test_the_estimator_with_little_of_both_is_named() -> None:
    result = recorded_result(kl_estimators)
    picture = kl_estimators.estimator_errors(result)
    assert picture.outcome == "k3"
    under = dict(zip(("k1", "k2", "k3"), picture.figure.layout.xaxis.ticktext, strict=True))
    assert "+25%" in under["k2"]
    assert "off by 0%<br>far" in under["k1"]
    assert "off by 0%<br>far" in under["k3"]
    assert picture.figure.data[0].y == tuple(result.value(name, 0.1).deviation for name in ("k1", "k2", "k3"))
