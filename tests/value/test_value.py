"""The critic: V = 0 before training, a separate trunk, values that survive a save."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from rllab.core.records import Sequences
from rllab.policy.generation import generate
from rllab.preferences.reward_fit import scalar_model
from rllab.value.critic import Critic, ZeroCritic
from rllab.value.evaluation import evaluate
from tests.small import gpt2_policy, gpt2_scalar, random_rows, same_weights, small_world, state_of


@pytest.fixture(scope="module")
def policy():
    return gpt2_policy()


@pytest.fixture(scope="module")
def rows(policy) -> Sequences:
    return random_rows(policy, rows=9)


def test_a_critic_for_a_policy_knows_nothing_and_thinks_like_it(policy, rows):
    critic = Critic.for_policy(policy.model, gpt2_scalar(policy))
    assert (critic.state_values(rows) == 0.0).all()
    trunk = critic.model.base_model.state_dict()
    assert same_weights(trunk, policy.model.base_model.state_dict())


@pytest.mark.parametrize("name", ["transformer", "table"])
def test_a_new_one_label_network_starts_at_zero_in_every_world(name, policy, tabular):
    world = small_world(policy) if name == "transformer" else tabular
    model = scalar_model(world)
    rows = generate(world.policy, world.prompts, max_new_tokens=5, seed=0)
    assert (Critic(model).state_values(rows) == 0.0).all()


def test_training_the_critic_does_not_move_the_policy(policy, rows):
    before = state_of(policy.model)
    critic = Critic.for_policy(policy.model, gpt2_scalar(policy))
    (critic.state_values(rows) - 1).square().mean().backward()
    torch.optim.SGD(list(critic.parameters()), lr=0.1).step()
    assert (critic.state_values(rows) != 0.0).any()
    assert same_weights(before, state_of(policy.model))


def test_a_copy_goes_its_own_way(policy, rows):
    critic = Critic(gpt2_scalar(policy))
    before, twin = critic.state_values(rows), critic.copy()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    assert torch.equal(critic.state_values(rows), before)
    assert not torch.allclose(twin.state_values(rows), before)


def test_values_are_bit_equal_after_saving_and_loading(policy, rows, tmp_path):
    critic = Critic(gpt2_scalar(policy))
    critic.model.save_pretrained(tmp_path)
    again = Critic(AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float64))
    assert torch.equal(critic.state_values(rows), again.state_values(rows))


def test_values_do_not_depend_on_the_text_that_follows(policy):
    critic, rows = Critic(gpt2_scalar(policy)), random_rows(policy, rows=9)
    values = critic.state_values(rows)
    tokens = rows.tokens.clone()
    tokens[:, -1] = (tokens[:, -1] + 1) % 7
    changed = critic.state_values(type(rows)(**{**vars(rows), "tokens": tokens}))
    assert torch.equal(values[:, :-1], changed[:, :-1])
    assert not torch.equal(values[:, -1], changed[:, -1])


def test_no_critic_is_zero_everywhere_and_has_nothing_to_learn(policy, rows):
    critic = ZeroCritic()
    rollout = evaluate(policy, rows, critic=critic)
    assert critic.state_values(rows).shape == (9, rows.response_mask.shape[1] + 1)
    assert (rollout.values == 0.0).all()
    assert (rollout.bootstrap == 0.0).all()
    assert rollout.values.dtype == policy.dtype
    assert list(critic.copy().parameters()) == []
