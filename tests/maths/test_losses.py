import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rllab.core.errors import LabError
from rllab.maths.losses import (
    REDUCERS,
    bradley_terry_loss,
    clipped_surrogate_loss,
    clipped_value_loss,
    count,
    course_clipped_loss,
    dpo_loss,
    policy_gradient_loss,
    reduce,
)
from tests.maths.batches import POISONS, batches, normal, poisoned, ragged

EPS = 0.2
MASK = ragged(4, 2, 0, 1, width=4)
PPO = {"clip_eps": EPS}
# loss -> how many (B, T) tensors it takes, and its settings; the first tensor is what is trained
POSITION_LOSSES = {
    policy_gradient_loss: (2, {}),
    clipped_surrogate_loss: (3, PPO),
    course_clipped_loss: (3, PPO),
    clipped_value_loss: (3, PPO),
}
PAIR_LOSSES = {bradley_terry_loss: (2, {}), dpo_loss: (4, {"beta": 0.3})}
every_loss = pytest.mark.parametrize(("loss", "taken"), POSITION_LOSSES.items())


def near(a, b, tolerance=1e-12):
    return torch.allclose(a, b, rtol=0.0, atol=tolerance)


def gradient(loss, x):
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


def at_ratio(ratio, advantage, *, loss, **settings):
    """Loss and its gradient with respect to the log-prob, at one token."""
    one = torch.ones(1, 1, dtype=torch.float64)
    old = torch.tensor([[-1.3]], dtype=torch.float64)
    new = (old + math.log(ratio)).requires_grad_()
    value = loss(new, old, advantage * one, one, **settings)
    return value.item(), torch.autograd.grad(value.sum(), new)[0].item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "ppo_pushes", "course_pushes"),
    [
        (0.5, 2.0, True, True),
        (1.0, 2.0, True, True),
        (1.5, 2.0, False, False),
        (0.5, -2.0, False, True),
        (1.0, -2.0, True, True),
        (1.5, -2.0, True, False),
    ],
)
def test_corners_of_the_clip_and_of_the_course_form(ratio, advantage, ppo_pushes, course_pushes):
    free = -ratio * advantage
    for loss, pushes in ((clipped_surrogate_loss, ppo_pushes), (course_clipped_loss, course_pushes)):
        value, grad = at_ratio(ratio, advantage, loss=loss, clip_eps=EPS)
        bound = (1 + EPS if ratio > 1 else 1 - EPS) * advantage
        assert value == pytest.approx(free if pushes else -bound, abs=1e-12)
        assert grad == pytest.approx(free, abs=1e-12) if pushes else grad == 0.0


def test_upper_bound_of_its_own():
    assert at_ratio(1.25, 1.0, loss=clipped_surrogate_loss, clip_eps=EPS, clip_eps_high=0.28)[1] != 0.0
    assert at_ratio(1.30, 1.0, loss=clipped_surrogate_loss, clip_eps=EPS, clip_eps_high=0.28)[1] == 0.0
    assert at_ratio(1.30, -1.0, loss=course_clipped_loss, clip_eps=EPS, clip_eps_high=0.28)[1] == 0.0
    assert at_ratio(0.75, -1.0, loss=clipped_surrogate_loss, clip_eps=EPS, clip_eps_high=0.28)[1] == 0.0


@given(batches(tensors=3, holes=True))
def test_clipping_is_pessimistic_and_agrees_with_the_course_form_for_good_tokens(batch):
    mask, logprobs, old_logprobs, advantages = batch
    ppo = clipped_surrogate_loss(logprobs, old_logprobs, advantages, mask, clip_eps=EPS)
    free = torch.where(mask, -(logprobs - old_logprobs).exp() * advantages, 0.0)
    assert (ppo >= free - 1e-15).all()
    course = course_clipped_loss(logprobs, old_logprobs, advantages, mask, clip_eps=EPS)
    good = mask & (advantages > 0)
    assert near(ppo[good], course[good])
    ratio = (logprobs - old_logprobs).exp()
    written_out = torch.minimum(ratio, ratio.clamp(1 - EPS, 1 + EPS))
    assert near(course, torch.where(mask, -written_out * advantages, 0.0))


