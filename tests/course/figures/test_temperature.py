"""The entropy's picture: its tangent touches the curve, and its sentence quotes what is drawn."""

import math

import pytest
import torch

from rllab.course.figures.temperature import TAUS, entropy_by_temperature
from rllab.maths.divergence import entropy
from rllab.plots.text import fixed

STATES = {"here": torch.tensor([2.0, 1.0, 0.0, -1.0]), "even": torch.zeros(4)}
NAMES = dict(enumerate("abcd"))


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_the_dashed_line_is_the_curves_tangent(tau: float) -> None:
    picture = entropy_by_temperature(STATES, NAMES)("here", tau)
    curve, tangent, ceiling = picture.figure.data
    (left, right), (low, high) = tangent.x, tangent.y
    step = 1e-4
    around = [float(entropy(STATES["here"].double() / (tau + sign * step))) for sign in (-1, 1)]
    assert (high - low) / (right - left) == pytest.approx((around[1] - around[0]) / (2 * step), rel=1e-5)
    there = curve.y[TAUS.index(tau)]
    assert low + (tau - left) * (high - low) / (right - left) == pytest.approx(there)
    assert list(ceiling.y) == pytest.approx([math.log(4)] * 2)
    assert fixed(there) in picture.words


def test_where_all_tokens_are_alike_temperature_changes_nothing() -> None:
    picture = entropy_by_temperature(STATES, NAMES)("even", 1.0)
    assert list(picture.figure.data[0].y) == pytest.approx([math.log(4)] * len(TAUS))
    assert "Var(z)/τ³ = 0.00" in picture.words
