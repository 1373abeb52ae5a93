"""The figures of X11, X12, X14, X15, X17 and X18: what is said and drawn are the numbers of the recorded runs."""

import math
import statistics

import pytest

from rllab.course.experiments import x11, x12, x14, x15, x17, x18
from rllab.course.experiments.recorded import recorded_result
from rllab.course.figures import experiments_training as pictures
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, significant

DRAWN = {
    "length_bias": x11,
    "weight_of_prompts": x11,
    "entropy_by_bonus": x12,
    "found_by_bonus": x12,
    "step_size": x14,
    "clip_corners": x14,
    "epochs_grid": x14,
    "entropy_slope": x15,
    "passes_by_temperature": x15,
    "first_epoch_ratio": x15,
    "explained_by_position": x17,
    "details_left_out": x18,
}


def drawn(name: str) -> Picture:
    return getattr(pictures, name)(recorded_result(DRAWN[name]))


@pytest.mark.parametrize("name", DRAWN)
def test_every_picture_has_named_axes_a_sentence_and_only_numbers(name: str) -> None:
    picture = drawn(name)
    assert picture.words.endswith(".")
    assert picture.alt
    assert "nan" not in picture.words
    assert "not a number" not in picture.words
    assert picture.figure.layout.xaxis.title.text
    assert name == "details_left_out" or picture.figure.layout.yaxis.title.text  # its rows name themselves
    for trace in picture.figure.data:
        if trace.type != "heatmap":
            numbers = trace.x if isinstance(trace.y[0], str) else trace.y
            assert all(math.isfinite(one) for one in numbers)


def test_the_lengths_that_are_said_are_those_at_the_ends_of_the_lines() -> None:
    result, picture = recorded_result(x11), drawn("length_bias")
    ends = {trace.name.strip("\u2068\u2069"): trace.y[-1] for trace in picture.figure.data}
    wrong = statistics.fmean(curve.wrong[-1] for curve in result.of(x11.GRPO, 1))
    assert ends["GRPO, wrong"] == pytest.approx(wrong)
    assert picture.outcome == pytest.approx(wrong / 10)
    assert all(significant(ends[f"{arm}, wrong"]) in picture.words for arm in ("GRPO", "DAPO", "Dr. GRPO"))


def test_outcomes_are_what_a_prediction_is_compared_with() -> None:
    found = {arm.bonus: arm.found for arm in recorded_result(x12).arms}
    assert found[drawn("found_by_bonus").outcome] == max(found.values())
    assert drawn("passes_by_temperature").outcome == "up"
    assert drawn("step_size").outcome > 10
    assert drawn("entropy_by_bonus").outcome == recorded_result(x12).arm(0.0).entropy[-1]


def test_the_step_is_told_in_the_numbers_of_the_walks() -> None:
    result, words = recorded_result(x14), drawn("step_size").words
    for form, places in (("paper, epsilon 0.2", 3), ("course, epsilon 0.2", 2), ("no clip", 2)):
        assert fixed(statistics.fmean(walk.kl[-1] for walk in result.of(form)), places) in words


def test_corners_tell_the_two_forms_apart_for_bad_tokens_alone() -> None:
    result = recorded_result(x14)
    good, bad = (pictures.clip_corners(result, advantage) for advantage in (1.0, -1.0))
    assert list(good.figure.data[0].y) == list(good.figure.data[1].y)
    assert list(bad.figure.data[0].y) != list(bad.figure.data[1].y)
