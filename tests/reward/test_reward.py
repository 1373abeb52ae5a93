"""Rewards: parts that add up, increments that add up, and one sentence for whatever a function does wrong."""

import itertools
import math

import pytest
import torch

from rllab.core.errors import LabError
from rllab.policy.generation import sequences_from_ids
from rllab.reward.reward import RewardModel, per_token_scores, reward_positions
from tests.fakes import fake_policy
from tests.small import gpt2_policy, gpt2_scalar, random_rows, row_ids, text_reward, unpadded, with_pads, written

TIMINGS = ("token", "sentence", "end")


@pytest.fixture(scope="module")
def policy():
    return gpt2_policy()


@pytest.fixture(scope="module", params=["text", "model"])
def reward(request, policy):
    return text_reward(policy) if request.param == "text" else RewardModel("rm", gpt2_scalar(policy), 0.3, 1.7)


@pytest.mark.parametrize("timing", TIMINGS)
def test_increments_add_up_to_the_total_whenever_they_are_paid(reward, policy, timing):
    rows = random_rows(policy, rows=60)
    scores = reward.score(rows, timing=timing)
    assert torch.allclose(scores.per_token.sum(dim=1), scores.total, atol=1e-9)
    assert torch.allclose(sum(scores.parts.values()), scores.total, atol=1e-9)
    assert (scores.per_token[~rows.response_mask] == 0).all()
    last = reward.prefix_scores(rows).gather(1, rows.lengths[:, None] - 1)[:, 0]
    assert torch.allclose(last.to(scores.total.dtype), scores.total, atol=1e-9)


def test_at_the_end_nothing_is_paid_before_the_last_token(policy):
    reward = text_reward(policy, lambda prompt, response, *, ended: {"one": 1.0}, one=2.5)
    ids = [[0] * (length - 1) + [policy.eos_id] for length in range(1, 7)] + [[0] * 6]
    rows = sequences_from_ids(policy, ["a"] * 7, ids)
    scores = reward.score(rows, timing="end")
    for row, length in enumerate(rows.lengths.tolist()):
        assert scores.per_token[row].nonzero().tolist() == [[length - 1]]
        assert scores.per_token[row, length - 1] == 2.5


def test_sentences_are_paid_at_the_end_of_each_sentence_and_at_the_end():
    policy = fake_policy("a", ".")
    end = policy.eos_id
    rows = sequences_from_ids(policy, ["a"] * 3, [[0, 1, 0, 0, 1, end], [0, 0], [1, 1, 0]])
    places = reward_positions(rows, timing="sentence")
    assert places.int().tolist() == [[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]


def test_level_pays_the_whole_score_again_at_each_place():
    policy = fake_policy("a", ".")
    rows = sequences_from_ids(policy, ["a"] * 2, [[0, 1, 0, 1], [0, 0]])
    prefix_scores = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 0.0]])
    made = {
        timing: per_token_scores(prefix_scores, rows, timing=timing, prefix_pay="level").tolist() for timing in TIMINGS
    }
    assert made == {
        "token": [[1, 2, 3, 4], [5, 6, 0, 0]],
        "sentence": [[0, 2, 0, 4], [0, 6, 0, 0]],
        "end": [[0, 0, 0, 4], [0, 6, 0, 0]],
    }
    increments = per_token_scores(prefix_scores, rows, timing="sentence")
    assert increments.tolist() == [[0, 2, 0, 2], [0, 6, 0, 0]]


def test_a_score_does_not_depend_on_batch_or_padding(reward, policy):
    rows = with_pads(random_rows(policy, rows=40, prompt=7), seed=0, vocabulary=policy.vocabulary)
    together = reward.score(rows)
    for row in range(len(rows)):
        single = reward.score(unpadded(policy, rows, [row])).total[0]
        assert abs(float(together.total[row] - single)) <= 1e-5


def test_a_text_reward_judges_what_was_written_so_far_and_whether_it_has_ended(policy):
    seen = []

    def judge(prompt, response, *, ended):
        seen.append((prompt, response, ended))
        return {"one": 1.0}

    rows = sequences_from_ids(policy, ["b c", "a"], [[0, 1, policy.eos_id], [2, 2]])
    reward = text_reward(policy, judge, one=1.0)
    reward.score(rows)
    assert seen == [("b c", "a b", True), ("a", "c c", False)]
    seen.clear()
    reward.prefix_scores(rows)
    assert seen == [
        ("b c", "a", False),
        ("b c", "a b", False),
        ("b c", "a b", True),
        ("a", "c", False),
        ("a", "c c", False),
    ]


def test_a_reward_model_reads_the_token_and_not_the_one_after(policy):
    reward = RewardModel("rm", gpt2_scalar(policy))
    rows = random_rows(policy, rows=20)
    scores = reward.prefix_scores(rows)
    for row in range(len(rows)):
        prompt, response = row_ids(rows, row)
        for t in range(len(response)):
            with torch.no_grad():
                hidden = reward.model.base_model(torch.tensor([prompt + response[: t + 1]])).last_hidden_state[0, -1]
                assert abs(float(reward.model.score(hidden) - scores[row, t])) <= 1e-10


def test_beginnings_that_rows_share_are_read_once_and_alike(policy, monkeypatch):
    reward = RewardModel("rm", gpt2_scalar(policy))
    leaves = [list(leaf) for leaf in itertools.product(range(8), repeat=3)]
    prompts = ["a", "b b a c"] * len(leaves)
    rows = sequences_from_ids(policy, prompts, [leaf for leaf in leaves for _ in range(2)])
    plain = reward.prefix_scores(rows)
    monkeypatch.setattr("rllab.policy.networks.MANY", 2)
    assert torch.allclose(reward.prefix_scores(rows), plain, atol=1e-10)
    some = random_rows(policy, rows=30)
    assert torch.allclose(reward.prefix_scores(some), RewardModel("rm", reward.model).prefix_scores(some), atol=1e-10)


def test_zero_and_unit_shift_and_scale(policy):
    model, rows = gpt2_scalar(policy), random_rows(policy, rows=5)
    raw, scaled = RewardModel("rm", model), RewardModel("rm", model, shift=2.0, scale=4.0)
    assert torch.allclose(scaled.score(rows).total, (raw.score(rows).total - 2.0) / 4.0, atol=1e-12)


def test_a_reward_model_gives_no_gradient_and_no_chance(policy, untouched_chance):
    reward, rows = RewardModel("rm", gpt2_scalar(policy).train()), written(policy)
    first, second = reward.score(rows).total, reward.score(rows).total
    assert torch.equal(first, second)
    assert not first.requires_grad


def raises(prompt, response, *, ended):
    raise ZeroDivisionError("no words")


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (raises, r"raised ZeroDivisionError \(no words\)"),
        (lambda prompt, response, *, ended: {"one": math.nan}, "part one is nan"),
        (lambda prompt, response, *, ended: {"one": -math.inf}, "part one is -inf"),
        (lambda prompt, response, *, ended: {"one": None}, "TypeError"),
        (lambda prompt, response, *, ended: {"other": 1.0}, "KeyError"),
    ],
)
def test_what_a_reward_function_does_wrong_is_said_with_the_text_it_did_it_on(judge, words, policy):
    rows = sequences_from_ids(policy, ["a"], [[1, 2, policy.eos_id]])
    with pytest.raises(LabError, match=words) as caught:
        text_reward(policy, judge, name="mine", one=1.0).score(rows)
    assert caught.value.field == "reward"
    assert caught.value.value == "mine"
    assert "'b c'" in str(caught.value)
