"""Frozen blocks that are run once change no number, and are left aside as soon as they are not the same."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from rllab.core.records import Sequences
from rllab.policy.generation import generate
from rllab.policy.policy import choose_trainable
from rllab.policy.trunk import FrozenTrunk
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world

CRITIC_BLOCKS = 10
SMALL = {"batch_size": 4, "micro_batch_size": 2, "max_new_tokens": 6, "epochs": 2, "lr": 1e-2, "critic_lr": 1e-2}


@pytest.fixture
def world(fetched) -> World:
    return load_world("smollm2", device="cpu")


@pytest.fixture
def rows(world: World) -> Sequences:
    return generate(world.policy, world.prompts[:3], max_new_tokens=7, seed=3)


@pytest.fixture
def runs(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count how often the frozen blocks are run, by rows."""
    seen: list[int] = []
    run = FrozenTrunk._run

    def counted(trunk: FrozenTrunk, sequences: Sequences):
        seen.append(len(sequences))
        return run(trunk, sequences)

    monkeypatch.setattr(FrozenTrunk, "_run", counted)
    return seen


def trained(world: World) -> World:
    """Return policy and critic after an update, so that nothing is equal by default."""
    trainer = Trainer(world, "ppo", world.config("ppo", **SMALL), seed=0)
    trainer.update()
    return trainer.world


def without_trunk(world: World) -> World:
    copies = world.replace(policy=world.policy.copy(), reference=world.reference.copy(), critic=world.critic.copy())
    for part in (copies.policy, copies.reference, copies.critic):
        part.trunk = None
    return copies


def test_all_numbers_are_those_of_the_whole_models(world: World, rows: Sequences, runs: list[int]) -> None:
    with_trunk = trained(world)
    plain = without_trunk(with_trunk)
    runs.clear()
    one, two = (
        evaluate(each.policy, rows, reference=each.reference, critic=each.critic, micro_batch_size=2)
        for each in (with_trunk, plain)
    )
    assert runs == [2, 1]
    assert one.exact_kl.max() > 0
    assert one.values.abs().max() > 0
    for name in ("logprobs", "ref_logprobs", "values", "entropies", "exact_kl", "bootstrap"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name


def test_gradients_are_those_of_the_whole_models(world: World, rows: Sequences) -> None:
    with_trunk = trained(world)
    plain = without_trunk(with_trunk)
    for part in ("policy", "critic"):
        gradients = []
        for each in (with_trunk, plain):
            network = getattr(each, part)
            said = network.logits(rows, temperature=0.7) if part == "policy" else network.state_values(rows)
            learns = [parameter for parameter in network.model.parameters() if parameter.requires_grad]
            gradients.append(torch.autograd.grad(said.square().sum(), learns))
        assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))
        assert any(gradient.abs().max() > 0 for gradient in gradients[0])


def test_an_update_runs_the_frozen_blocks_once_for_three_networks_and_all_epochs(world: World, runs: list[int]) -> None:
    trainer = Trainer(world, "ppo", world.config("ppo", **SMALL), seed=0)
    trainer.update()
    runs.clear()
    trainer.update()
    assert runs == [2, 2]


def test_updates_are_bit_for_bit_those_without_it(world: World) -> None:
    first, second = (
        Trainer(each, "ppo", world.config("ppo", **SMALL), seed=0) for each in (world, without_trunk(world))
    )
    first.run(2)
    second.run(2)
    for one, two in zip(first.world.policy.model.parameters(), second.world.policy.model.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("changed", ["all", "weights"])
def test_blocks_that_are_trained_or_replaced_are_run_with_the_model(
    changed: str, world: World, rows: Sequences, runs: list[int]
) -> None:
    policy = world.policy.copy()
    if changed == "all":
        choose_trainable(policy.model, "all")
    else:
        block = policy.model.model.layers[0].mlp.up_proj
        block.weight = torch.nn.Parameter(block.weight * 2, requires_grad=False)
    plain = policy.copy()
    plain.trunk = None
    assert torch.equal(policy.logits(rows, temperature=1.0), plain.logits(rows, temperature=1.0))
    assert runs == []


def test_another_mask_or_other_tokens_are_another_batch(world: World, rows: Sequences, runs: list[int]) -> None:
    shorter = rows.attention_mask.clone()
    shorter[:, : rows.prompt_width - 2] = False
    others = dataclasses.replace(rows, attention_mask=shorter)
    plain = without_trunk(world).policy
    for batch in (rows, others, rows, others):
        assert torch.equal(
            world.policy.logits(batch, temperature=1.0)[rows.response_mask],
            plain.logits(batch, temperature=1.0)[rows.response_mask],
        )
    assert runs == [3, 3]


def test_what_is_kept_stays_within_its_budget(
    world: World, rows: Sequences, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rllab.policy.trunk.KEPT_BYTES", 1)
    others = dataclasses.replace(rows, tokens=rows.tokens.clone())
    for batch in (rows, rows, others, rows):
        world.policy.logits(batch, temperature=1.0)
    assert runs == [3, 3, 3]


def test_the_critic_starts_at_zero_and_shares_all_but_what_it_trains(world: World, rows: Sequences) -> None:
    assert (world.critic.state_values(rows) == 0).all()
    ours = {parameter.data_ptr() for parameter in world.policy.model.parameters()}
    for name, one in world.critic.model.named_parameters():
        assert (one.data_ptr() in ours) != one.requires_grad, name
    learning = [name for name, one in world.critic.model.named_parameters() if one.requires_grad]
    assert {name.split(".")[2] for name in learning if "layers" in name} == {"8", "9"}
    assert {name for name in learning if "layers" not in name} == {"model.norm.weight", "score.weight"}
    assert world.critic.model.config.num_hidden_layers == CRITIC_BLOCKS
