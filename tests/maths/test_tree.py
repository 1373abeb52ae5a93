"""Expectations that are exact because every response is enumerated (see tree.py)."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.divergence import categorical_kl, kl_k1, kl_k2
from rllab.maths.losses import clipped_surrogate_loss, policy_gradient_loss, reduce
from rllab.maths.masking import masked_sum
from rllab.maths.returns import discounted_returns, gae, td_errors, token_rewards
from tests.maths.tree import Tree, grow, table

ENDED = grow(end=2, seed=0)
FULL = grow(end=None, seed=1)
both = pytest.mark.parametrize("tree", [ENDED, FULL], ids=["with-end-token", "27-leaves"])


def near(a, b, tolerance=1e-13):
    return torch.allclose(a, b, rtol=0.0, atol=tolerance)


def score_at_end(tree):
    nothing = torch.zeros_like(tree.mask, dtype=torch.float64)
    return token_rewards(tree.score, nothing, nothing, tree.mask, kl_coef=0.0)


def score_minus_kl(tree, policy, reference, *, kl_coef):
    logprobs, ref_logprobs = tree.logprobs(policy), tree.logprobs(reference)
    return token_rewards(tree.score, logprobs, ref_logprobs, tree.mask, kl_coef=kl_coef)


def to_go(tree, rewards):
    return discounted_returns(rewards, tree.mask, gamma=1.0)


def expected_gradient(tree, logits, advantages):
    """Minus the gradient of the policy-gradient loss, averaged exactly over what π would sample."""
    leaf = logits.clone().requires_grad_()
    terms = policy_gradient_loss(tree.logprobs(leaf), advantages, tree.mask)
    weighted = tree.probs(logits).unsqueeze(-1) * terms
    return -torch.autograd.grad(reduce(weighted, tree.mask, "constant", denominator=1.0), leaf)[0]


def test_leaves_are_all_responses():
    assert len(FULL.score) == 27
    assert len(ENDED.score) == 1 + 2 * 1 + 4 * 3
    for tree in (FULL, ENDED):
        assert tree.probs(table(tree, seed=3)).sum().item() == pytest.approx(1.0, abs=1e-14)


@both
def test_td_error_of_the_true_value_is_the_advantage_and_averages_to_zero_in_every_state(tree):
    logits = table(tree, seed=2)
    values, probs = tree.values(logits), tree.probs(logits)
    deltas = td_errors(score_at_end(tree), values, tree.mask, gamma=1.0)
    assert values[0, 0].item() == pytest.approx(tree.objective(logits).item(), abs=1e-14)
    for state in range(tree.count):
        visits = (tree.states == state) & tree.mask
        weights = (probs.unsqueeze(-1) * visits).flatten()
        assert abs((weights * deltas.flatten()).sum().item()) <= 1e-15


@both
def test_advantages_account_for_all_the_luck_and_its_variance(tree):
    logits = table(tree, seed=2)
    values, probs = tree.values(logits), tree.probs(logits)
    advantages, _ = gae(score_at_end(tree), values, tree.mask, gamma=1.0, lam=0.0)
    mean = tree.objective(logits)
    assert near(advantages.sum(-1), tree.score - mean)
    variance = (probs * (tree.score - mean).square()).sum()
    assert near((probs.unsqueeze(-1) * advantages.square()).sum(), variance)


@both
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_gae_with_the_true_value_gives_the_true_gradient(tree, lam):
    logits = table(tree, seed=2)
    advantages, _ = gae(score_at_end(tree), tree.values(logits), tree.mask, gamma=1.0, lam=lam)
    assert near(expected_gradient(tree, logits, advantages), tree.gradient(logits))


@both
def test_reinforce_is_unbiased_with_any_baseline(tree):
    logits = table(tree, seed=2)
    returns = to_go(tree, score_at_end(tree))
    baseline = table(tree, seed=9)[:, 0][tree.states]
    truth = tree.gradient(logits)
    assert near(expected_gradient(tree, logits, returns), truth)
    assert near(expected_gradient(tree, logits, returns - baseline), truth)


@both
def test_value_as_baseline_takes_out_the_variance_that_a_level_of_the_score_adds(tree):
    raised = replace(tree, score=tree.score + 2)
    for seed in range(6):
        logits = table(tree, seed=seed)
        plain, lifted = (to_go(each, score_at_end(each)) for each in (tree, raised))
        centred = gradient_variance(tree, logits, plain - tree.values(logits))
        assert gradient_variance(raised, logits, lifted - raised.values(logits)) == pytest.approx(centred)
        assert gradient_variance(raised, logits, lifted) > 1.5 * centred


def gradient_variance(tree, logits, advantages):
    """The exact variance of the one-sample gradient, summed over its components."""
    leaf = logits.clone().requires_grad_()
    rows = policy_gradient_loss(tree.logprobs(leaf), advantages, tree.mask).sum(-1)
    samples = torch.stack([torch.autograd.grad(row, leaf, retain_graph=True)[0] for row in rows])
    probs = tree.probs(logits).view(-1, 1, 1)
    return ((probs * samples.square()).sum(0) - (probs * samples).sum(0).square()).sum().item()


@both
def test_potential_shaping_leaves_the_gradient_alone(tree):
    logits = table(tree, seed=2)
    potential = torch.where(tree.mask, table(tree, seed=5)[:, 0][tree.states], 0.0)
    following = torch.nn.functional.pad(potential, (0, 1))[:, 1:]  # 0 after the end
    shaped = score_at_end(tree) + torch.where(tree.mask, following - potential, 0.0)
    assert near(expected_gradient(tree, logits, to_go(tree, shaped)), tree.gradient(logits))


@both
def test_kl_of_responses_is_the_sum_of_the_kl_of_tokens(tree):
    logits, reference = table(tree, seed=2), table(tree, seed=3)
    probs = tree.probs(logits)
    whole = (probs * (probs.log() - tree.probs(reference).log())).sum()
    exact = categorical_kl(logits, reference)[tree.states]
    sampled = kl_k1(tree.logprobs(logits), tree.logprobs(reference))
    for per_token in (exact, sampled):
        assert near((probs * masked_sum(per_token, tree.mask, dim=-1)).sum(), whole)


def kl_gradient(tree, logits, reference):
    leaf = logits.clone().requires_grad_()
    probs = tree.probs(leaf)
    return torch.autograd.grad((probs * (probs.log() - tree.probs(reference).log())).sum(), leaf)[0]


@both
def test_k1_in_the_reward_gives_the_gradient_of_score_minus_kl(tree):
    logits, reference, beta = table(tree, seed=2), table(tree, seed=3), 0.7
    rewards = score_minus_kl(tree, logits, reference, kl_coef=beta)
    got = expected_gradient(tree, logits, to_go(tree, rewards))
    assert near(got, tree.gradient(logits) - beta * kl_gradient(tree, logits, reference))


@both
def test_k2_of_the_whole_response_has_the_gradient_of_the_kl_and_k1_has_none(tree):
    logits, reference = table(tree, seed=2), table(tree, seed=3)
    gradients = []
    for estimator in (kl_k1, kl_k2):
        leaf = logits.clone().requires_grad_()
        log_pi = masked_sum(tree.logprobs(leaf), tree.mask, dim=-1)
        log_ref = masked_sum(tree.logprobs(reference), tree.mask, dim=-1)
        mean = (tree.probs(logits) * estimator(log_pi, log_ref)).sum()
        gradients.append(torch.autograd.grad(mean, leaf)[0])
    assert gradients[0].abs().max() <= 1e-14
    assert near(gradients[1], kl_gradient(tree, logits, reference))


def test_optimum_of_reward_minus_kl_and_the_gap_below_it():
    tree, beta = FULL, 0.5
    reference, logits = table(tree, seed=3), table(tree, seed=2)
    base, probs = tree.probs(reference), tree.probs(logits)
    weights = base * (tree.score / beta).exp()
    optimum, best = weights / weights.sum(), beta * weights.sum().log()
    regularised = (probs * (tree.score - beta * (probs.log() - base.log()))).sum()
    assert near(best - regularised, beta * (probs * (probs.log() - optimum.log())).sum())
    at_optimum = torch.zeros_like(reference)
    for state in range(tree.count):
        for action in range(3):
            chosen = ((tree.states == state) & (tree.tokens == action)).any(-1)
            at_optimum[state, action] = optimum[chosen].sum().log()
    assert near(tree.probs(at_optimum), optimum)
    rewards = score_minus_kl(tree, at_optimum, reference, kl_coef=beta)
    assert expected_gradient(tree, at_optimum, to_go(tree, rewards)).abs().max() <= 1e-10


def group_gradient(tree: Tree, logits, baseline, *, size):
    """The exact expected gradient when every prompt is answered `size` times: all tuples of leaves."""
    rows = torch.tensor(list(product(range(len(tree.score)), repeat=size))).flatten()
    group = torch.arange(len(rows)) // size
    advantages = baseline(tree.score[rows], group).unsqueeze(-1).expand(-1, tree.mask.shape[1])
    leaf = logits.clone().requires_grad_()
    terms = policy_gradient_loss(tree.logprobs(leaf)[rows], advantages, tree.mask[rows])
    terms = terms.sum(-1).view(-1, size)  # (tuples, G)
    probability = tree.probs(logits)[rows].view(-1, size).prod(-1)
    return -torch.autograd.grad((probability * terms.mean(-1)).sum(), leaf)[0]


def unscaled(scores, group):
    return group_relative(scores, group, scale=False)


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


@pytest.mark.parametrize(("tree", "size"), [(FULL, 2), (ENDED, 2), (ENDED, 3)])
def test_leave_one_out_is_unbiased_and_the_group_mean_only_shrinks(tree, size):
    logits = table(tree, seed=2)
    truth = tree.gradient(logits)
    assert near(group_gradient(tree, logits, leave_one_out, size=size), truth)
    assert near(group_gradient(tree, logits, unscaled, size=size), (size - 1) / size * truth)


@pytest.mark.parametrize(("tree", "size"), [(FULL, 2), (ENDED, 3)])
def test_dividing_by_the_deviation_turns_the_gradient(tree, size):
    logits = table(tree, seed=2)
    scaled = group_gradient(tree, logits, group_relative, size=size)
    assert 0.5 < cosine(scaled, tree.gradient(logits)) < 0.999


@both
def test_equal_scores_give_a_gradient_of_exactly_zero(tree):
    logits = table(tree, seed=2)
    level, group = torch.full_like(tree.score, 0.3), torch.zeros(len(tree.score), dtype=torch.long)
    for baseline in (group_relative, leave_one_out, unscaled):
        advantages = baseline(level, group).unsqueeze(-1).expand_as(tree.mask)
        assert (expected_gradient(tree, logits, advantages) == 0.0).all()


@both
def test_first_epoch_of_ppo_steps_where_reinforce_with_baseline_does(tree):
    logits = table(tree, seed=2)
    advantages, _ = gae(score_at_end(tree), tree.values(logits), tree.mask, gamma=1.0, lam=0.95)
    for mode in ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum"):
        leaf = logits.clone().requires_grad_()
        old = tree.logprobs(logits)
        ppo = clipped_surrogate_loss(tree.logprobs(leaf), old, advantages, tree.mask, clip_eps=0.2)
        plain = policy_gradient_loss(tree.logprobs(leaf), advantages, tree.mask)
        first, second = (torch.autograd.grad(reduce(x, tree.mask, mode), leaf)[0] for x in (ppo, plain))
        assert near(first, second, 1e-15)


def test_share_of_silent_groups_of_binary_rewards():
    p, size = 0.1, 8
    outcomes = torch.tensor(list(product([0.0, 1.0], repeat=size)), dtype=torch.float64)
    group = torch.arange(len(outcomes)).repeat_interleave(size)
    silent = (group_relative(outcomes.flatten(), group).view(-1, size) == 0.0).all(-1)
    probability = (p ** outcomes.sum(-1)) * ((1 - p) ** (size - outcomes.sum(-1)))
    assert (probability * silent).sum().item() == pytest.approx(p**size + (1 - p) ** size, abs=1e-14)
    assert math.isclose(p**size + (1 - p) ** size, 0.43, abs_tol=0.005)
