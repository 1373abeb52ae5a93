import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rllab.core.errors import LabError
from rllab.maths.advantages import group_relative, leave_one_out, whiten
from tests.maths.batches import POISONS, batches, normal, poisoned, ragged

GROUP = torch.tensor([3, 3, 3, 7, 7, 7, 7])


def centred(scores, group):
    return group_relative(scores, group, scale=False)


every_baseline = pytest.mark.parametrize("baseline", [group_relative, centred, leave_one_out])


def near(a, b, tolerance=1e-12):
    return torch.allclose(a, b, rtol=0.0, atol=tolerance)


@given(batches(tensors=1, holes=True))
def test_whitened_positions_have_mean_zero_and_variance_one(batch):
    mask, x = batch
    assume(mask.sum() >= 2)
    white = whiten(5 + 3 * x, mask)
    assert white[mask].mean().abs() <= 1e-12
    assert white[mask].var().item() == pytest.approx(1.0, abs=1e-12)
    assert (white[~mask] == 0.0).all()
    assert near(whiten(white, mask), white)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_scale_is_exact_for_small_and_large_numbers(scale):
    mask = ragged(4, 2, width=4)
    assert whiten(scale * normal(2, 4, seed=0), mask)[mask].var().item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("mask", [torch.zeros(2, 2), torch.eye(2)[:1].repeat(2, 1) * torch.eye(2)])
def test_fewer_than_two_positions_are_only_centred(mask):
    assert mask.sum() < 2
    assert (whiten(normal(2, 2, seed=0), mask) == 0.0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e7, 1e-30])
def test_equal_advantages_whiten_to_exactly_zero(value, dtype):
    x = torch.full((7, 11), value, dtype=dtype)
    assert (whiten(x, torch.ones(7, 11)) == 0.0).all()


@pytest.mark.parametrize("poison", POISONS)
def test_whitening_does_not_see_padding(poison):
    mask, x = ragged(3, 1, 0, width=3), normal(3, 3, seed=0)
    assert torch.equal(whiten(x, mask), whiten(poisoned(x, mask, poison), mask))


def test_grpo_of_three_right_and_one_wrong():
    advantages = group_relative(torch.tensor([1.0, 1.0, 1.0, 0.0]), torch.zeros(4, dtype=torch.long))
    assert advantages.tolist() == pytest.approx([1 / math.sqrt(3)] * 3 + [-math.sqrt(3)], abs=1e-6)


def test_each_group_has_mean_zero_and_population_deviation_one():
    advantages = group_relative(normal(7, seed=0), GROUP)
    for g in (3, 7):
        assert advantages[g == GROUP].mean().abs() <= 1e-15
        assert advantages[g == GROUP].std(correction=0).item() == pytest.approx(1.0, abs=1e-12)


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.floats(-100, 100))
def test_grpo_ignores_the_scale_and_zero_of_the_reward_and_its_unscaled_form_only_the_zero(seed, scale, zero):
    scores = normal(7, seed=seed)
    changed = scale * scores + zero
    assert near(group_relative(changed, GROUP), group_relative(scores, GROUP), 1e-9)
    assert near(group_relative(-changed, GROUP), -group_relative(scores, GROUP), 1e-9)
    assert near(centred(changed, GROUP), scale * centred(scores, GROUP), 1e-9)


@every_baseline
@given(st.integers(0, 2**31), st.permutations(range(7)))
def test_advantages_follow_their_rows_through_a_shuffle(baseline, seed, order):
    scores = normal(7, seed=seed)
    assert near(baseline(scores[order], GROUP[order]), baseline(scores, GROUP)[order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e7, -3.3])
@every_baseline
def test_silent_group_gives_exactly_zero_and_leaves_the_others_alone(baseline, value, dtype):
    scores = torch.tensor([value] * 3 + [1.0, 2.0, 3.0, 4.0], dtype=dtype)
    advantages = baseline(scores, GROUP)
    assert advantages.dtype is dtype
    assert (advantages[:3] == 0.0).all()
    assert (advantages[3:] != 0.0).all()


def test_rounding_is_no_information():
    scores = torch.tensor([0.1 + 0.2, 0.3], dtype=torch.float64)
    assert scores[0] != scores[1]
    assert (group_relative(scores, torch.zeros(2, dtype=torch.long)) == 0.0).all()


def test_baseline_of_leave_one_out_is_the_mean_of_the_others():
    scores = torch.tensor([1.0, 2.0, 6.0, 0.0, 4.0, 8.0, 0.0])
    by_hand = [-3, -1.5, 4.5, -4, 4 / 3, 20 / 3, -4]
    assert leave_one_out(scores, GROUP).tolist() == pytest.approx(by_hand, abs=1e-6)


@given(st.integers(0, 2**31))
def test_unscaled_grpo_is_leave_one_out_shrunk_by_the_group_size(seed):
    scores = normal(7, seed=seed)
    sizes = torch.tensor([3.0] * 3 + [4.0] * 4, dtype=torch.float64)
    assert near(leave_one_out(scores, GROUP), sizes / (sizes - 1) * centred(scores, GROUP))


def test_group_of_one_has_no_baseline_in_rloo_and_no_signal_in_grpo():
    scores, alone = torch.tensor([2.5, 7.0]), torch.tensor([0, 1])
    assert leave_one_out(scores, alone).tolist() == [2.5, 7.0]
    assert group_relative(scores, alone).tolist() == [0.0, 0.0]
    assert centred(scores, alone).tolist() == [0.0, 0.0]


def test_wrong_shapes_get_a_sentence():
    with pytest.raises(LabError, match=r"shape of group is \(2,\).*\(3,\)"):
        leave_one_out(torch.zeros(3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(LabError, match="one score per row"):
        group_relative(torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.long))
