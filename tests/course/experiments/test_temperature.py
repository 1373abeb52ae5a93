"""At the fast size, the entropy's slope, the best temperature for k tries, and the ratio that betrays a bug."""

import math
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import temperature
from rllab.course.experiments.recorded import recorded, recorded_result
from rllab.worlds import load_world


def check_signature(result: temperature.Result) -> None:
    for slope in result.slopes:
        assert slope.measured == pytest.approx(slope.law, rel=1e-6)  # five digits and one more
    for seed in {one.seed for one in result.passes}:
        best = [one.best for one in result.passes if one.seed == seed]  # by number of tries
        assert best == sorted(best)
        assert best[-1] > best[0]
        assert temperature.TAUS[0] < best[-1] < temperature.TAUS[-1]  # inside
    for one in result.mismatches:
        if one.scored_alike or one.sampled_at == 1.0:
            assert one.ratio == pytest.approx(1.0, abs=1e-6)
            assert (one.clipped, one.approx_kl) == (0.0, pytest.approx(0.0, abs=1e-9))
        else:
            assert abs(one.ratio - 1) > 0.01
            assert one.approx_kl > 1e-3
            assert one.clipped > 0.05


def test_temperature_has_its_law_its_best_place_and_its_bug() -> None:
    seen: list[int] = []
    check_signature(temperature.run(temperature.FAST, job=Job(report=lambda done, total, text: seen.append(done))))
    assert seen == list(range(6))


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("temperature")["size"] == {"tasks": 2000, "seeds": 20}
    check_signature(recorded_result(temperature))


def test_the_entropy_rises_with_the_temperature_up_to_log_of_the_vocabulary() -> None:
    world = load_world("micro")
    logits = temperature.state_logits(world)
    entropies = [temperature.slope_at(logits, tau).entropy for tau in (*temperature.TAUS, 1e4)]
    assert entropies == sorted(entropies)
    assert entropies[-1] == pytest.approx(math.log(world.policy.vocabulary), abs=1e-6)


def test_one_try_is_the_mean_chance() -> None:
    one, many = temperature.pass_at((1, 10**6), 50, seed=3)
    assert all(single <= several for single, several in zip(one.solved, many.solved, strict=True))
    assert max(many.solved) > 0.9


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        temperature.run(temperature.FAST, job=Job(stop))
