"""Update records as lines of strict JSON, where infinity and what is not a number are words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rllab.core.errors import LabError
from rllab.core.records import UpdateRecord


def to_line(record: Mapping[str, Any]) -> str:
    """Write one object as a line of strict JSON: NaN and infinity become the texts "nan", "inf" and "-inf".

    Everything outside ASCII is escaped, so that no odd line break or half character in a text can harm the file.
    """
    return json.dumps(_strict(record), allow_nan=False)


def history_text(history: Iterable[UpdateRecord]) -> str:
    """Write a history as JSON lines, one update each."""
    return "".join(to_line(asdict(record)) + "\n" for record in history)


def read_history(file: Path) -> list[UpdateRecord]:
    """Read a history back; its metrics are numbers again."""
    lines = [(number, line) for number, line in enumerate(file.read_text("utf-8").splitlines(), 1) if line.strip()]
    return [_record(line, number, file) for number, line in lines]


def _record(line: str, number: int, file: Path) -> UpdateRecord:
    try:
        row = json.loads(line)
        row["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
        return UpdateRecord(**row)
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"line {number} of {file.name}", line, "it holds no update; load an older save") from error


def _strict(value: Any) -> Any:
    """Replace the numbers that JSON does not know by their names, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(one) for one in value]
    return value
