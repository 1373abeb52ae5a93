"""The ranges of healthy runs: the smallest and the largest value of every metric, world by world."""

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
    """Train the runs of a plan, and save the range of every metric.

    Args:
        seed: The first seed of each algorithm.
        plan: World -> algorithm -> seeds and updates; by default PLAN.
        into: The file; by default the shipped one.
        job: Stops the runs, and receives the progress.

    Returns:
        The file.
    """
    plan, file = plan or PLAN, into or data_dir() / "checkup" / "healthy.json"
    total = sum(seeds for runs in plan.values() for seeds, _ in runs.values())
    done, worlds = 0, dict[str, dict[str, Any]]()
    for name, runs in plan.items():
        world, worlds[name] = load_world(name), {}
        for algorithm, (seeds, updates) in runs.items():
            histories = []
            for number in range(seed, seed + seeds):
                job.report(done, total, f"{algorithm} on {name}, seed {number}")
                trainer = Trainer(world, algorithm, seed=number)
                trainer.run(updates, job=job.quiet())
                job.check()
                histories.append(trainer.history)
                done += 1
            worlds[name][algorithm] = {"runs": seeds, "updates": updates, "metrics": ranges(histories)}
    job.report(total, total, "done")
    write_atomically(file, as_text(worlds))
    return file


def ranges(histories: Sequence[Sequence[UpdateRecord]]) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest finite value of each metric.

    Args:
        histories: The updates of each run.
    """
    found: dict[str, tuple[float, float]] = {}
    for name in definitions():
        values = [record.metrics.get(name, math.nan) for history in histories for record in history]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            found[name] = (min(finite), max(finite))
    return found


def as_text(worlds: dict[str, dict[str, Any]]) -> str:
    """Format the ranges with a line for each metric, so that a change can be read.

    Args:
        worlds: World -> algorithm -> runs, updates and the range of each metric.
    """
    written = {}
    for world, runs in worlds.items():
        blocks = {}
        for algorithm, run in runs.items():
            metrics = {name: f"[{low:.{DIGITS}g}, {high:.{DIGITS}g}]" for name, (low, high) in run["metrics"].items()}
            counts = {name: str(run[name]) for name in ("runs", "updates")}
            blocks[algorithm] = _block(counts | {"metrics": _block(metrics, 4)}, 3)
        written[world] = _block(blocks, 2)
    return _block({"about": json.dumps(ABOUT), "worlds": _block(written, 1)}, 0) + "\n"


def _block(parts: dict[str, str], depth: int) -> str:
    """Return a JSON object with a line for each of its parts, which are JSON already."""
    inside = ",\n".join(f"{' ' * (depth + 1)}{json.dumps(name)}: {part}" for name, part in parts.items())
    return f"{{\n{inside}\n{' ' * depth}}}"
