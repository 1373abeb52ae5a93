"""Training without a notebook: settings from a file, a run in a folder, runs compared as text."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rllab.core.config import OPTIONAL
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.trainer.comparison import Band, RunComparison, compare_runs
from rllab.trainer.runs import describe, new_folder, read, record, resume
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world

OFF = "none"  # how a file switches a setting off: TOML has no null
SHOWN = ("eval/gold", "objective/scores", "objective/kl_exact", "completions/mean_length", "objective/entropy")
COLUMNS = 5  # updates shown of a run, including the first and the last


@dataclass(frozen=True)
class Order:
    """What the command line asks of a run; None where an option was not given."""

    world: str | None = None
    algorithm: str | None = None
    config: Path | None = None
    seed: int | None = None
    out: Path | None = None


def settings_from(file: Path) -> dict[str, Any]:
    """Load settings from a TOML file, one `name = value` per line; "none" switches an optional one off.

    Args:
        file: The file's path.

    Returns:
        The settings by name, unchecked.

    Raises:
        LabError: The file cannot be read as TOML, or it has sections.
    """
    try:
        settings = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise LabError("settings file", str(file), "there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LabError("settings file", str(file), f"it cannot be read as TOML ({error})") from error
    for name, value in settings.items():
        if isinstance(value, dict):
            remedy = "write the settings without sections, one `name = value` per line"
            raise LabError(f"section {name} of {file.name}", sorted(value), remedy)
    return {name: None if name in OPTIONAL and value == OFF else value for name, value in settings.items()}


def begin(order: Order) -> tuple[Trainer, Path]:
    """Return a new run and its folder."""
    if order.world is None:
        raise LabError("world", None, "choose one with --world, for instance --world micro")
    settings = {} if order.config is None else settings_from(order.config)
    seed = 0 if order.seed is None else order.seed
    if seed < 0:
        raise LabError("seed", seed, "give a whole number of at least 0")
    world, algorithm = load_world(order.world), order.algorithm or "ppo"
    trainer = Trainer(world, algorithm, world.config(algorithm, **settings), seed=seed)
    folder = new_folder(trainer) if order.out is None else order.out
    if (folder / "config.json").exists():
        raise LabError("run folder", str(folder), f"it already holds a run; continue it with --resume {folder}")
    return trainer, folder


def go_on(folder: Path, order: Order) -> Trainer:
    """Load a run as it was saved last; its settings cannot change."""
    for name, value in vars(order).items():
        if value is not None:
            remedy = f"a resumed run keeps its settings; omit --{name}, or start a new run"
            raise LabError(name, str(value), remedy)
    return resume(folder)


def train(trainer: Trainer, folder: Path, updates: int, *, job: Job) -> str:
    """Train up to a number of updates in all, save each, and return a sentence about how far the run came."""
    if updates <= trainer.index:
        remedy = f"this run already has {trainer.index}; ask for more with --updates"
        raise LabError("updates", updates, remedy)
    record(trainer, folder, updates - trainer.index, job=job)
    done = f"{describe(trainer)}. It is in {folder}." if trainer.history else f"No update yet; {folder} is ready."
    if trainer.index >= updates:
        return done
    return f"Stopped. {done} Continue with: python -m rllab train --resume {folder} --updates {updates}"


def compare(folders: Sequence[Path]) -> str:
    """Return a comparison of runs as text: their different settings, and their curves at a few updates."""
    compared = compare_runs([read(folder) for folder in folders])
    metrics = [metric for metric in SHOWN if metric in compared.metrics]
    lines = compared.in_words(metrics[0])
    return "\n".join([*lines, *(line for metric in metrics for line in ("", *overlay(compared, metric)))])


def overlay(compared: RunComparison, metric: str) -> list[str]:
    """Return one table: a row per arm, a column per update, means with half their 95% interval."""
    bands = compared.bands(metric)
    length = min(len(band.updates) for band in bands.values())
    places = sorted({round(place * (length - 1) / (COLUMNS - 1)) for place in range(COLUMNS)})
    first = next(iter(bands.values()))
    wide = max(len(name) for name in (metric, *bands))
    lines = [metric.ljust(wide) + "".join(f"{f'update {first.updates[place]}':>20}" for place in places)]
    for name, band in bands.items():
        lines.append(name.ljust(wide) + "".join(f"{_cell(band, place):>20}" for place in places))
    return lines


def _cell(band: Band, place: int) -> str:
    """Format a mean with half its 95% interval; a single seed has none."""
    reach = f" ± {(band.high[place] - band.low[place]) / 2:.3f}" if band.seeds > 1 else ""
    return f"{band.mean[place]:.3f}{reach}"
