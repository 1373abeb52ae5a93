"""`entropy_bonus` at its fast size: too little entropy never finds the best answer, too much never uses it."""

import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import entropy_bonus
from rllab.course.experiments.recorded import recorded, recorded_result


def check_signature(result: entropy_bonus.Result) -> None:
    found = [arm.found for arm in result.arms]
    best = found.index(max(found))
    assert 0 < best < len(found) - 1
    assert found[best] == 1.0
    assert found[0] == found[-1] == 0.0
    assert found[: best + 1] == sorted(found[: best + 1])
    assert found[best:] == sorted(found[best:], reverse=True)
    plain, most = result.arms[0], result.arms[-1]
    assert plain.entropy[0] == pytest.approx(2.88, abs=0.02)
    assert plain.entropy[5] < 0.8  # after 100 updates
    assert plain.entropy[-1] < 0.1
    assert most.entropy[-1] > 2.5
    for law in result.laws:
        assert law.measured == pytest.approx(law.predicted, rel=1e-3)
    for rise in result.rises:
        assert rise.after == pytest.approx(min(1.0, (1 + rise.clip_eps_high) * rise.before), rel=0.01)


def test_the_best_answer_is_found_with_some_bonus_and_neither_with_none_nor_with_much() -> None:
    seen: list[str] = []
    check_signature(entropy_bonus.run(entropy_bonus.FAST, job=Job(report=lambda done, total, text: seen.append(text))))
    assert len(seen) == len(entropy_bonus.BONUSES)


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("entropy_bonus")["size"] == {"seeds": 40, "updates": 1000}
    check_signature(recorded_result(entropy_bonus))


@pytest.mark.parametrize("name", entropy_bonus.STEPS)
@pytest.mark.parametrize("seed", range(5))
def test_the_laws_are_of_the_first_order(name: str, seed: int) -> None:
    off = {step: entropy_bonus.entropy_law(name, seed=seed, step=step) for step in (1e-3, 5e-4)}
    errors = {step: abs(law.measured - law.predicted) for step, law in off.items()}
    assert errors[1e-3] == pytest.approx(4 * errors[5e-4], rel=0.05)  # what is left out is of the second order


def test_clip_higher_lets_a_rare_answer_rise_a_little_more() -> None:
    low, high = (entropy_bonus.rise(0.01, eps).after for eps in entropy_bonus.CLIPS)
    assert low == pytest.approx(0.012, rel=0.01)
    assert high == pytest.approx(0.0128, rel=0.01)


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        entropy_bonus.run(entropy_bonus.FAST, job=Job(stop))
