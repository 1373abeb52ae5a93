import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rllab.core.errors import LabError
from rllab.maths.masking import last_index
from rllab.maths.returns import apply_kl_penalty, discounted_returns, gae, td_errors, token_rewards
from tests.maths.batches import POISONS, batches, normal, poisoned, ragged

fractions = st.sampled_from([0.0, 0.5, 0.9, 1.0])


def near(a, b, tolerance=1e-12):
    return torch.allclose(a, b, rtol=0.0, atol=tolerance)


def as_runs(mask, *tensors):
    """The columns of each row that count, row by row, as lists of plain numbers."""
    return [[x[row][mask[row]].tolist() for x in tensors] for row in range(len(mask))]


def double_sum(rewards, values, end, gamma, lam):
    """GAE as its definition reads: the sum over l of (γλ)^l δ_{t+l}."""
    following = [*values, end][1:]
    delta = [r + gamma * after - v for r, v, after in zip(rewards, values, following, strict=True)]
    return [sum((gamma * lam) ** k * d for k, d in enumerate(delta[t:])) for t in range(len(delta))]


@given(batches(tensors=3, holes=True), fractions, fractions)
def test_gae_is_the_double_sum_over_the_columns_that_count(batch, gamma, lam):
    mask, rewards, values, spare = batch
    bootstrap = spare[:, 0]
    advantages, _ = gae(rewards, values, mask, gamma=gamma, lam=lam, bootstrap=bootstrap)
    for row, (r, v) in enumerate(as_runs(mask, rewards, values)):
        slow = torch.tensor(double_sum(r, v, float(bootstrap[row]), gamma, lam), dtype=torch.float64)
        assert near(advantages[row][mask[row]], slow)
    assert (advantages[~mask] == 0.0).all()


@given(batches(holes=True), fractions)
def test_returns_are_the_discounted_sum_of_what_is_to_come(batch, gamma):
    mask, rewards, _ = batch
    returns = discounted_returns(rewards, mask, gamma=gamma)
    for row, (r,) in enumerate(as_runs(mask, rewards)):
        slow = [sum(gamma**k * x for k, x in enumerate(r[t:])) for t in range(len(r))]
        assert near(returns[row][mask[row]], torch.tensor(slow, dtype=torch.float64))
    assert (returns[~mask] == 0.0).all()


@given(batches(), fractions)
def test_lambda_one_is_the_return_minus_the_value_and_zero_the_td_error(batch, gamma):
    mask, rewards, values = batch
    far, _ = gae(rewards, values, mask, gamma=gamma, lam=1.0)
    one_step, _ = gae(rewards, values, mask, gamma=gamma, lam=0.0)
    assert near(far, torch.where(mask, discounted_returns(rewards, mask, gamma=gamma) - values, 0.0))
    assert near(one_step, td_errors(rewards, values, mask, gamma=gamma))


@given(batches(tensors=3), fractions, fractions)
def test_advantage_plus_value_is_the_lambda_return(batch, gamma, lam):
    mask, rewards, values, spare = batch
    bootstrap = spare[:, -1]
    _, returns = gae(rewards, values, mask, gamma=gamma, lam=lam, bootstrap=bootstrap)
    for row, (r, v) in enumerate(as_runs(mask, rewards, values)):
        following, target = float(bootstrap[row]), float(bootstrap[row])
        for t in reversed(range(len(r))):
            target = r[t] + gamma * ((1 - lam) * following + lam * target)
            following = v[t]
            assert returns[row, t].item() == pytest.approx(target, abs=1e-12)
    assert (returns[~mask] == 0.0).all()


@given(batches(tensors=4), fractions, fractions, st.floats(-3, 3))
def test_gae_is_linear_in_rewards_and_values(batch, gamma, lam, factor):
    mask, r1, v1, r2, v2 = batch
    both, _ = gae(r1 + factor * r2, v1 + factor * v2, mask, gamma=gamma, lam=lam)
    first, _ = gae(r1, v1, mask, gamma=gamma, lam=lam)
    second, _ = gae(r2, v2, mask, gamma=gamma, lam=lam)
    assert near(both, first + factor * second)


