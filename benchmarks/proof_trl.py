"""TRL's RewardTrainer and DPOTrainer take a step on our files of pairs, unchanged.

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

from benchmarks.oracles import FOLDER, make_environment
from benchmarks.result import Result
from rllab.core.files import data_dir
from rllab.preferences.labels import LabelStore

CLAIM = "TRL's RewardTrainer and DPOTrainer take a step on our files of pairs, unchanged"
TARGET = "a finite loss and moved parameters on each file; DPO starts at ln 2 within 1e-5"


def measure() -> Result:
    """Write labels as a learner does, and train TRL on them and on the shipped pairs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = os.environ.get("RLLAB_ORACLES") or make_environment(folder / "environment")
        files = [write_labels(folder / "labels.jsonl"), *sorted(data_dir().glob("*/preferences.jsonl"))]
        answer = folder / "answer.json"
        script = [python, str(FOLDER / "trl_step.py"), "--out", str(answer), *map(str, files)]
        subprocess.run(script, check=True, cwd=folder)
        found = json.loads(answer.read_text("utf-8"))
    steps = [(trainer, step) for one in found.values() for trainer, step in one.items()]
    dpo = [step["loss"] for trainer, step in steps if trainer == "DPOTrainer"]
    fine = all(math.isfinite(step["loss"]) and step["moved"] > 0 for _, step in steps)
    named = {Path(name).parent.name if "preferences" in name else "labels": one for name, one in found.items()}
    least = min(step["moved"] for _, step in steps)
    steps_on = f"{len(steps)} steps on {len(found)} files ({', '.join(named)})"
    losses = ", ".join(f"{step['loss']:.4f}" for _, step in steps)
    return Result(
        claim=CLAIM,
        target=TARGET,
        figure=f"{steps_on}: losses {losses}; moved by at least {least:.0e}",
        passed=fine and len(steps) == 2 * len(files) and all(abs(loss - math.log(2)) <= 1e-5 for loss in dpo),
        details=named,
    )


def write_labels(path: Path) -> Path:
    """Label a few pairs as the label panel does, including a tie."""
    store = LabelStore(path, judge="you")
    for number in range(8):
        store.label(f"Tell me of {number}", f"\u201c{number}\u201d \u2013 a number\nand more", "no", verdict="first")
    store.label("A cat?", "yes", "yes, a cat", verdict="tie")
    return path
