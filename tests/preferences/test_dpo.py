"""DPO and fine-tuning on pairs: other people's numbers, log 2 at the start, every slice the same step."""

import json
import math
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.policy.generation import generate, sequences_from_ids
from rllab.preferences.dpo import (
    ImplicitReward,
    PreferenceConfig,
    dpo,
    fine_tune,
    supervised,
    token_logprobs,
    train_dpo,
)
from rllab.preferences.pairs import Pair, PairBatch, tokenize_pairs
from tests.fakes import fake_policy
from tests.small import PROMPTS, gpt2_policy, reference_apart, same_weights, small_world, state_of

GOLDEN = json.loads((Path(__file__).parents[1] / "oracles" / "preferences.json").read_text("utf-8"))["cases"]
DPO_CASES = [case for case in GOLDEN if "beta" in case["settings"]]


class StatedPolicy:
    """A policy of two words that gives each row's one token exactly the log-prob that is stated for it."""

    def __init__(self, logps):
        # (2, N): chosen, rejected; a log-prob is negative, and one constant off policy and reference changes no loss
        self.logps = nn.Parameter(torch.tensor(logps, dtype=torch.float64) - 5.0)
        self.weights = object()

    def logits(self, sequences, *, temperature):
        side = self.logps[int(sequences.response_tokens[0, 0])]  # the chosen are all token 0, the rejected token 1
        both = torch.stack([side, torch.log(-torch.expm1(side))], dim=1)  # (N, 2), normalised
        own = sequences.response_tokens[0, 0] == 0
        return (both if own else both.flip(1))[:, None, :] / temperature


@pytest.mark.parametrize("case", DPO_CASES, ids=lambda case: case["name"])
def test_loss_and_gradient_of_training_are_those_of_other_libraries(case):
    inputs = case["inputs"]
    count, words = len(inputs["logps"][0]), fake_policy("a")
    world = small_world()
    stated, reference = StatedPolicy(inputs["logps"]), StatedPolicy(inputs["ref_logps"])
    world = world.replace(policy=stated, reference=reference)
    sides = [sequences_from_ids(words, ["a"] * count, [[token]] * count) for token in (0, 1)]
    numbers = dpo(world, PreferenceConfig(beta=case["settings"]["beta"]))(PairBatch(*sides))
    loss = numbers["loss"].mean()
    loss.backward()
    assert case["oracles"].keys() >= {"trl", "openrlhf"}
    for theirs in case["oracles"].values():
        assert abs(float(loss.detach()) - theirs["loss"]) <= 1e-10
        gradient = torch.tensor(theirs["gradient"], dtype=torch.float64)
        assert (stated.logps.grad - gradient).abs().max() <= 1e-10


@pytest.fixture(scope="module")
def world():
    return small_world(gpt2_policy(n_layer=1, initializer_range=0.2))


@pytest.fixture(scope="module")
def pairs():
    texts = ["a", "a a", "b a .", "c e", "a a a", "e f g", "a ."]
    bad = ["b", "b b", "c b .", "f b b", "g", "b b b b", "b ."]
    return [Pair(PROMPTS[n % 3], texts[n % 7], bad[(n * 3) % 7]) for n in range(40)]


def test_at_the_reference_the_loss_is_log_2_and_the_gradient_is_the_known_one(world, pairs):
    run = train_dpo(world, pairs, config=PreferenceConfig(beta=0.3))
    first = run.evaluate()
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-15)
    assert first["rewards/margins"] == first["rewards/accuracies"] == 0.0
    batch, policy = tokenize_pairs(world.policy, pairs), run.world.policy
    parameters = list(policy.model.parameters())
    loss = dpo(run.world, run.config)(batch)["loss"].sum()
    ours = torch.autograd.grad(loss, parameters)
    sums = [
        torch.where(side.response_mask, token_logprobs(policy, side, 1.0), 0.0).sum()
        for side in (batch.chosen, batch.rejected)
    ]
    known = torch.autograd.grad(-0.15 * (sums[0] - sums[1]), parameters)  # -beta/2 (grad chosen - grad rejected)
    for one, other in zip(ours, known, strict=True):
        assert (one - other).abs().max() <= 1e-12


def test_swapping_a_pair_changes_its_loss_by_beta_times_its_margin(world, pairs):
    apart = reference_apart(world, n_layer=1)
    batch = tokenize_pairs(world.policy, pairs)
    measure = dpo(apart, PreferenceConfig(beta=0.7))
    with torch.no_grad():
        plain, turned = measure(batch), measure(PairBatch(batch.rejected, batch.chosen))
    assert torch.allclose(plain["loss"] - turned["loss"], -plain["rewards/margins"], atol=1e-12)


@pytest.mark.parametrize("method", [train_dpo, fine_tune])
def test_slices_of_a_batch_take_the_step_of_the_whole(method, world, pairs):
    runs = [method(world, pairs, config=PreferenceConfig(batch_size=12, micro_batch_size=size)) for size in (12, 5, 1)]
    for run in runs:
        run.run(3)
    whole, *sliced = (state_of(run.world.policy.model) for run in runs)
    for other in sliced:
        assert max((whole[name] - other[name]).abs().max() for name in whole) <= 1e-9


