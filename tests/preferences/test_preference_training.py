"""Reward models from pairs: ln 2 before anything is learned, a taste that is found again, a zero and a unit."""

import math
import threading

import pytest
import torch

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.maths.losses import bradley_terry_loss
from rllab.policy.generation import generate
from rllab.policy.networks import state_scalars
from rllab.preferences.pairs import Pair, SimulatedJudge, tokenize_pairs
from rllab.preferences.reward_fit import FitConfig, fit_reward_model, scalar_model
from tests.small import PROMPTS, gpt2_policy, same_weights, small_world, state_of


@pytest.fixture(scope="module")
def world():
    return small_world(gpt2_policy(n_layer=1, initializer_range=0.2))


def labelled(world, count, *, noise=0.05, seed=0):
    """Let a simulated judge with a clear taste choose between sampled responses."""
    judge = SimulatedJudge("ada", world.reward, noise)
    prompts = [PROMPTS[number % len(PROMPTS)] for number in range(count)]
    first, second = (generate(world.policy, prompts, max_new_tokens=6, seed=seed + side) for side in (0, 1))
    wins = judge.choose(first, second, generator=torch.Generator().manual_seed(seed)).tolist()
    pairs = []
    for row, prompt in enumerate(prompts):
        texts = first.responses[row], second.responses[row]
        if texts[0].strip() and texts[1].strip() and texts[0] != texts[1]:
            pairs.append(Pair(prompt, *(texts if wins[row] else texts[::-1])))
    return pairs


@pytest.fixture(scope="module")
def pairs(world):
    return labelled(world, 400)


@pytest.mark.parametrize("name", ["small", "tabular"])
def test_every_pair_starts_at_the_loss_ln_2_exactly(name, world, tabular, pairs):
    used = tabular if name == "tabular" else world
    given = [Pair(prompt, "happy", "sad") for prompt in tabular.prompts] * 3 if name == "tabular" else pairs
    fit = fit_reward_model(used, given)
    first = fit.evaluate()
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-15)
    assert (first["margin"], first["accuracy"]) == (0.0, 0.0)
    assert fit.update()["loss"] == pytest.approx(math.log(2), abs=1e-15)


def test_the_taste_of_the_judge_is_found_again(world, pairs):
    fit = fit_reward_model(world, pairs, config=FitConfig(lr=1e-2, unit_responses=128))
    before = fit.evaluate()
    fit.run(8 * fit.updates_per_epoch)
    after = fit.evaluate()
    assert after["loss"] < 0.8 * before["loss"]
    assert after["accuracy"] > 0.75
    assert [record.index for record in fit.history] == list(range(1, len(fit.history) + 1))
    rows = generate(world.policy, PROMPTS, max_new_tokens=6, samples_per_prompt=60, seed=99)
    both = torch.stack([fit.reward.score(rows).total, world.reward.score(rows).total])
    assert torch.corrcoef(both)[0, 1] > 0.6


def test_zero_and_unit_are_those_of_the_references_responses(world, pairs):
    fit = fit_reward_model(world, pairs, config=FitConfig(lr=3e-3, unit_responses=200))
    fit.run(3)
    rows = generate(world.reference, PROMPTS, max_new_tokens=6, samples_per_prompt=400, seed=7)
    scores = fit.reward.score(rows).total
    assert abs(float(scores.mean())) <= 5 / 200**0.5
    assert abs(float(scores.std()) - 1) <= 0.25


def test_a_constant_added_to_all_scores_changes_nothing(world, pairs):
    model = scalar_model(world)
    batch = tokenize_pairs(world.policy, pairs)
    with torch.no_grad():
        model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        scores = [
            state_scalars(model, rows).gather(1, rows.lengths[:, None])[:, 0] for rows in (batch.chosen, batch.rejected)
        ]
    plain = bradley_terry_loss(*scores)
    shifted = bradley_terry_loss(*(score + 1000.0 for score in scores))
    assert torch.allclose(plain, shifted, atol=1e-10)


def test_the_same_seed_is_the_same_fit_and_the_world_does_not_notice(world, pairs, untouched_chance):
    policy, critic = state_of(world.policy.model), state_of(world.critic.model)
    fits = [fit_reward_model(world, pairs, seed=seed) for seed in (1, 1, 2)]
    for fit in fits:
        fit.run(2)
    first, again, other = (state_of(fit.reward.model) for fit in fits)
    assert same_weights(first, again)
    assert not same_weights(first, other)
    assert same_weights(policy, state_of(world.policy.model))
    assert same_weights(critic, state_of(world.critic.model))


def test_a_reward_that_was_taken_does_not_move_with_the_fit(world, pairs):
    fit = fit_reward_model(world, pairs)
    fit.update()
    taken = fit.reward
    rows = generate(world.policy, PROMPTS, max_new_tokens=6, samples_per_prompt=4, seed=0)
    before = taken.score(rows).total
    fit.run(3)
    assert torch.equal(taken.score(rows).total, before)
    assert not torch.allclose(fit.reward.score(rows).total, before)


def test_pairs_that_are_held_out_are_never_learned_from(world, pairs):
    fit = fit_reward_model(world, pairs)
    assert len(fit.held_out) == round(0.1 * len(pairs))
    assert len(fit.held_out) + len(fit.pairs) == len(pairs)


def test_stop_ends_the_fit_and_an_update_that_is_stopped_changes_nothing(world, pairs):
    fit, stop = fit_reward_model(world, pairs), threading.Event()
    fit.update()
    before = state_of(fit.reward.model)
    stop.set()
    fit.run(5, job=Job(stop))
    assert len(fit.history) == 1
    assert same_weights(before, state_of(fit.reward.model))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"lr": math.nan}, "lr"),
        ({"lr": 0.0}, "lr"),
        ({"lr": "fast"}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"held_out": 1.0}, "held_out"),
        ({"held_out": -0.1}, "held_out"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"unit_responses": -1}, "unit_responses"),
        ({"trainable": "tail"}, "trainable"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, field):
    with pytest.raises(LabError) as caught:
        FitConfig(**changes)
    assert caught.value.field == field


def test_too_few_pairs_are_refused(world, pairs):
    for given in ([], pairs[:1], [Pair("c", "a", "a")] * 5):
        with pytest.raises(LabError, match="pairs"):
            fit_reward_model(world, given)
