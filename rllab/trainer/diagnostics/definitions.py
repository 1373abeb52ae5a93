"""What each metric means, and the range in which healthy runs were seen to move here."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.core.records import UpdateRecord


@dataclass(frozen=True)
class Definition:
    """One metric in words."""

    name: str
    title: str
    unit: str
    definition: str
    formula: str
    rule: str  # what holds anywhere
    also: tuple[str, ...]  # names in other tools
    threads: tuple[str, ...]  # public questions about it


@dataclass(frozen=True)
class HealthyRange:
    """The smallest and the largest value in healthy runs of one world and algorithm, and how many there were."""

    low: float
    high: float
    runs: int
    updates: int

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in the range; rounding at its ends does not count."""
        slack = 1e-6 + 1e-3 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


@dataclass(frozen=True)
class Reading:
    """A metric with its last value and, where it was measured, its healthy range here."""

    definition: Definition
    value: float
    healthy: HealthyRange | None

    def in_words(self) -> str:
        """Say where the value stands."""
        about = self.definition
        unit = f" {about.unit}" if about.unit else ""
        value = "not a number" if math.isnan(self.value) else f"{self.value:.4g}{unit}"
        if self.healthy is None:
            return f"{about.title}: {value}. {about.rule}"
        place = "inside" if self.healthy.holds(self.value) else "outside"
        span = f"{self.healthy.low:.4g} to {self.healthy.high:.4g}"
        return (
            f"{about.title}: {value}, {place} what {self.healthy.runs} healthy runs showed here ({span}). {about.rule}"
        )


@functools.cache
def definitions() -> Mapping[str, Definition]:
    """Return the definitions by metric name."""
    rows: dict[str, dict[str, Any]] = _read("metrics.json")["metrics"]
    lists = {name: {key: tuple(row[key]) for key in ("also", "threads")} for name, row in rows.items()}
    return {name: Definition(name=name, **(row | lists[name])) for name, row in rows.items()}


def healthy_range(metric: str, *, world: str, algorithm: str) -> HealthyRange | None:
    """Return where healthy runs were seen to move; None where none were measured."""
    measured = _read("healthy.json").get("worlds", {}).get(world, {}).get(algorithm)
    if measured is None or metric not in measured["metrics"]:
        return None
    low, high = measured["metrics"][metric]
    return HealthyRange(low, high, measured["runs"], measured["updates"])


def readings(history: Sequence[UpdateRecord], *, world: str, algorithm: str) -> list[Reading]:
    """Return every metric of the last update with its definition and its healthy range here."""
    if not history:
        raise LabError("history", [], "the run has no finished update yet")
    known = definitions()
    return [
        Reading(known[name], value, healthy_range(name, world=world, algorithm=algorithm))
        for name, value in history[-1].metrics.items()
        if name in known
    ]


@functools.cache
def _read(name: str) -> dict[str, Any]:
    """Read one of the data files."""
    file = data_dir() / "checkup" / name
    try:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(
            "data file", str(file), "it is missing or cannot be read; get it back from the repository"
        ) from error
    return content
