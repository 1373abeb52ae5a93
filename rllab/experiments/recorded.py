"""Recorded runs: what an experiment gave, with the command that makes it again, as JSON in `data/runs/`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rllab.errors import LabError
from rllab.paths import data_dir, write_atomically


def record(name: str, size: Any, result: Any, *, seconds: float) -> None:
    """Keep the result of an experiment, a dataclass of plain numbers, with its size and date."""
    command = f"python -m rllab.experiments {name}"
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    content = {"command": command, "date": date, "seconds": round(seconds, 1)}
    content |= {"size": asdict(size), "result": asdict(result)}
    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(data_dir() / "runs" / f"{name}.json", text + "\n")


def recorded(name: str) -> dict[str, Any]:
    """Return the recorded result of an experiment."""
    file = data_dir() / "runs" / f"{name}.json"
    if not file.is_file():
        raise LabError("recorded run", name, f"there is none; make it with `python -m rllab.experiments {name}`")
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content
