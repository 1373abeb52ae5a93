"""The stepper: a line that can be gone back along and branched, and whose numbers are those of the batch path."""

import math
import threading

import pytest
import torch

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds.stepper import SHOWN, Stepper
from tests.fakes import fake_policy
from tests.small import (
    WORDS,
    gpt2_policy,
    gpt2_scalar,
    reference_apart,
    same_weights,
    small_world,
    state_of,
    text_reward,
)
from tests.worlds.stepper_contract import check_line, check_stepper


@pytest.fixture(scope="module")
def world():
    return reference_apart(small_world(gpt2_policy(initializer_range=0.2)))


SETTINGS = [{}, {"temperature": 0.6}, {"temperature": 1.7}, {"top_k": 3}, {"top_p": 0.7}, {"top_k": 5, "top_p": 0.9}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_stepper_keeps_the_contract(world, settings, seed):
    check_stepper(lambda: Stepper(world, seed=seed, **settings))


@pytest.mark.parametrize("name", ["micro", "tabular"])
def test_a_stepper_keeps_the_contract_in_the_worlds_of_the_lab(name, request):
    world = request.getfixturevalue(name)
    check_stepper(lambda: Stepper(world, seed=2))


def test_a_stepper_keeps_the_contract_in_single_precision_and_without_a_reference_of_its_own():
    check_stepper(lambda: Stepper(small_world(gpt2_policy(dtype=torch.float32)), seed=3))


def test_a_large_vocabulary_shows_the_likeliest_and_the_mass_of_all_others():
    policy = gpt2_policy(*(f"w{number}" for number in range(599)), ".")
    like = text_reward(policy, lambda prompt, response, *, ended: {"one": 1.0}, one=1.0)
    big = small_world(policy, prompts=("w1 w2",), reward=like)
    stepper = Stepper(big, top_k=100)
    check_line(stepper)
    state = stepper.state
    assert len(state.candidate_ids) == SHOWN
    assert state.other_prob > 0
    assert 0 < state.other_sampling_prob < state.other_prob
    stepper.step(int(policy.vocabulary) - 1)
    check_line(stepper)


def test_a_forced_token_is_marked_and_its_logprob_is_right_however_unlikely():
    table = torch.zeros(4, 4, dtype=torch.float64)
    table[:, 0] = 2000.0
    policy = fake_policy("a", "b", "c", after=table)
    stepper = Stepper(
        small_world(gpt2_policy()).replace(policy=policy, reference=policy, critic=ZeroCritic(), prompts=("a",))
    )
    step = stepper.step(1)
    assert not step.sampled
    assert step.logprob == pytest.approx(-2000.0)
    assert math.isfinite(step.ref_logprob)


def test_forcing_a_token_takes_no_noise_from_the_next_ones(world):
    free, forced = Stepper(world, seed=4), Stepper(world, seed=4)
    first = free.step().token_id
    forced.step(first)
    assert [step.token_id for step in free.finish()] == [step.token_id for step in forced.finish()]


def test_filters_shape_the_draw_and_not_the_policy(world):
    plain, narrow = Stepper(world).state, Stepper(world, top_k=2).state
    assert torch.equal(plain.probs, narrow.probs)
    assert plain.entropy == narrow.entropy
    assert int((narrow.sampling_probs > 0).sum()) == 2
    drawn = set()
    for seed in range(40):
        drawn.add(Stepper(world, seed=seed, top_k=2).step().token_id)
    assert drawn == set(narrow.candidate_ids[:2])


def test_a_past_state_shows_the_settings_that_its_token_was_drawn_with(world):
    stepper = Stepper(world, top_k=2)
    stepper.step()
    before = stepper.state_at(0)
    stepper.set_sampling(temperature=1.0, top_k=4)
    assert torch.equal(stepper.state_at(0).sampling_probs, before.sampling_probs)
    assert int((stepper.state.sampling_probs > 0).sum()) == 4


def test_a_line_of_mixed_temperatures_is_no_rollout(world):
    stepper = Stepper(world)
    stepper.step()
    stepper.set_sampling(temperature=0.5)
    stepper.step(0)
    with pytest.raises(LabError, match=r"temperature is '0\.5, 1'.*mixes"):
        stepper.rollout()
    stepper.back()
    stepper.back()
    stepper.step(0)
    assert stepper.rollout().temperature == 0.5


def test_nothing_written_is_no_rollout(world):
    with pytest.raises(LabError, match="no token has been written"):
        Stepper(world).rollout()


def test_a_line_knows_that_the_policy_has_learned_and_does_not_mix_two_policies(world):
    trainer = Trainer(world)
    stepper = Stepper(trainer.world, seed=1)
    stepper.step()
    seen, version = stepper.state, stepper.version
    assert not stepper.stale
    trainer.update()
    assert stepper.stale
    assert (stepper.version, trainer.world.policy.version) == (version, version + trainer.config.epochs)
    with pytest.raises(LabError, match="has learned since this line was begun"):
        stepper.step()
    with pytest.raises(LabError, match="has learned since this line was begun"):
        stepper.branch(0, 1)
    after = stepper.state
    assert (after.value, after.entropy) == (seen.value, seen.entropy)  # both of the policy and critic of then
    assert torch.equal(after.probs, seen.probs)
    stepper.reset(stepper.prompt)
    assert not stepper.stale
    stepper.step()


def test_a_rewind_and_another_update_do_not_make_a_line_look_fresh(world):
    trainer = Trainer(world)
    trainer.update()
    stepper = Stepper(trainer.world)
    trainer.rewind(0)
    trainer.configure(lr=0.05)
    trainer.update()
    assert stepper.version == trainer.world.policy.version
    assert stepper.stale


def test_an_abandoned_update_leaves_a_line_fresh(world):
    trainer = Trainer(world)
    stepper = Stepper(trainer.world)
    loop = trainer.phases()
    for _ in range(5):
        next(loop)
    assert stepper.stale
    loop.close()
    assert not stepper.stale
    stepper.step()


@pytest.mark.parametrize(
    "act",
    [
        lambda stepper: stepper.step(8),
        lambda stepper: stepper.step(-1),
        lambda stepper: stepper.step(1.0),
        lambda stepper: stepper.state_at(3),
        lambda stepper: stepper.state_at(-1),
        lambda stepper: stepper.branch(3, 0),
        lambda stepper: stepper.branch(0, 99),
        lambda stepper: stepper.reset(""),
        lambda stepper: stepper.reset("a zebra"),
        lambda stepper: stepper.set_sampling(temperature=0.0),
        lambda stepper: stepper.set_sampling(top_k=-1),
        lambda stepper: stepper.set_sampling(top_k=2.5),
        lambda stepper: stepper.set_sampling(top_p=0.0),
        lambda stepper: stepper.set_sampling(top_p=1.1),
        lambda stepper: stepper.set_sampling(temperature=0.5, top_p=math.nan),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_line_stays(world, act):
    stepper = Stepper(world, seed=6)
    stepper.step()
    stepper.step()
    before = stepper.prompt, list(stepper.steps), stepper.temperature, stepper.top_k, stepper.top_p
    with pytest.raises(LabError):
        act(stepper)
    assert (stepper.prompt, stepper.steps, stepper.temperature, stepper.top_k, stepper.top_p) == before
    check_line(stepper)
    expected = Stepper(world, seed=6)
    expected.finish()
    stepper.finish()
    assert stepper.prefix_ids == expected.prefix_ids


def test_a_line_ends_at_the_worlds_limit_or_where_the_context_ends():
    after = torch.zeros(8, 8, dtype=torch.float64)
    after[:, 7] = -1e9  # never the end
    endless = fake_policy(*WORDS, after=after)
    world = small_world().replace(policy=endless, reference=endless)
    stepper = Stepper(world)
    assert len(stepper.finish()) == world.max_new_tokens
    assert stepper.done
    tight = small_world(gpt2_policy(n_positions=5), max_new_tokens=50)
    stepper = Stepper(tight)  # a prompt of two tokens leaves room for three
    for _ in range(3):
        assert not stepper.done
        stepper.step(0)
    assert stepper.done
    with pytest.raises(LabError, match="the limit of 3 tokens is reached"):
        stepper.step(0)


def test_finish_can_be_stopped(world):
    stop = threading.Event()
    stop.set()
    stepper = Stepper(world)
    assert stepper.finish(Job(stop)) == []
    assert not stepper.done


def test_a_stepper_has_no_other_chance_and_changes_no_weights(world, untouched_chance):
    policy, critic = state_of(world.policy.model), state_of(world.critic.model)
    stepper = Stepper(world, seed=1)
    stepper.finish()
    stepper.rollout()
    assert same_weights(policy, state_of(world.policy.model))
    assert same_weights(critic, state_of(world.critic.model))


def test_values_are_those_of_the_critic_at_every_state(world):
    critic = Critic(gpt2_scalar(world.policy, seed=8))
    stepper = Stepper(world.replace(critic=critic), seed=2)
    stepper.finish()
    with torch.no_grad():
        values = critic.state_values(stepper.sequences())[0]
    found = [stepper.state_at(t).value for t in range(len(stepper.steps) + 1)]
    assert torch.allclose(values, torch.tensor(found, dtype=values.dtype), atol=1e-10)
