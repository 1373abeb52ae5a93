"""At the fast size, accuracy rises with the pairs, stays below the ceiling, and gold is seen through the noise."""

import itertools
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import label_noise
from rllab.course.experiments.recorded import recorded, recorded_result
from rllab.course.figures.experiments_reward import accuracy_by_pairs


def check_signature(result: label_noise.Result) -> None:
    few, many = result.pairs[0], result.pairs[-1]
    for noise in label_noise.NOISES:
        for one, two in zip(result.of(noise, few), result.of(noise, many), strict=True):  # a sign test over seeds
            assert one.accuracy < two.accuracy
        assert all(0.5 < one.ceiling < 1 and one.accuracy <= one.ceiling for one in result.points)
        accuracy, ceiling, gold = result.mean(noise, many)
        assert ceiling - accuracy < 0.06
        assert gold > accuracy
    for pairs in result.pairs:  # noise lowers the ceiling, and what can be learned
        for one, two in itertools.pairwise(label_noise.NOISES):
            assert all(a > b for a, b in zip(result.mean(one, pairs)[:2], result.mean(two, pairs)[:2], strict=True))


def test_accuracy_rises_towards_a_ceiling_that_noise_lowers() -> None:
    seen: list[int] = []
    result = label_noise.run(label_noise.FAST, job=Job(report=lambda done, total, text: seen.append(done)))
    check_signature(result)
    assert seen == list(range(label_noise.FAST.seeds))
    accuracy, ceiling, gold = result.mean(label_noise.NOISES[-1], result.pairs[-1])
    assert gold > ceiling + 0.05  # better than the labels that it was fitted to
    assert accuracy < ceiling


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("label_noise")["size"]["seeds"] == 20
    check_signature(recorded_result(label_noise))


def test_the_picture_quotes_the_run_and_names_where_it_ends() -> None:
    result = recorded_result(label_noise)
    picture = accuracy_by_pairs(result)
    assert picture.outcome == "ceiling"
    accuracy, ceiling, gold = result.mean(label_noise.NOISES[-1], result.pairs[-1])
    assert all(f"{share:.0%}" in picture.words for share in (accuracy, ceiling, gold))
    drawn = [list(trace.y) for trace in picture.figure.data]
    assert [100 * result.mean(label_noise.NOISES[0], pairs)[0] for pairs in result.pairs] in drawn


def test_a_run_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        label_noise.run(label_noise.FAST, job=Job(stop))
