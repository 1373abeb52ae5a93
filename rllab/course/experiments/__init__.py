"""Experiments with a known result, one file each, and the runs that are recorded in `data/runs/`.

Each module of this package is an experiment. It has the sizes FAST (seconds: what tests and a notebook's Run use) and
WORKSHOP (up to minutes: what is recorded), `run(size, *, job) -> Result`, the figures drawn from a result, and
`check_signature(result)`, which returns the claims that a result does not meet.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rllab.core.errors import LabError
from rllab.core.files import data_dir, write_atomically
from rllab.core.jobs import Job

Drawn = TypeVar("Drawn")

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def load_experiment(name: str) -> ModuleType:
    """Return the module of an experiment.

    Args:
        name: One of NAMES.

    Returns:
        The module, with FAST, WORKSHOP, Result, `run` and `check_signature`.
    """
    return importlib.import_module(f"{__name__}.{name}")


def unmet(claims: Mapping[str, bool]) -> list[str]:
    """Return the claims that do not hold.

    Args:
        claims: Each claim in words, and whether it holds.

    Returns:
        The words of those that do not.

    >>> unmet({"2 is even": 2 % 2 == 0, "3 is even": 3 % 2 == 0})
    ['3 is even']
    """
    return [claim for claim, holds in claims.items() if not holds]


# ---- In a notebook: Run computes the FAST size in seconds, and the recorded WORKSHOP size is drawn next to it ----


def live(experiment: ModuleType, draw: Callable[[Any], Drawn]) -> Callable[[Job], Drawn]:
    """Return the work that a prediction unlocks: run the experiment at its FAST size and draw the result.

    Args:
        experiment: A module of this package.
        draw: One of its figures.

    Returns:
        A function of the job that runs it.
    """

    def run(job: Job) -> Drawn:
        return draw(experiment.run(experiment.FAST, job=job))

    return run


def kept(experiment: ModuleType, draw: Callable[[Any], Drawn]) -> Drawn:
    """Return the figure of the recorded run.

    Args:
        experiment: A module of this package.
        draw: One of its figures.

    Returns:
        What `draw` returns.

    Raises:
        LabError: No run is recorded, or the record is of an older version.
    """
    return draw(recorded_result(experiment))


# ---- Recorded runs: the result of an experiment as JSON, with the command that makes it again ----


def record(name: str, size: Any, result: Any, *, seconds: float) -> None:
    """Save the result of an experiment in `data/runs/`.

    Args:
        name: The experiment; a further size has its name after a dash, as in critic_foresight-tales.
        size: The size it was run at.
        result: Its result, a dataclass of plain numbers.
        seconds: How long the run took.
    """
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    content = {"command": _command(name), "date": date, "seconds": round(seconds, 1)}
    content |= {"size": asdict(size), "result": asdict(result)}
    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(data_dir() / "runs" / f"{name}.json", text + "\n")


def recorded(name: str) -> dict[str, Any]:
    """Return a recorded run as it was saved: command, date, seconds, size and result.

    Args:
        name: The experiment, with a further size after a dash.

    Returns:
        The record's JSON.

    Raises:
        LabError: No run is recorded under this name.
    """
    file = data_dir() / "runs" / f"{name}.json"
    if not file.is_file():
        raise LabError("recorded run", name, f"there is none; make it with `{_command(name)}`")
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def recorded_result(experiment: ModuleType, *, size: str = "") -> Any:
    """Return a recorded result in the form in which the experiment's `run` returned it.

    Args:
        experiment: A module of this package.
        size: A further size than WORKSHOP, such as "tales".

    Returns:
        The experiment's `Result`.

    Raises:
        LabError: No run is recorded, or the record is of an older version.
    """
    name = "-".join(filter(None, (experiment.__name__.rpartition(".")[2], size)))
    content = recorded(name)["result"]
    try:
        return _restored(experiment.Result, content)
    except (KeyError, TypeError, ValueError) as error:
        remedy = f"it is of an older version; make it again with `{_command(name)}`"
        raise LabError("recorded run", name, remedy) from error


def _command(name: str) -> str:
    return f"python -m rllab.course.experiments {name}"


def _restored(kind: Any, value: Any) -> Any:
    """Return a value of a type from the plain lists and dictionaries that JSON turned it into."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        made: Any = kind
        return made(**{field.name: _restored(hints[field.name], value[field.name]) for field in fields(kind)})
    if origin is tuple:
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_restored(part, item) for part, item in zip(kinds, value, strict=True))
    return value
