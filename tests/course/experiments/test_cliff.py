"""`cliff` at its fast size: the cliff walk's two returns, by a sign test over paired seeds."""

import statistics
import threading

import pytest

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import cliff
from rllab.course.experiments.recorded import recorded
from rllab.course.tabular.control import Q_LEARNING, SARSA


def check_signature(result: cliff.Result) -> None:
    q, sarsa = result.arm(Q_LEARNING), result.arm(SARSA)
    assert all(one < two for one, two in zip(q.online, sarsa.online, strict=True))  # sign test: 2^-5 at 5 seeds
    assert all(one == -13 for one in q.greedy)  # the shortest way there is
    assert all(one < -13 for one in sarsa.greedy)  # further from the cliff; -200 where it still goes round in circles
    assert -19 <= statistics.median(sarsa.greedy) <= -15
    assert -70 < sum(q.online) / len(q.online) < -35
    assert -35 < sum(sarsa.online) / len(sarsa.online) < -18


def test_q_learning_falls_while_it_learns_and_walks_the_shorter_way() -> None:
    seen: list[int] = []
    check_signature(cliff.run(cliff.FAST, job=Job(report=lambda done, total, text: seen.append(done))))
    assert seen == [0, 1, 2]


def test_the_recorded_run_has_the_signature_and_its_command() -> None:
    kept = recorded("cliff")
    assert kept["command"] == "python -m rllab.course.experiments cliff"
    assert kept["size"] == {"seeds": 20, "episodes": 500}
    arms = tuple(
        cliff.Arm(one["rule"], *(tuple(one[key]) for key in ("curve", "online", "greedy")))
        for one in kept["result"]["arms"]
    )
    check_signature(cliff.Result(arms))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        cliff.run(cliff.FAST, job=Job(stop))


def test_what_was_never_recorded_is_said() -> None:
    with pytest.raises(LabError, match=r"python -m rllab\.experiments x99"):
        recorded("x99")
