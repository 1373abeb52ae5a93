"""Choosing samples: the best of n is the best, and the pairs that are shown are new and telling."""

import threading

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.files import data_dir
from rllab.core.jobs import Job
from rllab.preferences.pairs import Pair, load_pairs
from rllab.preferences.selection import PER_PROMPT, best_of_n, label_pairs, most_informative, propose
from rllab.reward.reward import RewardModel
from rllab.truth import exact
from tests.small import gpt2_policy, gpt2_scalar, small_world


def test_the_best_of_n_is_the_best_of_its_own_prompt(micro):
    found = best_of_n(micro, micro.prompts, 6, seed=0)
    assert found.best.prompts == micro.prompts
    scores = micro.reward.score(found.sequences).total.reshape(3, 6)
    assert torch.equal(micro.reward.score(found.best).total, scores.max(dim=1).values)
    by_gold = best_of_n(micro, micro.prompts, 6, reward=micro.gold, seed=0)
    assert by_gold.sequences.responses == found.sequences.responses
    assert torch.equal(by_gold.scores, micro.gold.score(found.sequences).total)


def test_the_best_of_n_earns_what_the_exact_law_says(tabular):
    world, prompt = tabular.replace(reward=tabular.gold), tabular.prompts[0]
    law = exact(world, prompt).best_of(4)
    found = best_of_n(world, [prompt] * 2000, 4, seed=1)
    earned = world.gold.score(found.best).total.double()
    assert abs(float(earned.mean()) - law.reward) <= 4.9 * float(earned.std()) / 2000**0.5


def test_none_of_n_is_refused(micro):
    with pytest.raises(LabError, match="at least one response"):
        best_of_n(micro, micro.prompts, 0)


def texts(question):
    return question.prompt, frozenset((question.first, question.second))


@pytest.mark.parametrize("reward", [None, "model", "gold"])
def test_proposed_pairs_are_different_texts_and_none_is_shown_twice(reward, micro):
    chosen = {None: None, "model": micro.reward, "gold": micro.gold}[reward]
    questions = propose(micro, 12, reward=chosen, seed=3)
    assert len({texts(question) for question in questions}) == len(questions) == 12
    assert all(question.first != question.second for question in questions)
    assert propose(micro, 12, reward=chosen, seed=3) == questions
    seen = [Pair(question.prompt, question.second, question.first) for question in questions]
    again = propose(micro, 12, reward=chosen, seen=seen, seed=3)
    assert not {texts(question) for question in questions} & {texts(one) for one in again}


def test_which_text_stands_first_is_left_to_chance(micro):
    questions = [one for seed in range(12) for one in propose(micro, 12, reward=micro.reward, seed=seed)]
    liked = micro.reward
    scores = [liked.score(sides(micro, question)).total for question in questions]
    share = sum(bool(first > second) for first, second in scores) / len(scores)
    assert abs(share - 0.5) <= 4.9 * 0.5 / len(scores) ** 0.5


def sides(world, question):
    from rllab.policy.generation import sequences_from_ids

    rows = [world.policy.encode_response(text)[:5] for text in (question.first, question.second)]
    return sequences_from_ids(world.policy, [question.prompt] * 2, rows)


def test_when_nothing_is_left_to_ask_it_is_said():
    policy = gpt2_policy()
    with torch.no_grad():  # always ends at once
        policy.model.lm_head.weight.zero_()
        policy.model.transformer.ln_f.weight.zero_()
        policy.model.transformer.ln_f.bias.fill_(1.0)
        policy.model.lm_head.weight[policy.eos_id] = 100.0
    with pytest.raises(LabError, match="were alike or had been asked about"):
        propose(small_world(policy), 3)
    with pytest.raises(LabError, match="ask for at least one"):
        propose(small_world(policy), 0)


def test_stop_ends_the_search_at_once(micro):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        propose(micro, 3, job=Job(stop))
    with pytest.raises(Stopped):
        best_of_n(micro, micro.prompts, 3, job=Job(stop))


