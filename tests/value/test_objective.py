"""The objective: what a value is the value of, in numbers and in words."""

import dataclasses

import pytest
import torch

from rllab.core.config import Config
from rllab.policy.generation import sequences_from_ids
from rllab.value.objective import Objective
from tests.fakes import fake_policy
from tests.small import random_rows, small_world, text_reward


@pytest.fixture(scope="module")
def world():
    return small_world()


def objective(world, **changes):
    return Objective.of(Config(**changes), reward=world.reward, reference=world.reference)


def test_it_takes_what_it_needs_from_the_settings(world):
    settings = {
        "kl_coef": 0.3,
        "gamma": 0.9,
        "timing": "token",
        "temperature": 0.7,
        "prefix_pay": "level",
        "missing_eos_penalty": 0.5,
    }
    made = objective(world, **settings)
    assert {name: getattr(made, name) for name in settings} == settings
    assert objective(world, kl_coef=0.3, kl_in="loss").kl_coef == 0.0  # then no value holds any KL


def test_a_missing_end_costs_its_penalty_at_the_last_token_and_is_named(world):
    rows = random_rows(world.policy, rows=30)
    plain, charged = objective(world).score(rows), objective(world, missing_eos_penalty=2.0).score(rows)
    missing = ~rows.ended
    assert 0 < missing.sum() < 30
    assert torch.allclose(plain.total - charged.total, torch.where(missing, 2.0, 0.0).double(), atol=1e-12)
    assert torch.equal(charged.parts["missing end"], torch.where(missing, -2.0, 0.0).double())
    difference = plain.per_token - charged.per_token
    for row, length in enumerate(rows.lengths.tolist()):
        assert difference[row].nonzero().tolist() == ([[length - 1]] if missing[row] else [])
    assert torch.allclose(charged.per_token.sum(dim=1), charged.total, atol=1e-12)


@pytest.mark.parametrize("timing", ["token", "sentence", "end"])
def test_level_pays_by_the_number_of_payments_and_its_total_says_so(timing):
    policy = fake_policy("a", ".")
    reward = text_reward(policy, lambda prompt, response, *, ended: {"one": 1.0}, one=1.0)
    rows = sequences_from_ids(policy, ["a"], [[0, 1, 0, policy.eos_id]])
    settings = Config(timing=timing, prefix_pay="level")
    scores = Objective.of(settings, reward=reward, reference=policy).score(rows)
    assert scores.total.tolist() == [{"token": 4.0, "sentence": 2.0, "end": 1.0}[timing]]
    assert torch.equal(scores.per_token.sum(dim=1), scores.total)
    increments = dataclasses.replace(settings, prefix_pay="increment")
    assert Objective.of(increments, reward=reward, reference=policy).score(rows).total.tolist() == [1.0]


def test_the_words_name_everything_that_is_not_as_usual(world):
    assert objective(world, kl_coef=0.0).describe() == "expected score of “taste”, paid at the end"
    words = objective(
        world, kl_coef=0.05, gamma=0.9, timing="sentence", temperature=1.5, missing_eos_penalty=1.0, prefix_pay="level"
    ).describe()
    for part in ("each sentence end", "level", "0.05 × KL", "0.9 per token", "minus 1 where", "temperature 1.5"):
        assert part in words
