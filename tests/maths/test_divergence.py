import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, kl_divergence

from rllab.maths.divergence import categorical_kl, entropy, kl_k1, kl_k2, kl_k3, selected_logprobs
from tests.maths.batches import normal

seeds = st.integers(0, 2**31 - 1)
ESTIMATORS = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}


def half_forbidden(*shape, seed, dtype=torch.float64):
    logits = normal(*shape, seed=seed, dtype=dtype)
    logits[..., ::2] = -torch.inf
    return logits


def expected(estimator, logits, ref_logits):
    """The exact mean of an estimator over the actions of π, the probabilities held fixed."""
    logprobs, ref_logprobs = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (logprobs.exp().detach() * ESTIMATORS[estimator](logprobs, ref_logprobs)).sum()


def gradient(function, logits):
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf)[0]


@given(seeds)
def test_torch_distributions_agree(seed):
    logits, ref_logits = normal(2, 5, 7, seed=seed), normal(2, 5, 7, seed=seed + 1)
    policy, reference = Categorical(logits=logits), Categorical(logits=ref_logits)
    tokens = policy.sample()
    assert torch.allclose(selected_logprobs(logits, tokens), policy.log_prob(tokens), atol=1e-12)
    assert torch.allclose(entropy(logits), policy.entropy(), atol=1e-12)
    assert torch.allclose(categorical_kl(logits, ref_logits), kl_divergence(policy, reference), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forbidden_tokens_leave_value_and_gradient_finite(dtype):
    logits = half_forbidden(4, 6, seed=0, dtype=dtype)
    allowed = logits[..., 1::2].clone()
    ref_logits = half_forbidden(4, 6, seed=1, dtype=dtype)
    assert torch.allclose(entropy(logits), Categorical(logits=allowed).entropy(), atol=1e-6)
    assert torch.allclose(categorical_kl(logits, ref_logits), categorical_kl(allowed, ref_logits[..., 1::2]), atol=1e-6)
    for function in (entropy, lambda x: categorical_kl(x, ref_logits)):
        grad = gradient(lambda x, function=function: function(x).sum(), logits)
        assert torch.isfinite(grad).all()
        assert (grad[..., ::2] == 0.0).all()
        assert (grad[..., 1::2] != 0.0).any()


def test_entropy_stays_within_zero_and_log_v():
    assert entropy(torch.zeros(8, dtype=torch.float64)) == pytest.approx(math.log(8), abs=1e-15)
    certain = torch.tensor([0.0, -torch.inf, -torch.inf])
    assert entropy(certain) == 0.0


def test_kl_is_infinite_where_only_the_policy_can_choose():
    assert categorical_kl(torch.zeros(2), torch.tensor([0.0, -torch.inf])) == torch.inf


@given(seeds, st.sampled_from([-1e4, -10.0, 10.0, 1e4]))
def test_a_shift_of_all_logits_changes_nothing(seed, shift):
    logits, ref_logits = normal(3, 7, seed=seed), normal(3, 7, seed=seed + 1)
    tokens = torch.tensor([0, 3, 6])
    for function in (
        lambda x: selected_logprobs(x, tokens),
        entropy,
        lambda x: categorical_kl(x, ref_logits),
        lambda x: categorical_kl(ref_logits, x),
    ):
        assert torch.allclose(function(logits + shift), function(logits), rtol=0.0, atol=1e-10)
    assert (categorical_kl(logits + shift, logits).abs() <= 1e-10).all()


def test_logprobs_of_all_tokens_make_one():
    logits = normal(2, 3, 5, seed=0)
    total = sum(selected_logprobs(logits, torch.full((2, 3), a)).exp() for a in range(5))
    assert torch.allclose(total, torch.ones(2, 3, dtype=torch.float64), atol=1e-14)


@given(seeds, st.sampled_from([-10.0, 10.0]))
def test_a_shift_changes_single_precision_only_by_rounding(seed, shift):
    logits = normal(3, 7, seed=seed, dtype=torch.float32)
    tokens = torch.tensor([0, 3, 6])
    difference = selected_logprobs(logits + shift, tokens) - selected_logprobs(logits, tokens)
    assert difference.abs().max() <= 1e-5


@given(seeds)
def test_exact_kl_is_never_negative_nor_is_k3_of_any_sample(seed):
    logits, ref_logits = 3 * normal(20, 6, seed=seed), 3 * normal(20, 6, seed=seed + 1)
    assert (categorical_kl(logits, ref_logits) >= -1e-15).all()
    k3 = kl_k3(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    assert (k3 >= 0).all()


@given(st.floats(-1e-6, 1e-6))
def test_k3_does_not_go_below_zero_by_rounding(difference):
    logprob = torch.tensor(difference, dtype=torch.float64)
    assert kl_k3(logprob, torch.zeros_like(logprob)) >= -1e-22


@given(seeds)
def test_k1_and_k3_have_the_kl_as_their_mean_and_k2_has_not(seed):
    logits, ref_logits = normal(6, seed=seed), normal(6, seed=seed + 1)
    exact = categorical_kl(logits, ref_logits)
    assert torch.allclose(expected("k1", logits, ref_logits), exact, atol=1e-13)
    assert torch.allclose(expected("k3", logits, ref_logits), exact, atol=1e-13)
    assert (expected("k2", logits, ref_logits) - exact).abs() > 1e-9


def test_first_argument_is_the_policy_that_sampled():
    policy = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log()
    reference = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    assert categorical_kl(policy, reference) == pytest.approx(0.498, abs=5e-4)
    assert expected("k1", policy, reference) == pytest.approx(0.498, abs=5e-4)
    assert expected("k3", policy, reference) == pytest.approx(0.498, abs=5e-4)
    swapped = (policy.exp() * kl_k1(reference, policy)).sum()
    assert swapped == pytest.approx(-0.498, abs=5e-4)


@given(seeds)
def test_as_losses_the_estimators_follow_three_different_gradients(seed):
    logits, ref_logits = normal(6, seed=seed), normal(6, seed=seed + 1)
    towards = gradient(lambda x: categorical_kl(x, ref_logits), logits)
    other_way = gradient(lambda x: categorical_kl(ref_logits, x), logits)
    as_loss = {k: gradient(lambda x, k=k: expected(k, x, ref_logits), logits) for k in ESTIMATORS}
    assert as_loss["k1"].abs().max() <= 1e-14
    assert torch.allclose(as_loss["k2"], towards, atol=1e-13)
    assert torch.allclose(as_loss["k3"], other_way, atol=1e-13)
    assert (as_loss["k3"] - towards).abs().max() > 1e-6


@given(seeds)
def test_k1_in_the_reward_follows_the_gradient_of_the_kl(seed):
    logits, ref_logits = normal(6, seed=seed), normal(6, seed=seed + 1)

    def score_function(x):
        logprobs = x.log_softmax(-1)
        penalty = kl_k1(logprobs, ref_logits.log_softmax(-1)).detach()
        return (logprobs.exp().detach() * penalty * logprobs).sum()

    towards = gradient(lambda x: categorical_kl(x, ref_logits), logits)
    assert torch.allclose(gradient(score_function, logits), towards, atol=1e-13)


def test_mean_of_k1_over_samples_lies_within_four_standard_errors():
    logits, ref_logits = normal(6, seed=3), normal(6, seed=4)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.multinomial(logits.softmax(-1), 100_000, replacement=True, generator=generator)
    samples = kl_k1(logits.log_softmax(-1)[tokens], ref_logits.log_softmax(-1)[tokens])
    error = samples.mean() - categorical_kl(logits, ref_logits)
    assert error.abs() <= 4 * samples.std() / math.sqrt(len(tokens))
    assert (samples < 0).any()
