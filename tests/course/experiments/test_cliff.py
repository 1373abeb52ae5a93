"""`cliff`: the figure smooths the returns and names who earns more."""

import statistics

import pytest

from rllab.course.experiments import cliff, recorded_result


def test_the_returns_are_smoothed_and_the_better_rule_is_named() -> None:
    result = recorded_result(cliff)
    picture = cliff.cliff_returns(result)
    assert picture.outcome == "sarsa"
    line, curve = picture.figure.data[0], result.arms[0].curve
    assert (line.x[0], line.x[-1]) == (cliff.WINDOW, len(curve))
    assert line.y[-1] == pytest.approx(statistics.fmean(curve[-cliff.WINDOW :]))
    assert min(line.y) >= cliff.FLOOR
