"""`learned_reward`: what counts as a hump, exact expectations, and when the peak comes."""

from dataclasses import replace

import pytest
import torch

from rllab.course.experiments import learned_reward, recorded_result


def test_the_delay_of_the_peak_is_no_chance() -> None:
    result = recorded_result(learned_reward)
    assert result.put_off(100, 10_000)[1] > 0  # the lower end of the interval
    backwards = replace(result, curves=tuple(replace(curve, pairs=10_100 - curve.pairs) for curve in result.curves))
    assert backwards.put_off(100, 10_000)[1] < 0
    assert "more pairs delay the peak" in learned_reward.check_signature(backwards)


def test_a_curve_that_keeps_rising_or_turns_twice_is_no_hump() -> None:
    steps = (0.0, 1.0, 2.0, 3.0, 4.0)
    curve = learned_reward.Curve(100, 0, 0.7, kl=steps, proxy=steps, gold=(0.0, 2.0, 1.0, 0.0, -1.0))
    assert curve.humps
    assert not replace(curve, gold=steps).humps
    assert not replace(curve, gold=(0.0, 2.0, 0.5, 1.5, -1.0)).humps
    assert not replace(curve, proxy=(0.0, 1.0, 0.5, 3.0, 4.0)).rises


def test_expected_gold_and_the_kl_are_those_of_samples() -> None:
    task = learned_reward.make_task(0)
    logits = torch.randn(learned_reward.WORDS, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    shares = logits.softmax(dim=0)
    counts = learned_reward.draw_texts(shares, 50_000, generator=torch.Generator().manual_seed(6))
    sampled = task.gold(counts)
    error = float(sampled.std()) / 50_000**0.5
    assert task.expected_gold(shares) == pytest.approx(float(sampled.mean()), abs=4 * error)
    ratios = counts @ (shares / task.shares).log()
    assert task.kl(shares) == pytest.approx(float(ratios.mean()), abs=4 * float(ratios.std()) / 50_000**0.5)


def test_more_pairs_delay_the_peak_and_every_number_of_pairs_has_its_line() -> None:
    result = recorded_result(learned_reward)
    picture = learned_reward.learned_reward_curves(result)
    assert picture.outcome == "later"
    assert len(picture.figure.data) == len(learned_reward.WORKSHOP.pairs)
