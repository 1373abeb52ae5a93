"""X17 on its fast size: what a critic explains, where it explains it, and what spoils it."""

import statistics
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.course.experiments import x17
from rllab.course.experiments.recorded import recorded, recorded_result


def check_signature(result: x17.Result) -> None:
    arms = zip(*(result.of(arm) for arm in x17.ARMS), strict=True)
    for fitted, frozen, wrong_end, padded in arms:  # paired seeds
        assert statistics.fmean(fitted.explained[2:]) > statistics.fmean(fitted.explained[:2])
        assert fitted.overall > 0.05
        assert frozen.explained == (0.0,) * x17.QUARTERS
        assert wrong_end.overall < fitted.overall - 0.03
        assert abs(padded.overall - fitted.overall) < 0.15  # in a causal critic what stands after the end is not seen


def test_a_critic_explains_more_towards_the_end_and_a_value_after_the_end_spoils_it() -> None:
    seen: list[int] = []
    check_signature(x17.run(x17.FAST, progress=lambda done, total, text: seen.append(done)))
    assert seen == list(range(12))


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("x17")["size"]["seeds"] >= 5
    check_signature(recorded_result(x17))
    check_signature(recorded_result(x17, size="tales"))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        x17.run(x17.FAST, stop=stop)
