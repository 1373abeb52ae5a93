"""`learned_reward` at its fast size: gold has one maximum, the proxy rises on, and more pairs put the maximum off."""

import threading
from dataclasses import replace

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import learned_reward
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: learned_reward.Result) -> None:
    assert sum(curve.humps for curve in result.curves) >= 0.95 * len(result.curves)
    assert all(curve.rises for curve in result.curves)
    assert all(fit.alpha > 0 and fit.beta > 0 for fit in result.fits)
    assert result.put_off(100, 10_000)[0] > 1
    spread = [one.accuracy for one in result.curves]
    assert 0.6 < min(spread) < max(spread) < 0.9


def test_gold_turns_while_the_proxy_rises_and_more_pairs_put_it_off() -> None:
    check_signature(learned_reward.run(learned_reward.FAST))


def test_the_recorded_run_has_the_signature() -> None:
    result = recorded_result(learned_reward)
    assert {curve.seed for curve in result.curves} == set(range(20))
    check_signature(result)
    assert result.put_off(100, 10_000)[1] > 0  # the lower end of the interval
    backwards = replace(result, curves=tuple(replace(one, pairs=10_100 - one.pairs) for one in result.curves))
    assert backwards.put_off(100, 10_000)[1] < 0


def test_a_curve_that_keeps_rising_or_turns_twice_is_no_hump() -> None:
    curve = learned_reward.Curve(
        100, 0, 0.7, (0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 2.0, 1.0, 0.0, -1.0)
    )
    assert curve.humps
    assert not replace(curve, gold=(0.0, 1.0, 2.0, 3.0, 4.0)).humps
    assert not replace(curve, gold=(0.0, 2.0, 0.5, 1.5, -1.0)).humps
    assert not replace(curve, proxy=(0.0, 1.0, 0.5, 3.0, 4.0)).rises


def test_expected_gold_and_the_kl_are_those_of_samples() -> None:
    task = learned_reward.make_task(0)
    shares = torch.randn(learned_reward.WORDS, generator=torch.Generator().manual_seed(5), dtype=torch.float64).softmax(
        dim=0
    )
    counts = learned_reward.draw_texts(shares, 50_000, generator=torch.Generator().manual_seed(6))
    drawn = task.gold(counts)
    assert task.expected_gold(shares) == pytest.approx(float(drawn.mean()), abs=4 * float(drawn.std()) / 50_000**0.5)
    ratios = counts @ (shares / task.shares).log()
    assert task.kl(shares) == pytest.approx(float(ratios.mean()), abs=4 * float(ratios.std()) / 50_000**0.5)


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        learned_reward.run(learned_reward.FAST, job=Job(stop))
