"""The same texts and scores through every algorithm."""

import pytest
import torch

from rllab.maths.advantages import group_relative, leave_one_out, whiten
from rllab.maths.algorithms import ALGORITHMS
from rllab.maths.divergence import selected_logprobs
from rllab.maths.returns import gae, token_rewards
from rllab.trainer.frozen_batch import same_batch
from rllab.worlds import load_world


@pytest.fixture(scope="module")
def micro():
    return load_world("micro")


@pytest.fixture(scope="module")
def seen(micro):
    return same_batch(micro)


def test_each_gives_its_own_weights_to_the_same_tokens(micro, seen):
    rows, total = seen.rollout, seen.scores.total
    mask = rows.response_mask
    paid = token_rewards(total, rows.logprobs, rows.ref_logprobs, mask, kl_coef=micro.config("ppo").kl_coef)
    advantages, _ = gae(paid, rows.values, mask, gamma=1.0, lam=0.95)
    by_hand = {
        "ppo": whiten(advantages, mask),
        "a2c": whiten(advantages, mask),
        "rloo": torch.where(mask, leave_one_out(paid.sum(dim=1), rows.group)[:, None], 0.0),
        "grpo": torch.where(mask, group_relative(total, rows.group)[:, None], 0.0),
    }
    views = {view.algorithm: view for view in seen.views}
    assert set(views) == set(ALGORITHMS)
    for name, weights in by_hand.items():
        assert torch.allclose(views[name].policy_weights, weights, atol=1e-10), name


def test_the_gradient_is_that_of_the_weighted_log_probs(micro, seen):
    policy = micro.policy.copy()
    parameters = [parameter.requires_grad_() for parameter in policy.model.parameters()]
    for view in seen.views:
        logits = policy.logits(seen.rollout, temperature=1.0)
        loss = -(view.push * selected_logprobs(logits, seen.rollout.response_tokens)).sum()
        gradient = torch.cat([one.flatten() for one in torch.autograd.grad(loss, parameters)])
        assert torch.allclose(view.gradient, gradient, atol=1e-9), view.algorithm


def test_cosines_are_those_of_the_gradients(seen):
    assert torch.allclose(seen.cosines.diagonal(), torch.ones(len(seen.views), dtype=torch.float64))
    first, last = seen.views[0].gradient, seen.views[-1].gradient
    assert seen.cosines[0, -1] == pytest.approx(float(torch.cosine_similarity(first, last, dim=0)))


def test_the_step_was_taken_and_the_world_did_not_move(micro, seen):
    for view in seen.views:
        assert view.kl > 0
        up = (view.change * view.push).sum()
        assert up > 0, view.algorithm  # what is pushed up goes up
    again = same_batch(micro)
    assert torch.equal(again.cosines, seen.cosines)


def test_with_shared_settings_ppo_and_a2c_are_one_at_the_first_step(micro):
    seen = same_batch(micro, algorithms=("a2c", "ppo", "grpo"), own_settings=False)
    assert seen.cosines[0, 1] == pytest.approx(1.0, abs=1e-12)
    assert seen.cosines[0, 2] < 0.999
    named = {view.algorithm: view for view in seen.views}
    assert torch.allclose(named["a2c"].change, named["ppo"].change, atol=1e-12)


def test_reducers_show_in_the_push():
    world = load_world("micro-tabular")
    seen = same_batch(world.replace(defaults={**world.defaults, "grpo": {"reducer": "seq-mean-token-mean"}}))
    grpo = next(view for view in seen.views if view.algorithm == "grpo")
    lengths = seen.rollout.lengths[:, None]
    expected = torch.where(seen.rollout.response_mask, grpo.policy_weights / lengths / len(lengths), 0.0)
    assert torch.allclose(grpo.push, expected, atol=1e-15)