@given(batches(tensors=2, holes=True))
def test_at_ratio_one_all_policy_losses_share_their_gradient(batch):
    mask, logprobs, advantages = batch
    plain = gradient(lambda x: policy_gradient_loss(x, advantages, mask), logprobs)
    for loss in (clipped_surrogate_loss, course_clipped_loss):
        old = logprobs.clone()
        clipped = gradient(lambda x, f=loss, old=old: f(x, old, advantages, mask, clip_eps=EPS), logprobs)
        assert near(clipped, plain)
    assert near(plain, torch.where(mask, -advantages, 0.0))


@given(batches(tensors=1, holes=True))
def test_supervised_loss_is_reinforce_with_advantage_one(batch):
    mask, logprobs = batch
    loss = reduce(policy_gradient_loss(logprobs, torch.ones_like(logprobs), mask), mask, "token-mean")
    assert near(loss, -logprobs[mask].mean() if mask.any() else torch.zeros((), dtype=torch.float64))


def value_loss(value, *, old=0.0, target=1.0, clip_eps=EPS):
    one = torch.ones(1, 1, dtype=torch.float64)
    leaf = torch.full((1, 1), value, dtype=torch.float64, requires_grad=True)
    loss = clipped_value_loss(leaf, old * one, target * one, one, clip_eps=clip_eps)
    return loss.item(), torch.autograd.grad(loss.sum(), leaf)[0].item()


def test_value_loss_stops_beyond_the_clip_and_comes_back_from_a_move_the_wrong_way():
    assert value_loss(0.1) == pytest.approx((0.405, -0.9))
    assert value_loss(0.5) == pytest.approx((0.32, 0.0))  # moved enough: no push left
    assert value_loss(-0.5) == pytest.approx((1.125, -1.5))  # away from the target: pushed back in full
    assert value_loss(0.5, clip_eps=math.inf) == pytest.approx((0.125, -0.5))


def test_preference_losses_at_known_points():
    zero, two = torch.zeros(1, dtype=torch.float64), torch.full((1,), 2.0, dtype=torch.float64)
    assert bradley_terry_loss(zero, zero).item() == pytest.approx(math.log(2), abs=1e-15)
    assert bradley_terry_loss(two, zero).item() == pytest.approx(math.log1p(math.exp(-2)), abs=1e-15)
    assert torch.isfinite(bradley_terry_loss(-1000 * two, zero)).all()
    assert dpo_loss(-two, zero, -two, zero, beta=0.1).item() == pytest.approx(math.log(2), abs=1e-15)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(-30, 30))
def test_bradley_terry_is_a_probability_that_no_shift_can_move(chosen, rejected, shift):
    a, b = torch.tensor([chosen], dtype=torch.float64), torch.tensor([rejected], dtype=torch.float64)
    one_way, other_way = (-bradley_terry_loss(a, b)).exp(), (-bradley_terry_loss(b, a)).exp()
    assert near(one_way + other_way, torch.ones_like(a))
    assert near(bradley_terry_loss(a + shift, b + shift), bradley_terry_loss(a, b), 1e-10)


@given(st.integers(0, 2**31), st.floats(0.01, 2.0))
def test_dpo_at_the_reference_and_with_the_pair_swapped(seed, beta):
    chosen, rejected, ref_chosen, ref_rejected = normal(4, 5, seed=seed)
    at_reference = gradient(lambda x: dpo_loss(x, rejected, chosen, rejected, beta=beta), chosen)
    assert near(at_reference, torch.full_like(chosen, -beta / 2))
    assert near(gradient(lambda x: dpo_loss(chosen, x, chosen, rejected, beta=beta), rejected), -at_reference)
    margin = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    loss = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=beta)
    swapped = dpo_loss(rejected, chosen, ref_rejected, ref_chosen, beta=beta)
    assert near(loss - swapped, -margin)
    assert near(dpo_loss(chosen + 3, rejected + 3, ref_chosen, ref_rejected, beta=beta), loss)


