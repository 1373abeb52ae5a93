"""Runs that take a tenth of a second: the committed micro worlds with small batches."""

import torch

from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.worlds import World, load_world

SMALL = {"batch_size": 24, "micro_batch_size": 24}


def small_run(
    world: World | None = None, algorithm: str = "ppo", *, seed: int = 0, stages: Stages = STAGES, **changes
) -> Trainer:
    """Begin a run on small batches."""
    world = world or load_world("micro-tabular")
    grouped = {"samples_per_prompt": 4} if algorithm in {"rloo", "grpo"} else {}
    return Trainer(world, algorithm, world.config(algorithm, **(SMALL | grouped | changes)), seed=seed, stages=stages)


def numbers(trainer: Trainer) -> list[torch.Tensor]:
    """Return copies of all that a run has learned."""
    state = trainer.snapshot()
    moments = [one[name] for one in state.optimizer["state"].values() for name in sorted(one)]
    return [*state.policy, *state.critic, *moments, torch.tensor(state.kl_coef)]


def same(first: Trainer, second: Trainer) -> bool:
    """Tell whether two runs are in the same state, bit for bit, with the same past."""
    pairs = zip(numbers(first), numbers(second), strict=True)
    past = [repr(record.metrics) for record in first.history] == [repr(record.metrics) for record in second.history]
    return past and all(torch.equal(one, other) for one, other in pairs)
