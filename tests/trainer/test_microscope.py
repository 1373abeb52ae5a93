"""The microscope measures what a step did, predicts it to first order, and leaves the run where it was."""

import pytest
import torch

from rllab.core.errors import LabError
from rllab.policy.generation import sequences_from_ids
from rllab.trainer.microscope import examine
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.small import run_state, same_weights
from tests.trainer.small_run import same, small_run

STATES = [("cat is", ()), ("cat is", (3,)), ("dog is not", (2, 4)), ("happy dog", (6, 6, 6))]


@pytest.fixture(scope="module")
def run() -> Trainer:
    trainer = small_run(load_world("micro"))
    trainer.run(2)
    return trainer


def test_looking_changes_nothing(run):
    before = run_state(run)
    examine(run, STATES)
    assert same_weights(before, run_state(run))
    assert run.index == 2


def test_what_is_measured_is_what_the_kept_run_says(run):
    seen = examine(run, STATES)
    kept = seen.keep()
    for number, (prompt, ids) in enumerate(STATES):
        rows = sequences_from_ids(run.world.policy, [prompt], [[*ids, 0]])
        with torch.no_grad():
            old, new = (
                torch.log_softmax(one.world.policy.logits(rows, temperature=1.0)[0, len(ids)], dim=-1)
                for one in (run, kept)
            )
            value = kept.world.critic.state_values(rows)[0, len(ids)]
        assert torch.allclose(new - old, seen.measured.logprobs[number], atol=1e-12)
        assert torch.allclose(value, seen.after.values[number], atol=1e-12)


def test_the_prediction_is_exact_to_first_order(run):
    missed = []
    for shrink in (1, 10, 100):
        slower = run.fork()
        slower.configure(lr=run.config.lr / shrink, critic_lr=run.config.critic_lr / shrink)
        seen = examine(slower, STATES)
        worst = (seen.measured.logprobs - seen.predicted.logprobs).abs().max()
        missed.append((float(worst), float((seen.measured.values - seen.predicted.values).abs().max())))
    for first, second, third in zip(*missed, strict=True):
        assert second < first / 30  # the error goes with the square of the step
        assert third < second / 30
    assert seen.agreement() > 0.9999


def test_a_predicted_change_keeps_the_sum_of_probabilities(run):
    seen = examine(run, STATES)
    assert (seen.before.logprobs.exp() * seen.predicted.logprobs).sum(dim=1).abs().max() <= 1e-12
    assert torch.allclose(seen.after.logprobs.exp().sum(dim=1), torch.ones(len(STATES), dtype=torch.float64))


def test_keep_undo_and_half_a_step(run):
    seen = examine(run, STATES)
    kept, undone, half = seen.keep(), seen.undo(), seen.half()
    assert same(undone, run)
    assert [one.index for one in (kept, undone, half)] == [3, 2, 3]
    assert kept.config == half.config == run.config
    for start, middle, end in zip(*(one.snapshot().policy for one in (undone, half, kept)), strict=True):
        assert torch.allclose(2 * (middle - start), end - start, atol=1e-12)
    other = run.fork()
    other.adopt(kept)
    assert same(other, kept)
    other.rewind(2)
    other.configure(epochs=1)
    other.update()
    assert same_weights(run_state(other), run_state(kept))


def test_other_states_of_the_same_step_can_be_looked_at(run):
    whole, part = examine(run, STATES), examine(run, STATES[:1])
    later = part.at(STATES)
    assert later.update is part.update
    assert later.states == whole.states
    assert later.visits == whole.visits
    assert torch.equal(later.measured.logprobs, whole.measured.logprobs)
    assert torch.equal(later.predicted.logprobs, whole.predicted.logprobs)
    with pytest.raises(LabError, match="no token that a response goes on after"):
        part.at([("cat is", (0,))])


def test_half_a_step_is_a_step_of_scale_one_half(run):
    whole, half = examine(run, STATES), examine(run, STATES, scale=0.5)
    assert same_weights(run_state(whole.half()), run_state(half.keep()))
    assert half.keep().config == run.config
    assert half.agreement() > whole.agreement()
    with pytest.raises(LabError, match="scale is 0"):
        examine(run, STATES, scale=0)


def test_the_divergence_at_a_state_is_that_of_the_two_policies(run):
    seen = examine(run, STATES)
    old, new = (torch.distributions.Categorical(logits=one.logprobs) for one in (seen.before, seen.after))
    assert torch.allclose(seen.kl, torch.distributions.kl_divergence(new, old), atol=1e-12)


def test_a_table_changes_only_where_the_batch_has_been_and_a_network_everywhere():
    for name, moves in (("micro-tabular", False), ("micro", True)):
        seen = examine(small_run(load_world(name)), STATES)
        assert seen.visits[0] > 0
        assert seen.visits[3] == 0
        assert bool(seen.measured.logprobs[0].abs().max() > 0)
        assert bool(seen.measured.logprobs[3].abs().max() > 0) == moves
        assert bool(seen.predicted.logprobs[3].abs().max() > 0) == moves


def test_visits_are_counted_in_the_batch_of_the_step(run):
    seen = examine(run, [("cat is", ()), ("cat is", (3,))])
    rows = seen.update.rollout
    here = [row for row in range(len(rows)) if rows.prompts[row] == "cat is"]
    assert seen.visits == (len(here), sum(rows.response_ids(row)[0] == 3 for row in here))


def test_the_spill_is_told_for_every_prompt_and_the_batch_is_counted(run):
    world = run.world.replace(prompts=(*run.world.prompts, "sad cat", "not"))
    seen = examine(Trainer(world, "ppo", run.config.replace(batch_size=3)), STATES)
    rows = [spill.rows for spill in seen.spill]
    assert sum(rows) == 3
    assert rows == sorted(rows)  # what the batch did not know comes first
    assert rows.count(0) == 2
    assert all(spill.kl > 0 and spill.largest > 0 for spill in seen.spill)


def test_the_batch_after_the_step_shows_ratio_and_clip(run):
    seen = examine(run, STATES)
    mask, weights = seen.update.targets.loss_mask, seen.update.targets.policy_weights
    over, under = seen.batch.ratio > 1.2, seen.batch.ratio < 0.8
    assert torch.equal(seen.batch.clipped, mask & ((over & (weights > 0)) | (under & (weights < 0))))
    assert bool((seen.update.epochs[0].ratio == 1).all())  # before the step nothing had moved
    assert not torch.equal(seen.batch.logprobs, seen.update.rollout.logprobs)


def test_an_algorithm_without_critic_has_no_value_to_move():
    seen = examine(small_run(algorithm="grpo"), STATES[:1])
    assert float(seen.measured.values.abs().max()) == float(seen.predicted.values.abs().max()) == 0.0


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "at least one state"),
        ([("cat flies", ())], "no word 'flies'"),
        ([("", ())], "at least one word"),
        ([("cat is", (0,))], "no token that a response goes on after"),
        ([("cat is", (99,))], "no token that a response goes on after"),
        ([("cat is", (3, 3, 3, 3, 3))], "nothing is chosen after 5 tokens"),
    ],
)
def test_states_that_are_none_are_refused(states, said, run):
    with pytest.raises(LabError, match=said):
        examine(run, states)