def test_dpo_on_exact_preferences_finds_the_optimum_of_reward_minus_kl():
    beta, count_of_answers = 0.5, 6
    reward, reference = normal(count_of_answers, seed=0), normal(count_of_answers, seed=1).log_softmax(-1)
    optimum = (reference + reward / beta).softmax(-1)
    first, second = torch.combinations(torch.arange(count_of_answers), 2).T
    prefers = torch.sigmoid(reward[first] - reward[second])
    logits = reference.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        logps = logits.log_softmax(-1)
        pairs = (logps[first], logps[second], reference[first], reference[second])
        swapped = (pairs[1], pairs[0], pairs[3], pairs[2])
        loss = (prefers * dpo_loss(*pairs, beta=beta) + (1 - prefers) * dpo_loss(*swapped, beta=beta)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert (logits.softmax(-1) - optimum).abs().sum() / 2 <= 1e-3
    assert (reference.exp() - optimum).abs().sum() / 2 > 0.1


@every_loss
def test_losses_are_unreduced_and_zero_where_the_mask_is_off(loss, taken):
    tensors = normal(taken[0], 4, 4, seed=0)
    result = loss(*tensors, MASK, **taken[1])
    assert result.shape == MASK.shape
    assert (result[~MASK] == 0.0).all()
    assert (result[MASK] != 0.0).all()
    assert torch.equal(result, loss(*tensors, MASK.double(), **taken[1]))


@every_loss
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum"])
def test_poison_in_padding_leaves_loss_and_gradient_bit_identical(loss, taken, poison, mode):
    def run(tensors):
        leaves = [x.clone().requires_grad_() for x in tensors]
        value = reduce(loss(*leaves, MASK, **taken[1]), MASK, mode)
        return value, torch.autograd.grad(value, leaves[0])[0]

    clean = list(normal(taken[0], 4, 4, seed=0))
    value, grad = run(clean)
    dirty_value, dirty_grad = run([poisoned(x, MASK, poison) for x in clean])
    assert torch.equal(value, dirty_value)
    assert torch.equal(grad, dirty_grad)
    assert (grad[~MASK] == 0.0).all()
    assert (grad[MASK] != 0.0).any()


@every_loss
def test_gradients_are_those_of_finite_differences(loss, taken):
    trained, *data = normal(taken[0], 4, 4, seed=5)
    assert torch.autograd.gradcheck(lambda x: loss(x, *data, MASK, **taken[1]), trained.requires_grad_())


@pytest.mark.parametrize(("loss", "taken"), PAIR_LOSSES.items())
def test_gradients_of_pair_losses_are_those_of_finite_differences(loss, taken):
    trained = normal(2, 5, seed=5).requires_grad_()
    data = normal(taken[0], 5, seed=6)[2:]
    assert torch.autograd.gradcheck(lambda x: loss(x[0], x[1], *data, **taken[1]), trained)
    assert loss(*trained, *data, **taken[1]).shape == (5,)


@every_loss
def test_only_the_trained_tensor_gets_a_gradient(loss, taken):
    tensors = [x.clone().requires_grad_() for x in normal(taken[0], 4, 4, seed=0)]
    grads = torch.autograd.grad(loss(*tensors, MASK, **taken[1]).sum(), tensors, allow_unused=True)
    assert [g is None for g in grads] == [False] + [True] * (taken[0] - 1)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_keep_their_dtype(loss, taken, dtype):
    tensors = normal(taken[0], 4, 4, seed=0, dtype=dtype)
    assert reduce(loss(*tensors, MASK, **taken[1]), MASK, "token-mean").dtype is dtype


@every_loss
def test_a_row_of_advantages_is_not_spread_over_columns(loss, taken):
    tensors = normal(taken[0], 4, 4, seed=0)
    with pytest.raises(LabError, match=r"shape of .* is \(4,\)"):
        loss(*tensors[:-1], tensors[-1][0], MASK, **taken[1])


def test_reducers_by_hand():
    x = torch.tensor([[1.0, 2.0, 9.0], [6.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
    mask = ragged(2, 1, 0, width=3)
    by_hand = {"token-mean": (3.0, 3), "seq-mean-token-mean": (3.75, 2), "seq-mean-token-sum": (4.5, 2)}
    for mode, (value, counted) in by_hand.items():
        assert reduce(x, mask, mode) == value
        assert count(mask, mode) == counted
    assert reduce(x, mask, "constant", denominator=4) == 2.25
    assert set(REDUCERS) == {*by_hand, "constant"}


@pytest.mark.parametrize("mode", REDUCERS)
@pytest.mark.parametrize("slices", [1, 2, 4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slices_of_a_batch_add_up_to_its_loss_and_gradient(mode, slices, dtype):
    mask = ragged(2, 30, 5, 30, 1, 0, 7, 12, width=30)
    x = normal(8, 30, seed=0, dtype=dtype)
    whole = count(mask, mode) if mode != "constant" else 8 * 30
    direct = reduce(x, mask, mode, denominator=8 * 30 if mode == "constant" else None)
    grad = gradient(lambda y: reduce(y.square(), mask, mode, denominator=whole), x)
    pieces = [(x[i::slices], mask[i::slices], i) for i in range(slices)]
    total = sum(reduce(y, m, mode, denominator=whole) for y, m, _ in pieces)
    assert torch.allclose(total, direct, rtol=1e-5 if dtype is torch.float32 else 1e-12)
    for y, m, i in pieces:
        part = gradient(lambda z, m=m: reduce(z.square(), m, mode, denominator=whole), y)
        assert torch.allclose(part, grad[i::slices], rtol=1e-6)


def test_averages_of_averages_are_something_else():
    mask, x = ragged(2, 30, 5, 30, width=30), normal(4, 30, seed=0).abs()
    of_slices = sum(reduce(x[i : i + 1], mask[i : i + 1], "token-mean") for i in range(4)) / 4
    assert (of_slices - reduce(x, mask, "token-mean")).abs() > 0.01


@given(batches(tensors=1), st.integers(0, 5))
@pytest.mark.parametrize("mode", REDUCERS)
def test_padding_and_order_of_rows_do_not_matter(mode, batch, more):
    mask, x = batch
    setting = 7.0 if mode == "constant" else None
    expected = reduce(x, mask, mode, denominator=setting)
    wide = torch.nn.functional.pad(x, (0, more), value=5.0), torch.nn.functional.pad(mask, (0, more))
    assert near(reduce(*wide, mode, denominator=setting), expected)
    assert near(reduce(x.flip(0), mask.flip(0), mode, denominator=setting), expected)


@pytest.mark.parametrize("mode", REDUCERS)
def test_nothing_to_reduce_gives_zero_and_no_nan(mode):
    x = torch.full((2, 3), torch.nan, requires_grad=True)
    loss = reduce(x, torch.zeros(2, 3), mode, denominator=3 if mode == "constant" else None)
    assert loss == 0.0
    assert (torch.autograd.grad(loss, x)[0] == 0.0).all()


def test_reducer_asks_for_what_it_needs_in_a_sentence():
    x, mask = torch.zeros(2, 3), torch.ones(2, 3)
    with pytest.raises(LabError, match="reducer is 'mean': choose one of token-mean, "):
        reduce(x, mask, "mean")
    with pytest.raises(LabError, match="reducer is 'mean'"):
        count(mask, "mean")
    with pytest.raises(LabError, match="denominator is None: give the constant"):
        reduce(x, mask, "constant")
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(LabError, match=r"denominator is .* above 0"):
            reduce(x, mask, "token-mean", denominator=wrong)
