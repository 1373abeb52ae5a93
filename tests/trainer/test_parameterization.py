"""What of the policy is trained is a choice: how much it is, and that the rest gets exactly no gradient."""

import pytest
import torch

from rllab.core.config import CHOICES
from rllab.trainer.microscope import examine
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.trainer.small_run import small_run


def gradients(trainer: Trainer) -> dict[str, torch.Tensor | None]:
    """Return the gradient of every weight of the policy as the first optimizer step begins."""
    loop = trainer.phases()
    for phase in loop:
        if phase.name == "loss":
            named = trainer.world.policy.model.named_parameters()
            found = {name: None if one.grad is None else one.grad.clone() for name, one in named}
            loop.close()
            return found
    raise AssertionError("there was no loss")


@pytest.mark.parametrize("choice", CHOICES["trainable"])
def test_frozen_parts_get_exactly_no_gradient_and_trained_ones_some(choice: str) -> None:
    trainer = small_run(load_world("micro"), trainable=choice)
    found = gradients(trainer)
    model = trainer.world.policy.model
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    assert trained
    for name, gradient in found.items():
        if name in trained:
            assert gradient is not None, name
        else:
            assert gradient is None or not gradient.any(), name
    assert sum(float(found[name].square().sum()) for name in trained if found[name] is not None) > 0


def test_the_parts_grow_from_biases_to_all() -> None:
    counts = {}
    for choice in CHOICES["trainable"]:
        model = small_run(load_world("micro"), trainable=choice).world.policy.model
        counts[choice] = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in load_world("micro").policy.model.parameters())
    assert counts["all"] == whole
    assert 0 < counts["biases"] < counts["last-blocks"] < counts["all"]
    assert 0 < counts["head"] < counts["all"]


@pytest.mark.parametrize(("name", "generalises"), [("micro-tabular", False), ("micro", True)])
def test_only_a_network_changes_where_the_batch_has_not_been(name: str, *, generalises: bool) -> None:
    unseen = [("happy dog", (6, 6, 6)), ("cat is", (6, 6, 6, 6))]
    seen = examine(small_run(load_world(name)), unseen)
    assert seen.visits == (0, 0)
    assert bool(seen.kl.max() > 0) == generalises
    assert bool(seen.measured.values.abs().max() > 0) == generalises
