"""At the fast size, what the best of many gives depends on how the proxy is wrong where few samples are."""

import statistics
import threading
from dataclasses import replace

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import best_of_n_gold
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: best_of_n_gold.Result) -> None:
    assert all(curve.rises for curve in result.curves)
    assert not any(curve.turns for curve in result.of("gaussian"))
    for kind in ("heavy tails", "keyword stuffing"):
        assert all(curve.humps for curve in result.of(kind)), kind
        fits = [fit for fit in result.fits if fit.kind == kind]
        assert len(fits) == 2
        assert all(fit.alpha > 0 and fit.beta > 0 for fit in fits)
        assert fits[0].aic <= fits[1].aic
    assert len(result.of("gaussian")) >= 5


def test_one_maximum_inside_where_the_error_is_extreme_and_none_where_it_is_gaussian() -> None:
    check_signature(best_of_n_gold.run(best_of_n_gold.FAST))


def test_the_recorded_run_has_the_signature_and_the_targets() -> None:
    result = recorded_result(best_of_n_gold)
    check_signature(result)
    at = result.ns.index(16)
    tops = [curve.gold[at] for curve in result.of("heavy tails")]
    assert [result.ns[curve.peak] for curve in result.of("heavy tails")] == [16] * 5
    assert statistics.fmean(tops) == pytest.approx(0.87, abs=0.03)
    ends = [curve.gold[-1] for curve in result.of("heavy tails")]
    assert statistics.fmean(ends) == pytest.approx(0.21, abs=0.05)


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
    told, _ = best_of_n_gold.best_of_means(gold, proxy, (8,))
    drawn = torch.randint(0, 2_000, (200_000, 8), generator=torch.Generator().manual_seed(1))
    best = gold[drawn.gather(1, proxy[drawn].argmax(dim=1, keepdim=True))[:, 0]]
    assert told[0] == pytest.approx(float(best.mean()), abs=4 * float(best.std()) / 200_000**0.5)


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        best_of_n_gold.run(best_of_n_gold.FAST, job=Job(stop))
