"""`best_of_n_gold`: the mean of the best of n, what counts as a hump, and the targets."""

import statistics
from dataclasses import replace

import pytest
import torch

from rllab.course.experiments import best_of_n_gold, recorded_result


def test_the_recorded_run_meets_the_targets() -> None:
    result = recorded_result(best_of_n_gold)
    tails = result.of("heavy tails")
    assert [result.ns[curve.peak] for curve in tails] == [16] * 5
    assert statistics.fmean(curve.gold[result.ns.index(16)] for curve in tails) == pytest.approx(0.87, abs=0.03)
    assert statistics.fmean(curve.gold[-1] for curve in tails) == pytest.approx(0.21, abs=0.05)


def test_a_proxy_that_is_right_has_no_hump() -> None:
    gold = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    curve = best_of_n_gold.Curve("none", 0, *best_of_n_gold.best_of_means(gold, gold, best_of_n_gold.FAST.ns))
    assert curve.gold == curve.proxy
    assert curve.rises
    assert not curve.turns


def test_a_second_maximum_is_no_hump() -> None:
    curve = best_of_n_gold.Curve("made up", 0, gold=(0.0, 2.0, 1.0, 1.5, 0.0), proxy=(0.0, 1.0, 2.0, 3.0, 4.0))
    assert curve.turns
    assert not curve.humps
    assert replace(curve, gold=(0.0, 2.0, 1.5, 1.0, 0.0)).humps


def test_the_mean_of_the_best_is_that_of_drawing_again_and_again() -> None:
    gold, proxy = best_of_n_gold.heavy_tails(2_000, torch.Generator().manual_seed(0))
    exact, _ = best_of_n_gold.best_of_means(gold, proxy, (8,))
    drawn = torch.randint(0, 2_000, (200_000, 8), generator=torch.Generator().manual_seed(1))
    best = gold[drawn.gather(1, proxy[drawn].argmax(dim=1, keepdim=True))[:, 0]]
    assert exact[0] == pytest.approx(float(best.mean()), abs=4 * float(best.std()) / 200_000**0.5)


def test_gold_falls_again_where_the_proxy_fails_in_its_extremes() -> None:
    picture = best_of_n_gold.best_of_gold(recorded_result(best_of_n_gold))
    assert picture.outcome == "heavy tails + keyword stuffing"
    assert [trace.name.strip("\u2068\u2069").lower() for trace in picture.figure.data] == list(best_of_n_gold.KINDS)
