"""Where healthy runs were seen to move: the smallest and the largest value of every metric, world by world."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rllab.core.files import data_dir, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord
from rllab.trainer.signals import definitions
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world

# world -> algorithm -> seeds and updates: the world's own settings, as a learner meets them
PLAN: dict[str, dict[str, tuple[int, int]]] = {
    "micro": dict.fromkeys(("reinforce", "a2c", "ppo", "rloo", "grpo"), (6, 15)),
    "micro-tabular": dict.fromkeys(("reinforce", "a2c", "ppo", "rloo", "grpo"), (3, 12)),
    "tales": {"ppo": (2, 10)},
}
DIGITS = 6
ABOUT = (
    "Smallest and largest value of each metric over all updates of healthy runs with a world's own settings. Made by "
    "`python -m rllab build checkup`; what is not in it was not measured."
)


def build_healthy(
    *,
    seed: int = 0,
    plan: dict[str, dict[str, tuple[int, int]]] | None = None,
    into: Path | None = None,
    job: Job = NO_JOB,
) -> Path:
    """Run what the plan says, and write the range of every metric."""
    plan, file = plan or PLAN, into or data_dir() / "checkup" / "healthy.json"
    total = sum(seeds for runs in plan.values() for seeds, _ in runs.values())
    done, worlds = 0, dict[str, dict[str, Any]]()
    for name, runs in plan.items():
        world, worlds[name] = load_world(name), {}
        for algorithm, (seeds, updates) in runs.items():
            histories = []
            for number in range(seed, seed + seeds):
                job.report(done, total, f"{algorithm} on {name}, seed {number}")
                histories.append(_history(Trainer(world, algorithm, seed=number), updates, job))
                done += 1
            worlds[name][algorithm] = {"runs": seeds, "updates": updates, "metrics": ranges(histories)}
    job.report(total, total, "done")
    write_atomically(file, as_text(worlds))
    return file


def _history(trainer: Trainer, updates: int, job: Job) -> list[UpdateRecord]:
    trainer.run(updates, job=job.quiet())
    job.check()
    return trainer.history


def ranges(histories: Sequence[Sequence[UpdateRecord]]) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest number that each metric has had; what is no number is left out."""
    found: dict[str, tuple[float, float]] = {}
    for name in definitions():
        values = [record.metrics.get(name, math.nan) for history in histories for record in history]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            found[name] = (min(finite), max(finite))
    return found


def as_text(worlds: dict[str, dict[str, Any]]) -> str:
    """Write the ranges with a line for each metric, so that a change can be read."""
    written = {world: _block({name: _measured(one) for name, one in runs.items()}, 2) for world, runs in worlds.items()}
    return _block({"about": json.dumps(ABOUT), "worlds": _block(written, 1)}, 0) + "\n"


def _measured(one: dict[str, Any]) -> str:
    metrics = {name: f"[{low:.{DIGITS}g}, {high:.{DIGITS}g}]" for name, (low, high) in one["metrics"].items()}
    counts = {name: str(one[name]) for name in ("runs", "updates")}
    return _block(counts | {"metrics": _block(metrics, 4)}, 3)


def _block(parts: dict[str, str], depth: int) -> str:
    """Return a JSON object with a line for each of its parts, which are JSON already."""
    inside = ",\n".join(f"{' ' * (depth + 1)}{json.dumps(name)}: {part}" for name, part in parts.items())
    return f"{{\n{inside}\n{' ' * depth}}}"
