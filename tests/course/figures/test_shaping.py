"""Painted potentials: whatever is painted inside, the sum stays; what is painted at the end, it moves by."""

import pytest

from rllab.course.figures.shaping import painted_shaping

TOKENS, REWARDS = ("not", "sad", "<eos>"), (0.0, 0.0, 1.5)


@pytest.mark.parametrize("second", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("third", [-1.0, 0.5])
@pytest.mark.parametrize("last", [0.0, 1.0])
def test_the_sum_moves_by_the_last_potential_alone(second: float, third: float, last: float) -> None:
    picture = painted_shaping(TOKENS, REWARDS)(second, third, last)
    plain, shaped = picture.figure.data
    assert sum(shaped.y) - sum(plain.y) == pytest.approx(last)
    assert picture.outcome == pytest.approx(last)
    assert shaped.y[0] == pytest.approx(second)
    assert ("the same" in picture.words) == (last == 0)
