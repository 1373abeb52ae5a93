"""The five stages: which tokens carry gradient, what they are divided by, and what is never looked at."""

import dataclasses
import threading
import types

import pytest
import torch

from rllab.core.errors import LabError
from rllab.core.records import Rollout, Scores
from rllab.maths.algorithms import ALGORITHMS, get_algorithm
from rllab.maths.losses import policy_gradient_loss
from rllab.maths.masking import masked_sum
from rllab.policy.generation import generate, sequences_from_ids
from rllab.reward.reward import TextReward
from rllab.trainer.stages import STAGES, Stages, derived_seed, loss, part_of, score, targets, whole_batch
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from tests.maths.batches import POISONS
from tests.small import (
    gpt2_policy,
    random_rows,
    reference_apart,
    run_state,
    same_weights,
    small_world,
    text_reward,
    with_pads,
)

TEMPERATURES = (0.3, 0.7, 1.0, 1.5)


@pytest.fixture(scope="module")
def world():
    return reference_apart(small_world())


def context_of(trainer):
    return trainer._context(threading.Event())


def rollout_of(world, rows, *, temperature=1.0):
    return evaluate(world.policy, rows, reference=world.reference, critic=world.critic, temperature=temperature)


def batch_of(context, rollout):
    return whole_batch(context, rollout, targets(context, rollout, score(context, rollout)))


def gradients(trainer, batch):
    """Return the loss of a batch and the gradient of every parameter of policy and critic."""
    context = context_of(trainer)
    terms = loss(context, batch)
    parameters = [*context.parameters, *context.critic.parameters()]
    found = torch.autograd.grad(terms.loss, parameters, allow_unused=True)
    return terms, [one if one is not None else torch.zeros(()) for one in found]


def logit_gradient(context, batch):
    """Return the gradient of the loss with respect to every logit, (B, T, A)."""
    rows = batch.rollout
    leaf = context.policy.logits(rows, temperature=1.0).detach().requires_grad_()
    policy = types.SimpleNamespace(logits=lambda _, *, temperature: leaf / temperature)
    terms = loss(dataclasses.replace(context, policy=policy), batch)
    return torch.autograd.grad(terms.loss, leaf)[0]


