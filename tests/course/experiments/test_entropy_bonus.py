"""`entropy_bonus`: the laws are of the first order, the clip lets a rare answer rise, and the best bonus is named."""

import pytest

from rllab.course.experiments import entropy_bonus, recorded_result


@pytest.mark.parametrize("name", entropy_bonus.MOVES)
@pytest.mark.parametrize("seed", range(5))
def test_the_laws_are_of_the_first_order(name: str, seed: int) -> None:
    laws = {step: entropy_bonus.entropy_law(name, seed=seed, step=step) for step in (1e-3, 5e-4)}
    errors = {step: abs(law.measured - law.predicted) for step, law in laws.items()}
    assert errors[1e-3] == pytest.approx(4 * errors[5e-4], rel=0.05)  # what is left out is of the second order


def test_clip_higher_lets_a_rare_answer_rise_a_little_more() -> None:
    low, high = (entropy_bonus.rise(0.01, eps).after for eps in entropy_bonus.CLIPS)
    assert low == pytest.approx(0.012, rel=0.01)
    assert high == pytest.approx(0.0128, rel=0.01)


def test_the_best_bonus_is_in_between_and_has_the_large_dot() -> None:
    result = recorded_result(entropy_bonus)
    picture = entropy_bonus.who_finds(result)
    assert picture.outcome == "between"
    found = {arm.bonus: arm.found for arm in result.arms}
    assert found[picture.figure.data[1].x[0]] == max(found.values())
    assert entropy_bonus.entropy_by_bonus(result).outcome == result.arm(0.0).entropy[-1]
