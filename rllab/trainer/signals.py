"""What each metric means, and the range in which healthy runs were seen to move here."""

from __future__ import annotations

import functools
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.core.records import UpdateRecord

# ---- What each metric means, and the range in which healthy runs were seen to move here ----


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
        """Return whether a value lies in the range; rounding at its ends does not count."""
        slack = 1e-6 + 1e-3 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


@dataclass(frozen=True)
class Reading:
    """A metric with its last value and, where it was measured, its healthy range here."""

    definition: Definition
    value: float
    healthy: HealthyRange | None

    def in_words(self) -> str:
        """Return where the value lies in words."""
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


# ---- The numbers of a history as curves, and what a finding has to say ----

Severity = Literal["note", "watch", "ill"]


@dataclass(frozen=True)
class Finding:
    """One thing that a run's numbers say, in words; `threads` are public questions about the same."""

    name: str
    severity: Severity  # note: healthy, but often asked about; watch: may be a fault; ill: cannot be right
    seen: str  # what the numbers show, quoted
    meaning: str  # why, and what to do
    threads: tuple[str, ...]
    since: int  # the first update that shows it


class Curves:
    """The metrics of a history by name; a metric that was not logged is an empty curve."""

    def __init__(self, history: Sequence[UpdateRecord]) -> None:
        self.history = history
        self.updates = len(history)

    def of(self, name: str) -> list[float]:
        """Return one metric over the updates."""
        return [record.metrics[name] for record in self.history if name in record.metrics]

    def asked(self, name: str) -> Any:
        """Return a setting as it is at the last update."""
        return self.history[-1].config[name]

    def ever(self, name: str) -> set[Any]:
        """Return all values that a setting has had."""
        return {record.config[name] for record in self.history}

    def first(self, shows: Callable[[UpdateRecord], bool]) -> UpdateRecord | None:
        """Return the first update that shows something, None where none does."""
        return next((record for record in self.history if shows(record)), None)


def start(values: Sequence[float], share: float = 0.2) -> list[float]:
    """Return the first part of a curve: a fifth, at least three updates."""
    return list(values[: max(3, round(share * len(values)))])


def end(values: Sequence[float], share: float = 0.2) -> list[float]:
    """Return the last part of a curve: a fifth, at least three updates."""
    return list(values[-max(3, round(share * len(values))) :])


def standard_errors(values: Sequence[float]) -> float:
    """Return how many standard errors the mean of a curve lies from 0; infinite where it never varies."""
    if len(values) < 2:
        return 0.0  # one update tells nothing of chance
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    if spread == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    return mean / (spread / math.sqrt(len(values)))


def change(values: Sequence[float]) -> tuple[float, float]:
    """Return by how much the last fifth of a curve lies above the first, and that in standard errors."""
    if len(values) < 2:
        return 0.0, 0.0
    first, last = start(values), end(values)
    moved = statistics.fmean(last) - statistics.fmean(first)
    error = math.sqrt(statistics.variance(first) / len(first) + statistics.variance(last) / len(last))
    if error == 0:
        return moved, 0.0 if moved == 0 else math.copysign(math.inf, moved)
    return moved, moved / error