@given(batches(), fractions, st.floats(-3, 3))
def test_raising_all_values_changes_nothing_where_cut_and_the_end_where_terminated(batch, lam, shift):
    mask, rewards, values = batch
    zeros = torch.zeros(len(mask), dtype=torch.float64)
    cut, _ = gae(rewards, values, mask, gamma=1.0, lam=lam, bootstrap=zeros)
    cut_raised, _ = gae(rewards, values + shift, mask, gamma=1.0, lam=lam, bootstrap=zeros + shift)
    assert near(cut, cut_raised)
    ended, _ = gae(rewards, values, mask, gamma=1.0, lam=lam)
    ended_raised, _ = gae(rewards, values + shift, mask, gamma=1.0, lam=lam)
    to_go = last_index(mask).unsqueeze(-1) - torch.arange(mask.shape[1])
    change = torch.where(mask, -shift * lam ** to_go.clamp(min=0).double(), 0.0)
    assert near(ended_raised - ended, change)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), fractions, fractions)
def test_rows_of_one_batch_do_not_leak_into_each_other(lengths, gamma, lam):
    mask = ragged(*lengths, width=4)
    rewards, values = normal(len(lengths), 4, seed=1), normal(len(lengths), 4, seed=2)
    together, _ = gae(rewards, values, mask, gamma=gamma, lam=lam)
    for row, length in enumerate(lengths):
        own = (x[row : row + 1, :length] for x in (rewards, values, mask))
        alone, _ = gae(*own, gamma=gamma, lam=lam)
        assert torch.equal(together[row, :length], alone[0])


@given(batches())
def test_with_one_reward_at_the_end_every_advantage_is_score_minus_value(batch):
    mask, values, spare = batch
    scores, zeros = spare[:, 0], torch.zeros_like(values)
    rewards = token_rewards(scores, zeros, zeros, mask, kl_coef=0.0)
    advantages, _ = gae(rewards, values, mask, gamma=1.0, lam=1.0)
    assert near(advantages, torch.where(mask, scores.unsqueeze(-1) - values, 0.0))


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_cut_and_ended_rows_differ_by_exactly_the_discounted_bootstrap(lam):
    mask, gamma = ragged(3, 3, width=4), 0.9
    rewards, values = normal(1, 4, seed=0).repeat(2, 1), normal(1, 4, seed=1).repeat(2, 1)
    advantages, returns = gae(rewards, values, mask, gamma=gamma, lam=lam, bootstrap=torch.tensor([0.0, 2.0]))
    decay = (gamma * lam) ** torch.tensor([2.0, 1.0, 0.0]).double()
    assert near(advantages[1, :3] - advantages[0, :3], decay * gamma * 2.0)
    assert near(returns[1, :3] - returns[0, :3], decay * gamma * 2.0)
    ended, _ = gae(rewards, values, mask, gamma=gamma, lam=lam)
    assert torch.equal(ended[0], advantages[0])


def test_bootstrapping_finds_the_value_of_an_endless_reward_and_terminating_does_not():
    gamma, value, short = 0.9, torch.zeros(1), torch.zeros(1)
    rewards, mask = torch.ones(1, 5), torch.ones(1, 5)
    for _ in range(40):
        _, long_run = gae(rewards, value.expand(1, 5), mask, gamma=gamma, lam=0.95, bootstrap=value)
        _, this_run = gae(rewards, short.expand(1, 5), mask, gamma=gamma, lam=0.95)
        value, short = long_run.mean(-1), this_run.mean(-1)
    assert value.item() == pytest.approx(1 / (1 - gamma), rel=0.01)
    assert abs(short.item() - 1 / (1 - gamma)) > 1


