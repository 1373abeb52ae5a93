"""`baselines`: the figures show and quote what was measured."""

import pytest

from rllab.course.experiments import baselines, recorded_result
from rllab.plots.text import fixed, significant


def test_the_variance_without_a_baseline_grows_and_the_other_stays() -> None:
    result = recorded_result(baselines)
    picture = baselines.baseline_variance(result)
    none, mean, _best = (trace.y for trace in picture.figure.data)
    assert picture.outcome == pytest.approx(none[-1] / none[0])
    assert mean[-1] == pytest.approx(mean[0])
    assert significant(none[-1]) in picture.words
    assert all(fixed(group.ratio) in baselines.groups(result, group.k).words for group in result.groups)