def test_training_prefers_what_was_chosen_and_leaves_the_world_alone(world, pairs):
    before = state_of(world.policy.model)
    run = train_dpo(world, pairs, config=PreferenceConfig(beta=0.5, batch_size=18))
    version = run.world.policy.version
    run.run(6 * run.updates_per_epoch)
    after = run.evaluate()
    assert after["loss"] < 0.5
    assert after["rewards/accuracies"] >= 0.75
    assert run.world.policy.version == version + len(run.history)
    assert same_weights(before, state_of(world.policy.model))
    assert same_weights(before, state_of(world.reference.model))
    names = {"loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"}
    assert run.history[-1].metrics.keys() == names | {"logps/chosen", "logps/rejected"}
    json.dumps(run.history[-1].config)


def test_the_implicit_reward_of_the_tokens_adds_up_to_that_of_the_pair(world, pairs):
    run = train_dpo(world, pairs, config=PreferenceConfig(beta=0.5))
    run.run(4)
    reward, batch = run.reward, tokenize_pairs(world.policy, pairs)
    assert isinstance(reward, ImplicitReward)
    with torch.no_grad():
        numbers = dpo(run.world, run.config)(batch)
    for timing in ("end", "sentence", "token"):
        scores = reward.score(batch.chosen, timing=timing)
        assert torch.allclose(scores.total, numbers["rewards/chosen"], atol=1e-12)
        assert torch.allclose(scores.per_token.sum(dim=1), scores.total, atol=1e-12)
    paid = reward.score(batch.chosen, timing="token").per_token
    ours, theirs = (token_logprobs(one, batch.chosen, 1.0) for one in (run.world.policy, world.reference))
    assert torch.allclose(paid, torch.where(batch.chosen.response_mask, 0.5 * (ours - theirs), 0.0), atol=1e-12)


def test_fine_tuning_minimises_the_mean_negative_log_prob_of_the_chosen_tokens(world, pairs):
    run = fine_tune(world, pairs, config=PreferenceConfig(batch_size=36))
    rows = tokenize_pairs(world.policy, run._loop.held_out).chosen
    with torch.no_grad():
        logprobs = token_logprobs(world.policy, rows, 1.0)
    first = run.evaluate()
    assert first["loss"] == pytest.approx(-float(logprobs[rows.response_mask].mean()), abs=1e-12)
    run.run(30)
    after = run.evaluate()
    assert after["loss"] < 0.6 * first["loss"]
    assert after["mean_token_accuracy"] > first["mean_token_accuracy"]
    assert after.keys() == {"loss", "entropy", "mean_token_accuracy"}
    assert supervised(run.world, run.config)(tokenize_pairs(world.policy, pairs))["entropy"].min() >= 0


def test_fine_tuning_learns_to_end():
    policy = gpt2_policy(n_layer=1, initializer_range=0.05)
    run = fine_tune(small_world(policy), [Pair(one, "a b", "c") for one in PROMPTS] * 10)
    run.run(60)
    rows = generate(run.world.policy, PROMPTS, max_new_tokens=6, samples_per_prompt=30, seed=0)
    assert sum(text == "a b" for text in rows.responses) >= 0.9 * len(rows)
    assert rows.ended.double().mean() >= 0.9


def test_a_stopped_update_changes_nothing(world, pairs):
    run, stop = train_dpo(world, pairs), threading.Event()
    run.update()
    before = state_of(run.world.policy.model)
    stop.set()
    run.run(3, job=Job(stop))
    assert len(run.history) == 1
    assert same_weights(before, state_of(run.world.policy.model))


def test_a_loss_that_is_no_number_changes_nothing(world, pairs):
    run = train_dpo(world, pairs, config=PreferenceConfig(beta=1e308))
    run._loop.lesson = type(run._loop.lesson)(
        lambda batch: {"loss": dpo(run.world, run.config)(batch)["loss"] * math.nan},
        run._loop.lesson.step,
        run._loop.lesson.clear,
    )
    before = state_of(run.world.policy.model)
    with pytest.raises(LabError, match="left the range of numbers"):
        run.update()
    assert run.history == []
    assert same_weights(before, state_of(run.world.policy.model))
    assert all(parameter.grad is None for parameter in run.world.policy.model.parameters())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"beta": 0.0}, "beta"),
        ({"beta": math.nan}, "beta"),
        ({"lr": -1.0}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"micro_batch_size": 0}, "micro_batch_size"),
        ({"held_out": 1.0}, "held_out"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, field, world, pairs):
    with pytest.raises(LabError) as caught:
        train_dpo(world, pairs, config=PreferenceConfig(**changes))
    assert caught.value.field == field


BAD_PAIRS = {
    "none": ([], "pairs"),
    "one": ([Pair("c", "a", "b")], "pairs"),
    "ties": ([Pair("c", "a", "a")] * 9, "pairs"),
    "an unknown word": ([Pair("c", "a", "zebra")] * 9, "response"),
    "100,000 characters": ([Pair("c", "a", "b " * 50_000)] * 9, "rejected response of pair 1"),
    "an empty prompt": ([Pair("", "a", "b")] * 9, "prompt"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
@pytest.mark.parametrize("method", [train_dpo, fine_tune])
def test_pairs_that_cannot_be_learned_from_are_told(name, method, world):
    given, field = BAD_PAIRS[name]
    with pytest.raises(LabError) as caught:
        method(world, given)
    assert caught.value.field == field
