"""The cat learns by what follows its actions, and the feeder never changes."""

import threading

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.course.tabular.loop import ACTIONS, PRESS, Cat, Feeder, moments, press_curve


@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(Feeder(), skip_render_check=True)


def test_pressing_alone_is_fed_and_as_often_as_the_feeder_says() -> None:
    turns = list(moments(Feeder(pay_off=0.6), Cat(press=0.5, lr=0.0), episodes=3000))
    fed = {number: [turn.reward for turn in turns if turn.action == number] for number in range(len(ACTIONS))}
    assert all(not any(fed[number]) for number in fed if number != PRESS)
    assert np.mean(fed[PRESS]) == pytest.approx(0.6, abs=4 * (0.24 / len(fed[PRESS])) ** 0.5)
    assert len(fed[PRESS]) == pytest.approx(1500, abs=4 * 750**0.5)


def test_food_raises_what_came_before_it_and_nothing_else_moves_the_cat() -> None:
    cat, before = Cat(press=0.3, seed=1), None
    for turn in moments(Feeder(pay_off=1.0), cat, episodes=20):
        now = cat.policy
        assert now.sum() == pytest.approx(1.0)
        if before is not None:
            assert (now[PRESS] > before[PRESS]) == bool(turn.reward)
            assert turn.reward or np.array_equal(now, before)
        before = now


def test_the_mean_curve_is_the_curriculums() -> None:
    curve = press_curve(60)
    mean, error = curve.mean(axis=0), curve.std(axis=0) / len(curve) ** 0.5
    for trial, target in ((0, 0.08), (50, 0.61), (100, 0.93), (199, 0.98)):
        assert abs(mean[trial] - target) <= 4 * error[trial] + 0.02
    assert np.array_equal(curve[7], press_curve(1, seed=7)[0])


def test_a_lever_that_is_hardly_tried_may_never_be_found() -> None:
    assert press_curve(10, trials=100, press=1e-4)[:, -1].max() < 1e-3


def test_it_stops_and_refuses_what_has_no_meaning() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        press_curve(2, job=Job(stop))
    with pytest.raises(LabError, match="never tried is never found"):
        Cat(press=0.0)
    with pytest.raises(LabError, match="pay_off"):
        Feeder(pay_off=1.5)
