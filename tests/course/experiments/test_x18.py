"""X18 on its fast size: each detail that is left out moves the number that betrays it, on every seed."""

import threading

import pytest

from rllab.core.errors import Stopped
from rllab.course.experiments import x18
from rllab.course.experiments.recorded import recorded, recorded_result


def check_signature(result: x18.Result) -> None:
    for switch in x18.SWITCHES:
        outcomes = result.of(switch.name)
        assert all(switch.way * (one.left_out - one.kept) > 0 for one in outcomes), switch.name  # a sign test
    kept, raw = result.means("advantage whitening")
    assert 0.2 < kept < 0.8
    assert raw > 0.95  # credit of one sign is no credit
    zero, wide = result.means("value head at zero")
    assert wide > 2 * zero


def test_every_detail_that_is_left_out_shows_where_it_was_predicted() -> None:
    seen: list[str] = []
    check_signature(x18.run(x18.FAST, progress=lambda done, total, text: seen.append(text)))
    assert seen == [switch.name for switch in x18.SWITCHES]


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("x18")["size"]["seeds"] >= 5
    check_signature(recorded_result(x18))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        x18.run(x18.FAST, stop=stop)
