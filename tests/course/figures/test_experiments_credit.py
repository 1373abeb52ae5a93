"""The figures of the experiments on credit: what is said and drawn is what the experiment measured."""

from rllab.course.experiments import noise_by_length, samples_by_length, shaping
from rllab.course.figures.experiments_credit import NAME, noise_growth, samples_growth, shaping_arms
from rllab.plots.text import fixed


def test_noise_is_drawn_as_it_was_measured_beside_what_is_exact() -> None:
    result = noise_by_length.run(noise_by_length.FAST)
    picture = noise_growth(result)
    ends = [one.measured for one in result.ratios if one.arm == "terminal"]
    assert picture.outcome == "length"
    dots = [trace for trace in picture.figure.data if trace.mode == "markers"]
    assert list(dots[0].y) == ends
    assert all(fixed(result.slope(arm)) in picture.words for arm in noise_by_length.ARMS)
    assert {"10", "20", "50", "100"} <= set(picture.figure.layout.yaxis.ticktext)  # whole numbers, no lone digits


def test_every_arm_of_learning_has_its_line() -> None:
    size = samples_by_length.Size((4, 16, 64), (1, 2), 3, (1.0, 4.0), 2_000)
    result = samples_by_length.run(size)
    picture = samples_growth(result)
    names = [trace.name.strip("\u2068\u2069") for trace in picture.figure.data]
    assert names == [*NAME.values(), "all or nothing"]
    assert f"{result.texts('terminal', 64):,.0f} texts" in picture.words


def test_the_quickest_fair_use_of_a_potential_is_the_outcome() -> None:
    arms = [("sparse", 100.0), ("shaped, whole return", 120.0), ("shaped, one step", 40.0), ("progress bonus", 10.0)]
    result = shaping.Result(tuple(shaping.Arm(name, texts, 1.0, ()) for name, texts in arms), 0.0)
    picture = shaping_arms(result)
    assert picture.outcome == "shaped, one step"
    assert list(picture.figure.data[0].x) == [10.0, 40.0, 120.0, 100.0]
