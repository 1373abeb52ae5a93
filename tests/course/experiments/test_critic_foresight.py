"""`critic_foresight` at its fast size: what a critic explains, where it explains it, and what spoils it."""

import statistics
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import critic_foresight
from rllab.course.experiments.recorded import recorded, recorded_result


def check_signature(result: critic_foresight.Result) -> None:
    arms = zip(*(result.of(arm) for arm in critic_foresight.ARMS), strict=True)
    for fitted, frozen, wrong_end, padded in arms:  # paired seeds
        assert statistics.fmean(fitted.explained[2:]) > statistics.fmean(fitted.explained[:2])
        assert fitted.overall > 0.05
        assert frozen.explained == (0.0,) * critic_foresight.QUARTERS
        assert wrong_end.overall < fitted.overall - 0.03
        assert abs(padded.overall - fitted.overall) < 0.15  # in a causal critic what stands after the end is not seen


def test_a_critic_explains_more_towards_the_end_and_a_value_after_the_end_spoils_it() -> None:
    seen: list[int] = []
    check_signature(
        critic_foresight.run(critic_foresight.FAST, job=Job(report=lambda done, total, text: seen.append(done)))
    )
    assert seen == list(range(12))


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("critic_foresight")["size"]["seeds"] >= 5
    check_signature(recorded_result(critic_foresight))
    check_signature(recorded_result(critic_foresight, size="tales"))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        critic_foresight.run(critic_foresight.FAST, job=Job(stop))
