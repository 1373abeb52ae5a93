"""The figures of the experiments on training: what is said and drawn are the numbers of the recorded runs."""

import math
import statistics

import pytest

from rllab.course.experiments import critic_foresight, entropy_bonus, length_bias, ppo_clip, ppo_details, temperature
from rllab.course.experiments.recorded import recorded_result
from rllab.course.figures import experiments_training as pictures
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, significant

DRAWN = {
    "length_curves": length_bias,
    "weight_of_prompts": length_bias,
    "entropy_by_bonus": entropy_bonus,
    "found_by_bonus": entropy_bonus,
    "step_size": ppo_clip,
    "clip_corners": ppo_clip,
    "epochs_grid": ppo_clip,
    "entropy_slope": temperature,
    "passes_by_temperature": temperature,
    "first_epoch_ratio": temperature,
    "explained_by_position": critic_foresight,
    "details_left_out": ppo_details,
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
    result, picture = recorded_result(length_bias), drawn("length_curves")
    ends = {trace.name.strip("\u2068\u2069"): trace.y[-1] for trace in picture.figure.data}
    wrong = statistics.fmean(curve.wrong[-1] for curve in result.of(length_bias.GRPO, 1))
    assert ends["GRPO, wrong"] == pytest.approx(wrong)
    assert picture.outcome == pytest.approx(wrong / 10)
    assert all(significant(ends[f"{arm}, wrong"]) in picture.words for arm in ("GRPO", "DAPO", "Dr. GRPO"))


def test_outcomes_are_what_a_prediction_is_compared_with() -> None:
    found = {arm.bonus: arm.found for arm in recorded_result(entropy_bonus).arms}
    assert found[drawn("found_by_bonus").outcome] == max(found.values())
    assert drawn("passes_by_temperature").outcome == "up"
    assert drawn("step_size").outcome > 10
    assert drawn("entropy_by_bonus").outcome == recorded_result(entropy_bonus).arm(0.0).entropy[-1]


def test_the_step_is_told_in_the_numbers_of_the_walks() -> None:
    result, words = recorded_result(ppo_clip), drawn("step_size").words
    for form, places in (("paper, epsilon 0.2", 3), ("one-sided, epsilon 0.2", 2), ("no clip", 2)):
        assert fixed(statistics.fmean(walk.kl[-1] for walk in result.of(form)), places) in words


def test_corners_tell_the_two_forms_apart_for_bad_tokens_alone() -> None:
    result = recorded_result(ppo_clip)
    good, bad = (pictures.clip_corners(result, advantage) for advantage in (1.0, -1.0))
    assert list(good.figure.data[0].y) == list(good.figure.data[1].y)
    assert list(bad.figure.data[0].y) != list(bad.figure.data[1].y)
