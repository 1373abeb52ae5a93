"""Recorded runs: what an experiment gave, with the command that makes it again, as JSON in `data/runs/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

from rllab.core.errors import LabError
from rllab.core.files import data_dir, write_atomically


def record(name: str, size: Any, result: Any, *, seconds: float) -> None:
    """Keep the result of an experiment, a dataclass of plain numbers, with its size and date."""
    command = f"python -m rllab.course.experiments {name}"
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    content = {"command": command, "date": date, "seconds": round(seconds, 1)}
    content |= {"size": asdict(size), "result": asdict(result)}
    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(data_dir() / "runs" / f"{name}.json", text + "\n")


def recorded(name: str) -> dict[str, Any]:
    """Return the recorded result of an experiment."""
    file = data_dir() / "runs" / f"{name}.json"
    if not file.is_file():
        raise LabError("recorded run", name, f"there is none; make it with `python -m rllab.course.experiments {name}`")
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def recorded_result(experiment: ModuleType, *, size: str = "") -> Any:
    """Return a recorded result as the record that the experiment's `run` gives; `size` names one beside WORKSHOP."""
    name = "-".join(filter(None, (experiment.__name__.rpartition(".")[2], size)))
    content = recorded(name)["result"]
    try:
        return _restored(experiment.Result, content)
    except (KeyError, TypeError, ValueError) as error:
        remedy = f"it is of an older make; make it again with `python -m rllab.course.experiments {name}`"
        raise LabError("recorded run", name, remedy) from error


def _restored(kind: Any, value: Any) -> Any:
    """Make of plain lists and dictionaries what a type says they were before they became JSON."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        made: Any = kind
        return made(**{field.name: _restored(hints[field.name], value[field.name]) for field in fields(kind)})
    if origin is tuple:
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_restored(one, item) for one, item in zip(kinds, value, strict=True))
    if origin in {dict, Mapping}:
        return {_restored_key(parts[0], key): _restored(parts[1], item) for key, item in value.items()}
    return value


def _restored_key(kind: Any, key: str) -> Any:
    """Return a key that JSON has made a text of."""
    return kind(key) if kind in {int, float} else key