def information(differences, margins, rows, *, ridge=1.0):
    weights = torch.sigmoid(margins) * torch.sigmoid(-margins)
    chosen = differences[rows]
    whole = ridge * torch.eye(differences.shape[1]).double() + chosen.T @ (weights[rows, None] * chosen)
    return float(torch.logdet(whole))


def test_the_most_informative_pairs_are_those_of_the_plain_greedy_search():
    generator = torch.Generator().manual_seed(0)
    differences = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    margins = 3 * torch.randn(30, generator=generator, dtype=torch.float64)
    slow = []
    for _ in range(8):
        rest = [row for row in range(30) if row not in slow]
        slow.append(max(rest, key=lambda row: information(differences, margins, [*slow, row])))
    assert most_informative(differences, margins, count=8) == slow


def test_the_same_pair_a_second_time_and_a_clear_verdict_tell_little():
    row = torch.tensor([1.0, 0.0])
    differences = torch.stack([row, row, 0.9 * row.flip(0), 3 * row.flip(0)]).double()
    margins = torch.tensor([0.0, 0.0, 0.0, 12.0], dtype=torch.float64)  # the last is settled
    assert most_informative(differences, margins, count=2) == [0, 2]
    assert sorted(most_informative(differences, margins, count=9)) == [0, 1, 2, 3]


def learned(features, taste, rows, *, seed):
    """Label some pairs by a taste, fit a linear reward, and return the share of all pairs that it ranks rightly."""
    generator = torch.Generator().manual_seed(seed)
    gaps = features @ taste
    wins = torch.rand(len(rows), generator=generator, dtype=torch.float64) < torch.sigmoid(gaps[rows])
    signs = torch.where(wins, 1.0, -1.0).double()
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.softplus(-signs * (features[rows] @ weights)).sum() + 0.5 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return float((torch.sign(features @ weights.detach()) == torch.sign(gaps)).double().mean())


def test_telling_pairs_teach_more_than_random_ones():
    """A sign test over 20 paired seeds: 40 labels on a taste that some directions hide from most pairs."""
    better = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        spread = torch.tensor([1.0] * 4 + [0.3] * 8, dtype=torch.float64)
        features = torch.randn(600, 12, generator=generator, dtype=torch.float64) * spread
        taste = torch.randn(12, generator=generator, dtype=torch.float64) / spread
        random = torch.randperm(600, generator=generator)[:40]
        telling = torch.tensor(most_informative(features / features.std(dim=0), torch.zeros(600).double(), count=40))
        better.append(learned(features, taste, telling, seed=seed) > learned(features, taste, random, seed=seed))
    assert sum(better) >= 16  # by chance: 0.6%


def test_a_large_reward_model_is_asked_through_its_own_features():
    policy = gpt2_policy()
    world = small_world(policy, reward=RewardModel("rm", gpt2_scalar(policy)))
    assert len(propose(world, 4, reward=world.reward)) == 4
    assert PER_PROMPT >= 2


def test_the_shipped_pairs_of_micro_are_what_the_judges_said(micro):
    shipped = load_pairs(data_dir() / "micro" / "preferences.jsonl")
    judges = {"ada": (0.25, 0.0), "bo": (0.35, 0.02), "cleo": (0.6, 0.04)}
    assert label_pairs(micro, judges, count=300, seed=0) == shipped[:300]


def test_cut_responses_are_labelled_where_they_are_asked_for(micro):
    whole, also_cut = (label_pairs(micro, {"ada": (0.25, 0.0)}, count=200, seed=0, cut=cut) for cut in (False, True))
    assert max(len(text.split()) for pair in whole for text in (pair.chosen, pair.rejected)) == 4
    assert max(len(text.split()) for pair in also_cut for text in (pair.chosen, pair.rejected)) == 5
    with pytest.raises(LabError, match="no gold judge"):
        label_pairs(micro.replace(gold=None), {"ada": (0.25, 0.0)}, count=1, seed=0)
