"""Rewards made of rewards: every row adds up, shaping changes no policy, and a sum keeps the names of its parts."""

import dataclasses
import math

import pytest
import torch

from rllab.core.errors import LabError
from rllab.maths.returns import discounted_returns
from rllab.policy.generation import sequences_from_ids
from rllab.reward.judges import answer_in, exact_answer, matches
from rllab.reward.reward import RewardModel
from rllab.reward.shaping import Redistributed, Shaped, WeightedSum, attention_shares, even_shares, potential_shaping
from rllab.truth import exact
from rllab.value.critic import Critic
from tests.fakes import fake_policy
from tests.small import gpt2_policy, gpt2_scalar, random_rows, text_reward, unpadded, with_pads

TIMINGS = ("end", "sentence", "token")


@pytest.fixture(scope="module")
def policy():
    return gpt2_policy()


@pytest.fixture(scope="module")
def rewards(policy):
    model = gpt2_scalar(policy)
    learned, judged = RewardModel("rm", model, 0.3, 1.7), text_reward(policy)
    return {
        "sum": WeightedSum("sum", [(2.0, learned), (-0.5, judged)]),
        "shaped": Shaped("shaped", judged, Critic(gpt2_scalar(policy, seed=3)).state_values),
        "shaped, discounted": Shaped("shaped", learned, Critic(gpt2_scalar(policy, seed=3)).state_values, gamma=0.9),
        "even": Redistributed("even", judged, even_shares),
        "attention": Redistributed("attention", learned, attention_shares(model)),
        "nobody": Redistributed("nobody", judged, lambda rows: torch.zeros(rows.response_mask.shape)),
    }


