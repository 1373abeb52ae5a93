"""The numbers of a history as curves, and what a finding has to say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rllab.core.records import UpdateRecord

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
