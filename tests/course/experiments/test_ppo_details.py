"""`ppo_details` at its fast size: each detail that is left out moves the number that betrays it, on every seed."""

import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import ppo_details
from rllab.course.experiments.recorded import recorded, recorded_result


def check_signature(result: ppo_details.Result) -> None:
    for switch in ppo_details.SWITCHES:
        outcomes = result.of(switch.name)
        assert all(switch.way * (one.left_out - one.kept) > 0 for one in outcomes), switch.name  # a sign test
    kept, raw = result.means("advantage whitening")
    assert 0.2 < kept < 0.8
    assert raw > 0.95  # credit of one sign is no credit
    zero, wide = result.means("value head at zero")
    assert wide > 2 * zero


def test_every_detail_that_is_left_out_shows_where_it_was_predicted() -> None:
    seen: list[str] = []
    check_signature(ppo_details.run(ppo_details.FAST, job=Job(report=lambda done, total, text: seen.append(text))))
    assert seen == [switch.name for switch in ppo_details.SWITCHES]


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("ppo_details")["size"]["seeds"] >= 5
    check_signature(recorded_result(ppo_details))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        ppo_details.run(ppo_details.FAST, job=Job(stop))
