"""The recipe of the healthy ranges: what it writes can be read, and what is written is what the runs showed."""

import json
import math
from pathlib import Path

from rllab.core.files import data_dir
from rllab.core.jobs import Job
from rllab.course.recipes.healthy import PLAN, as_text, build_healthy, ranges
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world


def test_a_small_plan_is_measured_and_written(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = build_healthy(
        plan={"micro": {"rloo": (2, 2)}},
        into=tmp_path / "healthy.json",
        job=Job(report=lambda done, total, _: told.append((done, total))),
    )
    written = json.loads(file.read_text("utf-8"))["worlds"]["micro"]["rloo"]
    assert (written["runs"], written["updates"]) == (2, 2)
    histories = []
    for seed in range(2):
        trainer = Trainer(load_world("micro"), "rloo", seed=seed)
        trainer.run(2)
        histories.append(trainer.history)
    for name, (low, high) in ranges(histories).items():
        assert math.isclose(written["metrics"][name][0], low, rel_tol=1e-5, abs_tol=1e-12)
        assert math.isclose(written["metrics"][name][1], high, rel_tol=1e-5, abs_tol=1e-12)
    assert told[-1] == (2, 2)


def test_what_is_committed_is_what_the_plan_asks_for() -> None:
    written = json.loads((data_dir() / "checkup" / "healthy.json").read_text("utf-8"))["worlds"]
    asked = {world: dict(runs) for world, runs in PLAN.items()}
    found = {
        world: {name: (run["runs"], run["updates"]) for name, run in runs.items()} for world, runs in written.items()
    }
    assert found == asked
    assert (data_dir() / "checkup" / "healthy.json").read_text("utf-8") == as_text(written)