# The first epoch


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("size", [12, 5])
def test_on_the_first_epoch_the_ratio_is_one_and_nothing_is_clipped(world, temperature, size):
    trainer = Trainer(world, "ppo", world.config(temperature=temperature, micro_batch_size=size))
    trainer.world.policy.model.train()  # even where somebody has switched dropout on
    first = [phase.record for phase in trainer.phases() if phase.name == "loss" and phase.epoch == 0]
    assert len(first) == -(-12 // size)
    for terms in first:
        assert (terms.ratio - 1).abs().max() <= 1e-6
        assert not terms.clipped.any()
    metrics = trainer.history[0].metrics
    assert abs(metrics["val/ratio_first"] - 1) <= 1e-6
    assert metrics["policy/clipfrac_first"] == 0.0
    assert metrics["policy/clipfrac_avg"] > 0.0  # later epochs do clip


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_on_the_first_epoch_ppo_a2c_and_reinforce_with_a_baseline_have_one_gradient(world, temperature):
    rows = random_rows(world.policy, rows=12)
    found = []
    for name in ("ppo", "a2c"):
        trainer = Trainer(world, name, world.config(name, temperature=temperature))
        context = context_of(trainer)
        batch = batch_of(context, rollout_of(trainer.world, rows, temperature=temperature))
        found.append(gradients(trainer, batch)[1])
    weights, mask = batch.targets.policy_weights, batch.targets.loss_mask
    logprobs = torch.log_softmax(trainer.world.policy.logits(rows, temperature=temperature), dim=-1)
    chosen = logprobs.gather(2, rows.response_tokens[:, :, None])[:, :, 0]
    by_hand = torch.autograd.grad(-(weights * chosen)[mask].sum() / mask.sum(), context.parameters)
    assert by_hand[0].abs().max() > 1e-3
    for ppo, a2c, plain in zip(found[0], found[1], [*by_hand, *found[0][len(by_hand) :]], strict=True):
        assert (ppo - a2c).abs().max() <= 1e-9
        assert (ppo - plain).abs().max() <= 1e-9


def test_demonstrations_teach_to_stop_although_padding_is_the_end_token():
    policy = gpt2_policy(n_layer=1, initializer_range=0.2)
    ids = [[*[0, 1, 2][:length], policy.eos_id] for length in (1, 2, 3, 2, 1, 3)]
    prompts = ["a", "b", "c", "b", "a", "c"]  # the prompt says how many words to answer
    rows = sequences_from_ids(policy, prompts, ids)
    assert policy.pad_id == policy.eos_id
    assert int(((rows.response_tokens == policy.eos_id) & rows.action_mask).sum()) == len(rows)
    optimizer = torch.optim.Adam(policy.model.parameters(), lr=1e-2)
    for _ in range(80):
        logits = policy.logits(rows, temperature=1.0)
        logprobs = torch.log_softmax(logits, dim=-1).gather(2, rows.response_tokens[:, :, None])[:, :, 0]
        optimizer.zero_grad()
        masked_sum(
            policy_gradient_loss(logprobs, torch.ones_like(logprobs), rows.action_mask), rows.action_mask
        ).backward()
        optimizer.step()
    found = evaluate(policy, rows)
    ends = found.logprobs[rows.action_mask & (rows.response_tokens == policy.eos_id)]
    assert ends.exp().min() >= 0.9
    written = generate(policy, ["a", "b", "c"], max_new_tokens=9, samples_per_prompt=20, seed=0)
    assert written.ended.double().mean() >= 0.9


# What is never looked at


def poisoned_rollout(rollout: Rollout, poison: float) -> Rollout:
    """Fill every masked slot of every record with a number that spreads."""
    mask = rollout.response_mask
    spoilt = {
        name: torch.where(mask, getattr(rollout, name), poison)
        for name in ("logprobs", "ref_logprobs", "values", "entropies", "exact_kl")
    }
    tokens = with_pads(rollout, seed=5, vocabulary=8).tokens
    sentence = torch.where(mask, rollout.sentence, 999)
    return dataclasses.replace(rollout, tokens=tokens, sentence=sentence, **spoilt)


class Spoiling:
    """A reward that leaves anything at all in the columns that do not count."""

    name = "spoiling"

    def __init__(self, inner: TextReward, poison: float) -> None:
        self.inner, self.poison = inner, poison

    def score(self, sequences, *, timing="end"):
        scores = self.inner.score(sequences, timing=timing)
        per_token = torch.where(sequences.response_mask, scores.per_token, self.poison)
        return Scores(scores.total, scores.parts, per_token)

    def prefix_scores(self, sequences):
        return torch.where(sequences.response_mask, self.inner.prefix_scores(sequences), self.poison)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("poison", POISONS)
def test_masked_slots_may_hold_anything_and_not_a_bit_changes(world, name, poison):
    pay = {"prefix_pay": "level"} if get_algorithm(name).per_response else {}  # a sum sees the timing of levels alone
    changes = {"timing": "sentence", "kl_estimator": "k3", "ent_coef": 0.1} | pay
    results = []
    for spoilt in (False, True):
        reward = Spoiling(world.reward, poison) if spoilt else world.reward

        def spoil(context, prompts, spoilt=spoilt):
            rollout = STAGES.rollout(context, prompts)
            return poisoned_rollout(rollout, poison) if spoilt else rollout

        config = world.config(name, samples_per_prompt=2, **changes)
        trainer = Trainer(world.replace(reward=reward), name, config, stages=Stages(rollout=spoil))
        losses = [float(phase.record.loss) for phase in trainer.phases() if phase.name == "loss"]
        results.append((losses, trainer.history[0].metrics, run_state(trainer)))
    assert results[0][0] == results[1][0]
    assert repr(results[0][1]) == repr(results[1][1])  # NaN equals itself here
    assert same_weights(results[0][2], results[1][2])


def test_no_gradient_reaches_a_logit_after_the_end_and_the_end_itself_has_one(world):
    policy = world.policy
    ids = [[0, policy.eos_id], [1, 2, policy.eos_id], [3, 4, 5, 6]]
    trainer = Trainer(world, "reinforce")
    context = context_of(trainer)
    batch = batch_of(context, rollout_of(world, sequences_from_ids(policy, ["a", "b", "c"], ids)))
    found = logit_gradient(context, batch)
    assert (found[0, 2:] == 0.0).all()
    assert (found[1, 3:] == 0.0).all()
    for row, column in ((0, 1), (1, 2), (2, 3)):
        assert found[row, column].abs().max() > 1e-3
    assert found[0, 1, policy.eos_id].abs() > 1e-3


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_forced_token_carries_no_gradient_and_still_counts_for_its_state(world, name):
    policy = world.policy
    ids = [[0, 1, 2, policy.eos_id], [3, 4, 5, 6], [1, 1, policy.eos_id], [2, 5, 2, 2]]
    sampled = [[True, False, True, True], [True] * 4, [False, True, True], [True, True, True, False]]
    rows = sequences_from_ids(policy, ["a", "a", "b", "b"], ids, sampled=sampled)
    changes = {"ent_coef": 0.2, "kl_in": "loss", "kl_estimator": "k2"}
    trainer = Trainer(world, name, world.config(name, samples_per_prompt=2, batch_size=4, **changes))
    context = context_of(trainer)
    batch = batch_of(context, rollout_of(world, rows))
    found = logit_gradient(context, batch).abs().amax(dim=-1)
    assert (found[~rows.action_mask] == 0.0).all()
    assert (found[rows.action_mask] > 0.0).all()
    assert batch.targets.advantages[0, 1] != 0.0


def test_rows_that_were_cut_carry_no_gradient_where_truncation_is_mask(world):
    rows = random_rows(world.policy, rows=20)
    trainer = Trainer(world, "ppo", world.config(truncation="mask"))
    context = context_of(trainer)
    batch = batch_of(context, rollout_of(world, rows))
    found = logit_gradient(context, batch).abs().amax(dim=(1, 2))
    assert (found[~rows.ended] == 0.0).all()
    assert (found[rows.ended] > 0.0).all()
    weights = batch.targets.policy_weights[batch.targets.loss_mask]
    assert abs(float(weights.mean())) <= 1e-7
    assert abs(float(weights.var()) - 1) <= 1e-6


def test_an_update_in_which_every_row_was_cut_changes_neither_policy_nor_critic(world):
    rows = sequences_from_ids(world.policy, ["a", "b"], [[0, 1], [2, 2]])
    trainer = Trainer(world, "ppo", world.config(truncation="mask"))
    batch = batch_of(context_of(trainer), rollout_of(world, rows))
    terms, found = gradients(trainer, batch)
    assert torch.isfinite(terms.loss)
    assert all((one == 0.0).all() for one in found)


def test_the_critic_does_not_see_rows_that_were_cut_where_truncation_is_mask(world):
    rows = random_rows(world.policy, rows=20)
    whole, ended = rollout_of(world, rows), rollout_of(world, rows.select(rows.ended.nonzero()[:, 0].tolist()))
    assert 0 < len(ended) < len(rows)
    losses = {}
    for truncation, batch_rows in (("mask", whole), ("terminate", ended), ("mask", ended)):
        context = context_of(Trainer(world, "ppo", world.config(truncation=truncation, whiten=False)))
        terms = STAGES.loss(context, batch_of(context, batch_rows))
        losses[truncation, len(batch_rows)] = terms.stats["loss/value_avg"]
    assert losses["mask", len(whole)] == pytest.approx(losses["mask", len(ended)], abs=1e-12)
    assert losses["mask", len(ended)] == pytest.approx(losses["terminate", len(ended)], abs=1e-12)


# Targets


def test_weights_are_whitened_over_the_tokens_that_count(world):
    rows = random_rows(world.policy, rows=12)
    trainer = Trainer(world, "ppo")
    batch_targets = batch_of(context_of(trainer), rollout_of(world, rows)).targets
    counted = batch_targets.policy_weights[rows.response_mask]
    assert abs(float(counted.mean())) <= 1e-7
    assert abs(float(counted.var()) - 1) <= 1e-6
    assert (batch_targets.policy_weights[~rows.response_mask] == 0.0).all()


@pytest.mark.parametrize("place", ["reward", "loss"])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_kl_is_charged_in_one_place(world, place, estimator):
    rows = rollout_of(world, random_rows(world.policy, rows=12))
    config = world.config(kl_in=place, kl_estimator=estimator, kl_coef=0.7)
    context = context_of(Trainer(world, "ppo", config))
    scores = score(context, rows)
    made = targets(context, rows, scores)
    assert made.kl[rows.response_mask].abs().min() > 0
    charged = 0.7 * made.kl if place == "reward" else 0.0
    assert torch.allclose(made.rewards, scores.per_token - charged, atol=1e-12)
    without = context_of(Trainer(world, "ppo", config.replace(kl_coef=0.0)))
    batch = whole_batch(context, rows, made)
    with torch.no_grad():
        difference = loss(context, batch).loss - loss(without, batch).loss
    expected = 0.7 * masked_sum(made.kl, made.loss_mask) / made.loss_mask.sum() if place == "loss" else torch.zeros(())
    assert abs(float(difference - expected)) <= 1e-10


def test_a_silent_group_moves_nothing_and_is_counted(world):
    same = text_reward(world.policy, lambda prompt, response, *, ended: {"one": 3.0}, one=1.0)
    quiet = world.replace(reward=same)
    config = quiet.config("grpo", samples_per_prompt=4, kl_coef=0.0)
    trainer = Trainer(quiet, "grpo", config)
    batch = batch_of(context_of(trainer), rollout_of(quiet, random_rows(quiet.policy, rows=12)))
    rows = dataclasses.replace(batch.rollout, group=torch.arange(12) // 4)
    batch = batch_of(context_of(trainer), rows)
    _, found = gradients(trainer, batch)
    assert all((one == 0.0).all() for one in found)
    assert trainer.update()["frac_reward_zero_std"] == 1.0


# Slices


@pytest.mark.parametrize("reducer", ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "constant"])
@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_slices_add_up_to_the_whole_batch(world, reducer, size):
    trainer = Trainer(world, "ppo", world.config(reducer=reducer, ent_coef=0.1, truncation="mask"))
    batch = batch_of(context_of(trainer), rollout_of(world, random_rows(world.policy, rows=12)))
    whole, expected = gradients(trainer, batch)
    parts = [gradients(trainer, part_of(batch, slice(start, start + size))) for start in range(0, 12, size)]
    total = [sum(found) for found in zip(*(part[1] for part in parts), strict=True)]
    for one, other in zip(expected, total, strict=True):
        assert torch.allclose(one, other, atol=1e-10, rtol=0)
    for name, value in whole.stats.items():
        assert abs(value - sum(part[0].stats[name] for part in parts)) <= 1e-10, name


def test_the_constant_reducer_divides_by_rows_times_the_limit(world):
    trainer = Trainer(world, "ppo", world.config(reducer="constant", max_new_tokens=9))
    batch = batch_of(context_of(trainer), rollout_of(world, random_rows(world.policy, rows=12)))
    assert int(batch.policy_count) == 12 * 9


# Score, step


def test_a_row_that_scores_no_number_is_shown(world):
    class Nameless:
        name = "odd"

        def score(self, sequences, *, timing="end"):
            total = torch.tensor([0.0, 1.0, float("nan"), 2.0], dtype=torch.float64)
            return Scores(total, {}, torch.zeros(sequences.response_mask.shape))

    context = context_of(Trainer(world.replace(reward=Nameless())))
    rows = rollout_of(world, random_rows(world.policy, rows=4))
    with pytest.raises(LabError, match="odd") as caught:
        score(context, rows)
    assert "row 2" in str(caught.value)
    assert "nan" in str(caught.value)
    assert rows.responses[2][:60] in str(caught.value)


def test_a_reward_that_raises_is_named(world):
    class Broken:
        name = "broken"

        def score(self, sequences, *, timing="end"):
            raise KeyError("mood")

    context = context_of(Trainer(world.replace(reward=Broken())))
    with pytest.raises(LabError, match=r"broken.*KeyError.*mood"):
        score(context, rollout_of(world, random_rows(world.policy, rows=2)))


@pytest.mark.parametrize("whose", ["policy", "critic"])
def test_a_gradient_that_is_no_number_stops_the_step_before_anything_changes(world, whose):
    trainer = Trainer(world, "ppo")
    before = run_state(trainer)

    def spoilt(context, batch):
        terms = STAGES.loss(context, batch)
        parameters = context.parameters if whose == "policy" else list(context.critic.parameters())
        parameters[0].register_hook(lambda gradient: gradient * float("nan"))
        return terms

    trainer.stages = Stages(loss=spoilt)
    with pytest.raises(LabError, match="gradient"):
        trainer.update()
    assert same_weights(before, run_state(trainer))


def test_a_gradient_is_cut_to_its_norm_and_policy_and_critic_are_cut_apart(world):
    trainer = Trainer(world, "ppo", world.config(max_grad_norm=0.01, epochs=1))
    seen = []

    def look(context):
        found = STAGES.step
        with torch.no_grad():
            context.critic.model.score.weight.grad.mul_(1e6)  # the critic's own, huge
        context.optimizer.register_step_pre_hook(lambda optimizer, *_: seen.append(norms(optimizer)))
        return found(context)

    def norms(optimizer):
        return [
            torch.stack([one.grad.norm() for one in group["params"] if one.grad is not None]).norm()
            for group in optimizer.param_groups
        ]

    trainer.stages = Stages(step=look)
    metrics = trainer.update()
    assert metrics["grad_norm"] > 0.01
    for norm in seen[0]:
        assert abs(float(norm) - 0.01) <= 1e-6


def test_each_purpose_and_update_has_a_seed_of_its_own():
    seeds = {derived_seed(seed, name, index) for seed in range(20) for name in ("a", "b") for index in range(20)}
    assert len(seeds) == 800
    assert derived_seed(1, "rollout", 2) == derived_seed(1, "rollout", 2)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_old_logprobs_of_any_policy_give_the_ratio(world):
    rows = random_rows(world.policy, rows=6)
    older = gpt2_policy(seed=9)
    rollout = evaluate(older, rows, reference=world.reference, critic=world.critic)
    trainer = Trainer(world, "ppo")
    terms = loss(context_of(trainer), batch_of(context_of(trainer), rollout))
    now = evaluate(world.policy, rows).logprobs
    expected = (now - rollout.logprobs).exp()[rows.response_mask]
    assert torch.allclose(terms.ratio[rows.response_mask], expected, rtol=1e-9)
    assert (terms.ratio[~rows.response_mask] == 1.0).all()
    assert (terms.logprobs[~rows.response_mask] == 0.0).all()
    weights = batch_of(context_of(trainer), rollout).targets.policy_weights[rows.response_mask]
    clipped = ((expected > 1.2) & (weights > 0)) | ((expected < 0.8) & (weights < 0))
    assert torch.equal(terms.clipped[rows.response_mask], clipped)
    assert get_algorithm("ppo").fields > get_algorithm("a2c").fields