def test_reward_lies_on_the_last_action_for_every_length():
    mask = ragged(0, 1, 2, 3, 4, width=4)
    scores, zeros = torch.tensor([9.0, 1.0, 2.0, 3.0, 4.0]), torch.zeros(5, 4)
    rewards = token_rewards(scores, zeros, zeros, mask, kl_coef=0.0)
    assert rewards.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]


@given(batches(tensors=3))
def test_kl_is_charged_on_every_action_and_rows_add_up(batch):
    mask, logprobs, ref_logprobs, per_token = batch
    rewards = token_rewards(per_token, logprobs, ref_logprobs, mask, kl_coef=0.3)
    assert near(rewards[mask], (per_token - 0.3 * (logprobs - ref_logprobs))[mask])
    assert (rewards[~mask] == 0.0).all()
    assert torch.equal(apply_kl_penalty(per_token, logprobs - ref_logprobs, mask, kl_coef=0.3), rewards)
    totals = token_rewards(per_token[:, 0], logprobs, ref_logprobs, mask, kl_coef=0.3).sum(-1)
    kl = torch.where(mask, logprobs - ref_logprobs, 0.0).sum(-1)
    assert near(totals, torch.where(mask.any(-1), per_token[:, 0], 0.0) - 0.3 * kl)


@pytest.mark.parametrize("poison", POISONS)
def test_what_padding_holds_never_matters(poison):
    mask = ragged(4, 2, 0, 1, width=4)
    clean = [normal(4, 4, seed=seed) for seed in range(3)]
    dirty = [poisoned(x, mask, poison) for x in clean]
    for use in (
        lambda x, y, z: token_rewards(z, x, y, mask, kl_coef=0.1),
        lambda x, y, z: token_rewards(z[:, 0].nan_to_num(0, 0, 0), x, y, mask, kl_coef=0.1)[:2],
        lambda x, y, _: td_errors(x, y, mask, gamma=0.9),
        lambda x, _y, _z: discounted_returns(x, mask, gamma=0.9),
        lambda x, y, _: torch.stack(gae(x, y, mask, gamma=0.9, lam=0.8)),
    ):
        assert torch.equal(use(*clean), use(*dirty))


@given(batches(tensors=3), fractions)
def test_more_padding_changes_nothing(batch, lam):
    mask, rewards, values, spare = batch
    pad = torch.nn.functional.pad
    wider = pad(rewards, (0, 3), value=7.0), pad(values, (0, 3), value=7.0), pad(mask, (0, 3))
    settings = {"gamma": 0.9, "lam": lam, "bootstrap": spare[:, 0]}
    for narrow, wide in zip(gae(rewards, values, mask, **settings), gae(*wider, **settings), strict=True):
        assert torch.equal(pad(narrow, (0, 3)), wide)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_keep_their_dtype(dtype):
    mask, x = ragged(2, 3, width=3), normal(2, 3, seed=0, dtype=dtype)
    assert token_rewards(x[:, 0], x, x, mask, kl_coef=0.1).dtype is dtype
    assert all(y.dtype is dtype for y in gae(x, x, mask, gamma=0.9, lam=0.9, bootstrap=x[:, 0]))


def test_wrong_shapes_get_a_sentence_instead_of_a_broadcast():
    x, mask = torch.zeros(3, 3), torch.ones(3, 3)
    with pytest.raises(LabError, match=r"shape of scores is \(4,\).*\(3,\).*\(3, 3\)"):
        token_rewards(torch.zeros(4), x, x, mask, kl_coef=0.1)
    with pytest.raises(LabError, match=r"shape of bootstrap is \(3, 1\).*\(3,\)"):
        gae(x, x, mask, gamma=1.0, lam=1.0, bootstrap=torch.zeros(3, 1))
    with pytest.raises(LabError, match="shape of values"):
        td_errors(x, torch.zeros(3), mask, gamma=1.0)