KINDS = ("sum", "shaped", "shaped, discounted", "even", "attention", "nobody")


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_adds_up_to_its_total_whenever_it_is_paid(kind, timing, rewards, policy):
    rows = random_rows(policy, rows=40)
    scores = rewards[kind].score(rows, timing=timing)
    assert torch.allclose(scores.per_token.sum(dim=1), scores.total, atol=1e-9)
    assert torch.allclose(sum(scores.parts.values()), scores.total, atol=1e-9)
    assert (scores.per_token[~rows.response_mask] == 0).all()
    last = rewards[kind].prefix_scores(rows).gather(1, rows.lengths[:, None] - 1)[:, 0]
    assert torch.allclose(last, scores.total.to(last.dtype), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_does_not_depend_on_batch_or_padding(kind, rewards, policy):
    rows = with_pads(random_rows(policy, rows=20, prompt=7), seed=0, vocabulary=policy.vocabulary)
    together = rewards[kind].score(rows, timing="token").per_token
    for row in range(len(rows)):
        single = rewards[kind].score(unpadded(policy, rows, [row]), timing="token").per_token[0]
        assert (together[row, : len(single)] - single).abs().max() <= 1e-5


def test_a_sum_keeps_the_names_of_its_parts(rewards, policy):
    rows = random_rows(policy, rows=8)
    scores = rewards["sum"].score(rows)
    assert scores.parts.keys() == {"rm", "taste, words", "taste, ending"}
    with pytest.raises(LabError, match="at least one reward"):
        WeightedSum("nothing", [])


def test_shaping_by_hand():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
    potentials = torch.tensor([[1.0, 2.0, 4.0, 9.0], [3.0, 5.0, math.nan, math.inf]])  # the last ones never count
    assert potential_shaping(potentials, mask, gamma=1.0).tolist() == [[1, 2, -4], [2, -5, 0]]
    assert potential_shaping(potentials, mask, gamma=0.5).tolist() == [[0, 0, -4], [-0.5, -5, 0]]


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_return_shifts_by_minus_the_first_potential_and_nothing_else(gamma, policy):
    rows, critic = random_rows(policy, rows=30), Critic(gpt2_scalar(policy, seed=3))
    plain = text_reward(policy)
    shaped = Shaped("shaped", plain, critic.state_values, gamma=gamma)
    before, after = (
        discounted_returns(one.score(rows, timing="token").per_token, rows.response_mask, gamma=gamma)
        for one in (plain, shaped)
    )
    with torch.no_grad():
        potentials = critic.state_values(rows)[:, :-1]
    shift = torch.where(rows.response_mask, -potentials, 0.0)
    assert (after - before - shift).abs().max() <= 1e-10


def test_shaping_leaves_the_exact_gradient_and_a_potential_that_stays_at_the_end_does_not(tabular):
    prompt = tabular.prompts[0]
    critic = Critic(tabular.critic.copy().model)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    objective = dataclasses.replace(tabular.objective, reward=tabular.gold)
    shaped = Shaped("shaped", tabular.gold, critic.state_values, objective.gamma)
    stays = WeightedSum("stays", [(1.0, tabular.gold), (1.0, RewardModel("potential", critic.model))])
    plain, same, other = (
        exact(tabular, prompt, objective=dataclasses.replace(objective, reward=reward))
        for reward in (tabular.gold, shaped, stays)
    )
    assert (plain.gradient() - same.gradient()).abs().max() <= 1e-10
    root = critic.state_values(plain.leaves)[0, 0].detach()
    assert abs(same.J - (plain.J - float(root))) <= 1e-10
    assert (plain.gradient() - other.gradient()).abs().max() > 1e-2


def test_what_looks_ahead_has_no_exact_value_and_says_so(tabular):
    reward = Redistributed("even", tabular.gold, even_shares)
    objective = dataclasses.replace(tabular.objective, reward=reward, timing="token")
    with pytest.raises(LabError, match="what is written after it"):
        exact(tabular, tabular.prompts[0], objective=objective)


def test_even_shares_pay_every_token_alike_and_attention_pays_where_the_model_looks(rewards, policy):
    rows = random_rows(policy, rows=12)
    even = rewards["even"].score(rows, timing="token")
    for row, length in enumerate(rows.lengths.tolist()):
        assert torch.allclose(even.per_token[row, :length], even.total[row] / length)
    looks = rewards["attention"].shares(rows)
    assert (looks[rows.response_mask] > 0).all()
    assert looks.sum(dim=1).max() <= 1 + 1e-9
    assert looks[rows.lengths > 2].std(dim=1).max() > 1e-3


def finished(policy, texts, prompt="a"):
    return sequences_from_ids(policy, [prompt] * len(texts), [policy.encode_response(text) for text in texts])


def test_a_pattern_pays_for_finished_responses_that_match_it():
    policy = fake_policy("yes", "no", "maybe")
    reward = matches(policy.decode, r"^(yes|no)$")
    rows = finished(policy, ["yes", "no", "maybe", "yes no"], prompt="yes")
    assert reward.score(rows).total.tolist() == [1, 1, 0, 0]
    cut = sequences_from_ids(policy, ["yes"], [[0]])
    assert reward.score(cut).total.tolist() == [0]
    assert reward.score(rows, timing="token").per_token[0].tolist() == [0, 1, 0]
    with pytest.raises(LabError, match="not a regular expression"):
        matches(policy.decode, "(yes")


@pytest.mark.parametrize(
    ("text", "like", "answer"),
    [
        ("The answer is 1,234.50 .", "7", "1234.5"),
        ("3 and then -4", "7", "-4"),
        ("no number", "7", ""),
        ("thinking\nParis.", "paris", "paris"),
        ("", "paris", ""),
        ("123456789", "123456780", "123456789"),
    ],
)
def test_the_answer_of_a_text_is_read_off_its_end(text, like, answer):
    assert answer_in(text, like=like) == answer


def test_an_exact_answer_pays_for_being_right_and_a_little_for_being_one():
    policy = fake_policy("4", "5", "who")
    reward = exact_answer(policy.decode, {"who": "4"})
    rows = finished(policy, ["4", "5", "who", "5 4"], prompt="who")
    assert reward.score(rows).total.tolist() == pytest.approx([1.1, 0.1, 0.0, 1.1])
    with pytest.raises(LabError, match="there is no answer for it"):
        reward.score(finished(policy, ["4"], prompt="5"))
    with pytest.raises(LabError, match="right answer for each prompt"):
        exact_answer(policy.decode, {})
