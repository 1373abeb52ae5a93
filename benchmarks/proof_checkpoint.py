"""A saved run is portable: transformers loads its policy with the same logits, and TRL's GRPOTrainer trains it.

RLLAB_ORACLES can name the Python of an environment with tests/oracles/requirements.txt installed; otherwise a new
environment is created for this measurement, which downloads about 1 GB.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.oracles import FOLDER, make_environment
from benchmarks.result import Result
from rllab.trainer.checkpoints import current_version
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world

WORLDS, TOLERANCE = ("micro", "tales"), 1e-6  # other versions of torch may sum in a different order


def measure() -> Result:
    """Save a run of each world after one update, and load it with transformers and TRL."""
    with tempfile.TemporaryDirectory() as scratch:
        python = os.environ.get("RLLAB_ORACLES") or make_environment(Path(scratch) / "environment")
        found = {name: hand_over(name, Path(scratch) / name, python) for name in WORLDS}
    fine = all(one["steps"] == 1 and math.isfinite(one["loss"]) and one["moved"] > 0 for one in found.values())
    apart = max(float(one["apart"]) for one in found.values())
    said = ", ".join(f"{name}: moved by {one['moved']:.0e}" for name, one in found.items())
    return Result(
        claim="a saved policy loads with AutoModelForCausalLM, and TRL's GRPOTrainer takes a step with it",
        target=f"logits within {TOLERANCE:g}, one step with a finite loss that moves the weights, in each world",
        figure=f"logits at most {apart:.0e} apart; {said}",
        passed=fine and apart <= TOLERANCE,
        details=found,
    )


def hand_over(name: str, folder: Path, python: str) -> dict[str, Any]:
    """Train once, save, and let another environment compute the logits and take a step."""
    world = load_world(name)
    trainer = Trainer(world, "ppo", world.config("ppo", batch_size=8, micro_batch_size=8))
    trainer.update()
    trainer.save(folder)
    prompts, policy = list(world.prompts[:2]), trainer.world.policy
    ids, answer = policy.encode(prompts[0]), folder / "answer.json"
    script = [python, str(FOLDER / "grpo_step.py"), "--out", str(answer), str(current_version(folder) / "policy")]
    subprocess.run([*script, ",".join(map(str, ids)), *prompts], check=True, cwd=folder)
    found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    with torch.no_grad():
        ours = policy.model(torch.tensor([ids])).logits[0, -1].double()
    theirs = torch.tensor(found.pop("logits"), dtype=torch.float64)
    return found | {"apart": float((ours - theirs).abs().max())}
