"""`temperature`: the entropy and its tangent, pass@k, and the figures' sentences."""

import math

import pytest
import torch

from rllab.course.experiments import recorded_result, temperature
from rllab.course.experiments.temperature import DRAWN, entropy_by_temperature
from rllab.maths.divergence import entropy
from rllab.plots.text import fixed
from rllab.worlds import load_world

STATES = {"here": torch.tensor([2.0, 1.0, 0.0, -1.0]), "even": torch.zeros(4)}
NAMES = dict(enumerate("abcd"))


def test_the_entropy_rises_with_the_temperature_up_to_log_of_the_vocabulary() -> None:
    world = load_world("micro")
    logits = temperature.state_logits(world)
    entropies = [temperature.slope_at(logits, tau).entropy for tau in (*temperature.TAUS, 1e4)]
    assert entropies == sorted(entropies)
    assert entropies[-1] == pytest.approx(math.log(world.policy.vocabulary), abs=1e-6)


def test_one_try_is_the_mean_probability() -> None:
    single, many = temperature.pass_at((1, 10**6), 50, seed=3)
    assert all(once <= often for once, often in zip(single.solved, many.solved, strict=True))
    assert max(many.solved) > 0.9


def test_the_best_temperature_rises_with_the_tries() -> None:
    result = recorded_result(temperature)
    picture = temperature.passes_by_temperature(result)
    assert picture.outcome == "up"
    dots = [trace.x[0] for trace in picture.figure.data if len(trace.x) == 1]
    assert dots == [curve.best for curve in result.passes if curve.seed == 0]


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_the_dashed_line_is_the_curves_tangent(tau: float) -> None:
    picture = entropy_by_temperature(STATES, NAMES)("here", tau)
    curve, tangent, ceiling = picture.figure.data
    (left, right), (low, high) = tangent.x, tangent.y
    step = 1e-4
    around = [float(entropy(STATES["here"].double() / (tau + sign * step))) for sign in (-1, 1)]
    assert (high - low) / (right - left) == pytest.approx((around[1] - around[0]) / (2 * step), rel=1e-5)
    there = curve.y[DRAWN.index(tau)]
    assert low + (tau - left) * (high - low) / (right - left) == pytest.approx(there)
    assert list(ceiling.y) == pytest.approx([math.log(4)] * 2)
    assert fixed(there) in picture.words


def test_where_all_tokens_are_alike_temperature_changes_nothing() -> None:
    picture = entropy_by_temperature(STATES, NAMES)("even", 1.0)
    assert list(picture.figure.data[0].y) == pytest.approx([math.log(4)] * len(DRAWN))
    assert "Var(z)/τ³ = 0.00" in picture.words
