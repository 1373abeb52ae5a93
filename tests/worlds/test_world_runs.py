"""A run of a language model with frozen, shared blocks is saved and goes on bit for bit."""

from pathlib import Path

import pytest
import torch

from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world

SMALL = {"batch_size": 4, "micro_batch_size": 2, "max_new_tokens": 6, "lr": 1e-2}


@pytest.mark.parametrize("kind", ["smollm2", "folder"])
def test_a_saved_run_goes_on_as_if_it_had_not_stopped(kind: str, fetched: Path, saved: Path, tmp_path: Path) -> None:
    world = load_world("smollm2" if kind == "smollm2" else str(saved), device="cpu")
    whole = Trainer(world, "ppo", world.config("ppo", **SMALL), seed=0)
    whole.update()
    whole.save(tmp_path / "run")
    again = Trainer.load(tmp_path / "run")
    whole.update()
    again.update()
    for part in ("policy", "critic"):
        one, two = (
            list(getattr(run.world, part).parameters())
            if part == "critic"
            else list(run.world.policy.model.parameters())
            for run in (whole, again)
        )
        assert len(one) == len(two)
        assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))
    assert again.history[-1].metrics == whole.history[-1].metrics
