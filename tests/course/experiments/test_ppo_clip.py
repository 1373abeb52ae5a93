"""`ppo_clip`: the figures quote the walks and the epochs, and one update on micro can be stopped."""

import statistics
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import ppo_clip, recorded_result
from rllab.course.experiments.ppo_clip import NO_CLIP, ONE_SIDED, PAPER
from rllab.plots.text import fixed


def test_the_step_is_put_into_the_numbers_of_the_walks() -> None:
    result = recorded_result(ppo_clip)
    picture = ppo_clip.step_size(result)
    ends = {form: statistics.fmean(walk.kl[-1] for walk in result.of(form)) for form in (PAPER, ONE_SIDED, NO_CLIP)}
    assert picture.outcome == pytest.approx(ends[NO_CLIP] / ends[PAPER])
    assert picture.outcome > 10
    assert all(fixed(kl, 3 if form == PAPER else 2) in picture.words for form, kl in ends.items())


def test_the_epochs_are_a_row_for_each_epsilon() -> None:
    result = recorded_result(ppo_clip)
    picture = ppo_clip.epochs_grid(result)
    (heat,) = picture.figure.data
    assert [list(row) for row in heat.z] == [list(update.kl) for update in result.epochs]
    assert "ratio 1.00, 0% clipped" in picture.words


def test_one_update_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        ppo_clip.open_epochs(0.2, 2, Job(stop))
