"""Run folders: what a run was asked, what came of it update by update, and where to go on from.

RUN/config.json     world, algorithm, seed and settings, written once
RUN/metrics.jsonl   one line per update: number, settings, metrics; the same run gives the same bytes
RUN/seconds.jsonl   the time that each phase took, which no two runs share
RUN/samples.jsonl   some responses of each update with their scores
RUN/tokens.jsonl    every token of every tenth update: log-probs, values, rewards, advantages, ratio
RUN/checkpoint/     the run itself (see rllab.trainer.checkpoints)
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rllab.core.config import Config
from rllab.core.errors import LabError, Stopped
from rllab.core.files import HOLDER, LOCK, append, home_dir, locked, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import RunRecord, UpdateRecord, to_line
from rllab.reward.reward import Reward
from rllab.trainer.checkpoints import friendly_errors, saved_update
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import open_update, token_rows

SAVE_EVERY = TOKENS_EVERY = 10  # updates
BY_UPDATE = {"metrics.jsonl": "index", "seconds.jsonl": "index", "samples.jsonl": "update", "tokens.jsonl": "update"}


def new_folder(trainer: Trainer, name: str = "") -> Path:
    """Make a new folder for a run among the user's runs: `name`, or world, algorithm and seed."""
    base = name or f"{trainer.world.name}-{trainer.algorithm.name}-seed{trainer.seed}"
    safe = re.sub(r"[^\w.+-]+", "_", base).strip("._") or "run"
    runs = home_dir() / "runs"
    with friendly_errors(runs):
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(1, 10_000):
            folder = runs / (safe if number == 1 else f"{safe}-{number}")
            with contextlib.suppress(FileExistsError):  # another process may take a name at the same moment
                folder.mkdir(mode=0o700)
                return folder
    raise LabError("run folder", str(runs / safe), "there are thousands of that name; name another one with --out")


def record(trainer: Trainer, folder: Path, n: int, *, job: Job = NO_JOB) -> None:
    """Run n updates and record each on disk; the run itself is saved every tenth update, at the end and at Stop.

    An update that fails leaves a saved run behind. The folder is held meanwhile: another process that wants to
    record there is refused.

    Args:
        trainer: The run.
        folder: A new or empty folder, or the folder of this run.
        n: Number of updates.
        job: Stopping it saves the run after the last whole update.

    Raises:
        LabError: If the folder holds something else, or another process is writing there.
    """
    if n < 1:
        raise LabError("updates", n, "give a whole number of at least 1")
    with friendly_errors(folder):
        _check_free(trainer, folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder):
            _open_folder(trainer, folder)
            _record_updates(trainer, folder, n, job)


def _record_updates(trainer: Trainer, folder: Path, n: int, job: Job) -> None:
    first = trainer.index
    try:
        for done in range(n):
            job.report(done, n, describe(trainer))
            _one_update(trainer, folder, job)
            if trainer.index % SAVE_EVERY == 0:
                trainer.save(folder / "checkpoint")
    except Stopped:
        pass
    finally:
        if trainer.index > first or not (folder / "checkpoint").exists():
            trainer.save(folder / "checkpoint")
    job.report(trainer.index - first, n, describe(trainer))


def resume(folder: Path, *, reward: Reward | None = None, gold: Reward | None = None) -> Trainer:
    """Load a run where it was saved last; `record` then drops the lines of later updates, which will come again."""
    return Trainer.load(folder / "checkpoint", reward=reward, gold=gold)


