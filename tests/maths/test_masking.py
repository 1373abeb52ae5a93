import pytest
import torch
from hypothesis import given

from rllab.core.errors import LabError
from rllab.maths.masking import apply_mask, last_index, masked_mean, masked_sum, masked_var, until_end
from tests.maths.batches import POISONS, batches, normal, poisoned, ragged


def test_mask_counts_exactly_the_first_columns_of_each_row():
    mask = until_end(torch.tensor([0, 2, 3]), width=3)
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]
    assert mask.dtype is torch.bool


@pytest.mark.parametrize("lengths", [[4], [-1], [0, 4]])
def test_impossible_length_is_refused_in_a_sentence(lengths):
    with pytest.raises(LabError, match=r"lengths .* between 0 and 3"):
        until_end(torch.tensor(lengths), width=3)


def test_mask_of_no_rows_has_no_rows():
    assert until_end(torch.zeros(0, dtype=torch.long), width=3).shape == (0, 3)


def test_fill_refuses_to_broadcast_rows_over_columns():
    with pytest.raises(LabError, match=r"shape of scores is \(3,\): .*\(3, 3\)"):
        apply_mask(torch.ones(3), torch.ones(3, 3), name="scores")


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("stat", [masked_sum, masked_mean, masked_var])
def test_off_positions_reach_neither_value_nor_gradient(stat, poison):
    mask = ragged(3, 1, 0, 4, width=4)
    clean = normal(4, 4, seed=0).requires_grad_()
    dirty = poisoned(clean.detach(), mask, poison).requires_grad_()
    assert torch.equal(stat(clean, mask), stat(dirty, mask))
    expected, got = (torch.autograd.grad(stat(x, mask), x)[0] for x in (clean, dirty))
    assert torch.equal(got, expected)
    assert (got[~mask] == 0.0).all()


@given(batches(tensors=1, holes=True))
def test_stats_are_those_of_the_positions_that_count(batch):
    mask, x = batch
    chosen = x[mask]
    assert torch.allclose(masked_sum(x, mask), chosen.sum(), atol=1e-12)
    if len(chosen):
        assert torch.allclose(masked_mean(x, mask), chosen.mean(), atol=1e-12)
    if len(chosen) > 1:
        assert torch.allclose(masked_var(x, mask), chosen.var(), atol=1e-12)


@given(batches(tensors=1, holes=True))
def test_zero_one_masks_mean_the_same_as_boolean_ones(batch):
    mask, x = batch
    for stat in (masked_sum, masked_mean, masked_var):
        assert torch.equal(stat(x, mask), stat(x, mask.double()))
        assert torch.equal(stat(x, mask), stat(x, mask.long()))


@pytest.mark.parametrize("stat", [masked_sum, masked_mean, masked_var])
def test_stats_of_nothing_are_zero(stat):
    assert stat(torch.ones(2, 3), torch.zeros(2, 3)) == 0.0


def test_row_stats_keep_rows_apart():
    x, mask = torch.tensor([[1.0, 3.0, 9.0], [5.0, 9.0, 9.0]]), ragged(2, 1, width=3)
    assert masked_mean(x, mask, dim=-1).tolist() == [2.0, 5.0]
    assert masked_sum(x, mask, dim=0).tolist() == [6.0, 3.0, 0.0]


def test_last_index_finds_the_last_column_that_counts_also_behind_a_hole():
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
    assert last_index(mask).tolist() == [1, -1, 3, 2]
    assert last_index(mask.bool()).dtype is torch.long
    assert last_index(mask[:, :0]).tolist() == [-1] * 4
