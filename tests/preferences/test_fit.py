"""Reward models from pairs against choix and against the judges' own taste, with a head alone, and label by label."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from rllab.core.errors import LabError
from rllab.policy.generation import generate
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM
from rllab.preferences.agreement import against_gold, against_judges, agreement, margins
from rllab.preferences.pairs import Pair, SimulatedJudge, tokenize_pairs
from rllab.preferences.reward_fit import FitConfig, fit_reward_model
from rllab.preferences.selection import label_pairs
from tests.fakes import word_tokenizer
from tests.small import PROMPTS, gpt2_policy, small_world, state_of, unpadded, with_pads

CHOIX = json.loads((Path(__file__).parent / "choix.json").read_text("utf-8"))
LN2 = math.log(2)


def item_world():
    """Return a world in which each of eight one-word answers has its own score: a table."""
    words = [f"item{n}" for n in range(8)]
    tokenizer = word_tokenizer(*words, "which", pad_is_eos=True)
    config = TabularConfig(vocab_size=10, horizon=3, prompts=[[8]], width=10, eos_token_id=9, pad_token_id=9)
    policy = Policy(TabularForCausalLM(config).double(), tokenizer)
    return small_world(policy, prompts=("which",), max_new_tokens=3), words


def test_the_fit_agrees_with_choix_on_eight_items_and_20_000_pairs():
    world, words = item_world()
    wins = torch.tensor(CHOIX["wins"])
    assert wins.sum() == 20_000
    pairs = [
        Pair("which", words[winner], words[loser])
        for winner, loser in itertools.permutations(range(8), 2)
        for _ in range(int(wins[winner, loser]))
    ]
    config = FitConfig(lr=0.1, weight_decay=0.0, batch_size=20_000, held_out=0.0, unit_responses=0)
    fit = fit_reward_model(world, pairs, config=config)
    fit.run(80)
    rows = tokenize_pairs(world.policy, [Pair("which", word, words[0]) for word in words]).chosen
    reward = fit.reward
    scores = reward.score(rows).total * reward.scale
    theirs = torch.tensor(CHOIX["strengths"], dtype=torch.float64)
    assert spearmanr(scores, theirs).statistic == pytest.approx(1.0)
    assert ((scores - scores.mean()) - (theirs - theirs.mean())).abs().max() <= 0.02


@pytest.fixture(scope="module")
def judges(micro):
    return {"ada": SimulatedJudge("ada", micro.gold, 0.25), "bo": SimulatedJudge("bo", micro.gold, 0.5, 0.02)}


@pytest.fixture(scope="module")
def labelled(micro, judges):
    panel = {name: (judge.noise, judge.length_bias) for name, judge in judges.items()}
    return label_pairs(micro, panel, count=2000, seed=5)


def test_accuracy_rises_with_the_labels_and_stays_under_the_ceiling(micro, judges, labelled):
    fresh, means = labelled[1200:], []
    for count, updates in ((20, 20), (150, 60), (1200, 180)):
        reached = []
        for seed in (1, 2):
            fit = fit_reward_model(micro, labelled[:count], config=FitConfig(unit_responses=0), seed=seed)
            fit.run(updates)
            found = against_judges(micro, fit.reward, fresh, judges)
            assert found.expected <= found.ceiling
            reached.append(found.expected)
        means.append(sum(reached) / len(reached))
    assert means == sorted(means)
    assert 0.5 < means[0] < means[-1] - 0.1
    assert agreement(micro, fit.reward, fresh).accuracy == pytest.approx(reached[-1], abs=0.06)


def test_nobody_gets_above_the_ceiling_and_the_judges_own_taste_reaches_it(micro, judges, labelled):
    pairs = [pair for pair in labelled if pair.judge == "ada"]
    found = against_judges(micro, micro.gold, pairs, judges)
    assert found.expected == pytest.approx(found.ceiling, abs=1e-12)
    with pytest.raises(LabError, match="its taste is not known"):
        against_judges(micro, micro.gold, [Pair("cat is", "sad", "happy", judge="me")], judges)


def test_a_calibrated_reward_is_right_as_often_as_it_says(micro, judges, labelled):
    pairs = [pair for pair in labelled if pair.judge == "ada"]
    honest = agreement(micro, Scaled(micro.gold, 1 / 0.25), pairs)
    bold = agreement(micro, Scaled(micro.gold, 4 / 0.25), pairs)
    assert honest.calibration_error <= 0.05
    assert bold.calibration_error > 2 * honest.calibration_error
    assert bold.accuracy == honest.accuracy
    assert honest.loss < bold.loss
    assert sum(one.count for one in honest.calibration) == honest.pairs == len(pairs)
    for one in honest.calibration:
        assert one.low <= one.predicted <= one.high


class Scaled:
    """A reward in another unit."""

    name = "scaled"

    def __init__(self, reward, factor):
        self.reward, self.factor = reward, factor

    def score(self, sequences, *, timing="end"):
        scores = self.reward.score(sequences, timing=timing)
        return type(scores)(scores.total * self.factor, {}, scores.per_token * self.factor)


def test_gold_agrees_with_itself_and_a_turned_gold_never(micro):
    rows = generate(micro.policy, micro.prompts, max_new_tokens=5, samples_per_prompt=20, seed=0)
    same, turned = (against_gold(micro, Scaled(micro.gold, factor), rows) for factor in (1.0, -1.0))
    assert (same.pairs, turned.pairs) == (1.0, 0.0)
    assert same.rank_correlation == pytest.approx(1.0)
    assert turned.rank_correlation == pytest.approx(-1.0)
    theirs = spearmanr(micro.reward.score(rows).total, micro.gold.score(rows).total).statistic
    assert against_gold(micro, micro.reward, rows).rank_correlation == pytest.approx(theirs, abs=1e-12)


def frozen_world():
    policy = gpt2_policy(n_layer=1)
    policy.model.requires_grad_(requires_grad=False)
    return small_world(policy)


def clear_pairs(count=30):
    good, bad = ["a", "a a", "c a", "a .", "a e a"], ["b", "b b", "f b", "b .", "b e b"]
    return [Pair(PROMPTS[n % 3], good[n % 5], bad[(n * 3 + n // 5) % 5]) for n in range(count)]


def test_where_the_policy_is_frozen_a_head_alone_learns_and_each_text_is_read_once(monkeypatch):
    world = frozen_world()
    fit = fit_reward_model(world, clear_pairs(), config=FitConfig(lr=0.05, weight_decay=0.1))
    before = state_of(fit._model)
    assert fit.evaluate()["loss"] == pytest.approx(LN2, abs=1e-15)
    fit.run(3)
    reads = len(fit._scores._read)
    monkeypatch.setattr(type(fit._model.base_model), "forward", None)  # nothing is read a second time
    fit.run(60)
    monkeypatch.undo()
    assert len(fit._scores._read) == reads
    assert fit.evaluate()["accuracy"] == 1.0
    changed = {name for name, tensor in state_of(fit._model).items() if not torch.equal(tensor, before[name])}
    assert changed == {"score.weight"}
    trunk = dict(fit.reward.model.base_model.named_parameters())
    policy = dict(world.policy.model.base_model.named_parameters())
    assert all(
        trunk[name].data_ptr() == policy[name].data_ptr() for name in policy
    )  # not a second copy of a large model


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_the_scores_of_a_fit_do_not_depend_on_batch_or_padding(trainable):
    world = small_world(gpt2_policy(n_layer=1))
    fit = fit_reward_model(world, clear_pairs(), config=FitConfig(lr=0.01, trainable=trainable))
    fit.run(5)
    reward = fit.reward
    rows = tokenize_pairs(world.policy, clear_pairs()).chosen
    together = reward.score(with_pads(rows, seed=0, vocabulary=world.policy.vocabulary))
    for row in range(len(rows)):
        assert abs(float(together.total[row] - reward.score(unpadded(world.policy, rows, [row])).total[0])) <= 1e-5
    for timing in ("token", "sentence", "end"):
        scores = reward.score(rows, timing=timing)
        assert torch.allclose(scores.per_token.sum(dim=1), scores.total, atol=1e-9)
    gap = margins(world, reward, clear_pairs())
    with torch.no_grad():
        raw = fit._scores(rows) - fit._scores(tokenize_pairs(world.policy, clear_pairs()).rejected)
    assert (gap - raw).abs().max() <= 1e-9


def test_new_labels_are_learned_from_where_the_fit_is():
    world, pairs = small_world(gpt2_policy(n_layer=1)), clear_pairs(60)
    fit = fit_reward_model(world, pairs[:30], config=FitConfig(lr=0.01))
    fit.run(20)
    weights, learned = state_of(fit._model), fit.evaluate()["loss"]
    fit.add(pairs[30:31])  # one click at a time
    for pair in pairs[31:]:
        fit.add([pair])
    assert all(torch.equal(weights[name], tensor) for name, tensor in state_of(fit._model).items())
    assert (len(fit.pairs), len(fit.held_out)) == (54, 6)
    assert sorted(map(str, fit.pairs + fit.held_out)) == sorted(map(str, pairs))
    assert fit.evaluate()["loss"] < LN2
    first = fit.update()["loss"]
    assert first < (LN2 + learned) / 2  # warm: nothing was forgotten
    assert [record.index for record in fit.history] == list(range(1, 22))
    fit.add([Pair("c", "a", "a")])
    assert len(fit.pairs) + len(fit.held_out) == 60


def test_labels_that_contradict_each_other_come_to_nothing():
    world = small_world(gpt2_policy(n_layer=1))
    pairs = [pair for one in clear_pairs() for pair in (one, Pair(one.prompt, one.rejected, one.chosen))]
    fit = fit_reward_model(world, pairs, config=FitConfig(lr=3e-3, held_out=0.0, batch_size=100))
    fit.run(60)
    assert fit.history[-1].metrics["loss"] == pytest.approx(LN2, abs=0.01)
    assert math.isfinite(fit.reward.scale)


def test_one_sided_labels_are_learned_without_running_away():
    world = small_world(gpt2_policy(n_layer=1))
    fit = fit_reward_model(world, [Pair("c", "a", "b")] * 40, config=FitConfig(lr=0.01, unit_responses=30))
    fit.run(100)
    assert fit.evaluate()["accuracy"] == 1.0
    rows = generate(world.policy, PROMPTS, max_new_tokens=6, samples_per_prompt=20, seed=0)
    scores = fit.reward.score(rows).total
    assert torch.isfinite(scores).all()
    assert scores.abs().max() < 20


BAD_PAIRS = {
    "none": ([], "pairs"),
    "one": ([Pair("c", "a", "b")], "pairs"),
    "ties": ([Pair("c", "a", "a")] * 9, "pairs"),
    "an unknown word": ([Pair("c", "zebra", "a")] * 9, "response"),
    "100,000 characters": ([Pair("c", "b " * 50_000, "a")] * 9, "chosen response of pair 1"),
    "an empty prompt": ([Pair(" ", "a", "b")] * 9, "prompt"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_pairs_that_cannot_be_learned_from_are_told(name):
    given, field = BAD_PAIRS[name]
    with pytest.raises(LabError) as caught:
        fit_reward_model(small_world(), given)
    assert caught.value.field == field


def test_a_pair_that_cannot_be_added_leaves_the_fit_as_it_was():
    fit = fit_reward_model(small_world(), clear_pairs())
    fit.update()
    with pytest.raises(LabError, match="zebra"):
        fit.add([Pair("c", "a", "b"), Pair("c", "zebra", "b")])
    assert len(fit.pairs) + len(fit.held_out) == 30
    fit.update()


def test_no_labels_agree_with_nothing(micro):
    with pytest.raises(LabError, match="at least one"):
        agreement(micro, micro.reward, [])
    with pytest.raises(LabError, match="no gold judge"):
        against_gold(micro.replace(gold=None), micro.reward, generate(micro.policy, ["cat is"], max_new_tokens=2))