def read(folder: Path) -> RunRecord:
    """Read a run's settings and history."""
    try:
        about = json.loads((folder / "config.json").read_text("utf-8"))
        config = Config(**about["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError("run folder", str(folder), "its config.json is missing or cannot be read") from error
    seconds = {row["index"]: row["seconds"] for _, row in _rows(folder / "seconds.jsonl")}
    samples: dict[int, list[Mapping[str, Any]]] = {}
    for _, row in _rows(folder / "samples.jsonl"):
        samples.setdefault(row.pop("update"), []).append(row)
    history = []
    for _, row in _rows(folder / "metrics.jsonl"):
        metrics = {name: float(value) for name, value in row["metrics"].items()}
        index = row["index"]
        history.append(UpdateRecord(index, row["config"], metrics, seconds.get(index, {}), samples.get(index, [])))
    return RunRecord(folder.name, about["world"], about["algorithm"], about["seed"], asdict(config), history)


def describe(trainer: Trainer) -> str:
    """Return in a few words how far a run is."""
    if not trainer.history:
        return "starting"
    metrics = trainer.history[-1].metrics
    gold = f", gold {metrics['eval/gold']:.3f}" if "eval/gold" in metrics else ""
    score, kl = metrics["objective/scores"], metrics["objective/kl_exact"]
    return f"update {trainer.index}: score {score:.3f}{gold}, KL {kl:.3f} nats"


def _check_free(trainer: Trainer, folder: Path) -> None:
    """Raise LabError where a folder holds something else than a run of this world, algorithm and seed."""
    if not (folder / "config.json").exists():
        others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        others = [name for name in others if name not in {LOCK, HOLDER}]
        if others:
            named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            raise LabError(
                "run folder", str(folder), f"it holds something else ({named}); name a new or an empty folder"
            )
        return
    held = read(folder)
    mine = (trainer.world.name, trainer.algorithm.name, trainer.seed)
    if (held.world, held.algorithm, held.seed) != mine:
        remedy = f"it holds a run of {held.algorithm} on {held.world} with seed {held.seed}; choose another folder"
        raise LabError("run folder", str(folder), remedy)


def _open_folder(trainer: Trainer, folder: Path) -> None:
    """Write the run's settings, or check that the folder holds the history of this very run."""
    if (folder / "config.json").exists():
        done, saved = len(read(folder).history), saved_update(folder / "checkpoint")
        if trainer.index not in {done, saved}:
            remedy = (
                f"it holds a run of {done} updates, this one has done {trainer.index}; load it again, or choose another"
            )
            raise LabError("run folder", str(folder), remedy)
        if trainer.index < done:  # updates after the last save, which come again
            for name, key in BY_UPDATE.items():
                kept = [line for line, row in _rows(folder / name) if row[key] <= trainer.index]
                write_atomically(folder / name, "".join(kept))
        return
    about = {
        "world": trainer.world.name,
        "algorithm": trainer.algorithm.name,
        "seed": trainer.seed,
        "config": asdict(trainer.config),
        "stages": list(trainer.stages.replaced),
    }
    write_atomically(folder / "config.json", json.dumps(about, indent=1) + "\n")


def _one_update(trainer: Trainer, folder: Path, job: Job) -> None:
    """Run one update and append its lines."""
    if trainer.index % TOKENS_EVERY == 0:
        opened = open_update(trainer, job=job)
        _append(folder / "tokens.jsonl", token_rows(trainer, opened))
    else:
        trainer.update(job=job)
    done = trainer.history[-1]
    _append(folder / "metrics.jsonl", [{"index": done.index, "metrics": done.metrics, "config": done.config}])
    _append(folder / "seconds.jsonl", [{"index": done.index, "seconds": done.seconds}])
    _append(folder / "samples.jsonl", [{"update": done.index, **sample} for sample in done.samples])


def _append(file: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    """Add lines to a file; a cut line at its end is read over, so there is no need to wait for the disk."""
    with friendly_errors(file.parent):
        append(file, "".join(to_line(row) + "\n" for row in rows), to_disk=False)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line with what it holds; a last line that was cut off in the middle is left out."""
    lines = file.read_text("utf-8").splitlines(keepends=True) if file.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            return
        try:
            yield line, json.loads(line)
        except ValueError as error:
            raise LabError(f"line {number} of {file.name}", line.strip(), "it is no JSON; remove that line") from error
