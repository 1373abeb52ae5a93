"""What a learner has answered, kept in small files on this machine and nowhere else.

RLLAB_HOME/progress/02.entropy.json     one file for each exercise, so that two notebooks never meet
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rllab.core.files import home_dir, write_atomically
from rllab.course.exercises.records import Exercise, Verdict

KEPT = 50  # answers of one exercise; the oldest go first


@dataclass(frozen=True)
class Try:
    """One answer: when, what, and what was said."""

    time: str
    answer: Any
    right: bool
    reason: str


@dataclass(frozen=True)
class Entry:
    """All that is kept of one exercise or prediction."""

    tries: tuple[Try, ...] = ()
    count: int = 0  # answers in all, those that are no longer kept included
    solved: bool = False
    hints: int = 0


@dataclass(frozen=True)
class Overview:
    """How a room stands with one exercise: counts of learners, and what went wrong most often."""

    exercise: Exercise
    begun: int
    solved: int
    answers: float  # mean count of answers of those who have begun
    stumbles: tuple[tuple[str, int], ...]  # reason, how many answers; the most frequent first


class Progress:
    """The folder of one learner's answers."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = home_dir() / "progress" if folder is None else folder

    def entry(self, name: str) -> Entry:
        """Return what is kept under a name; a file that was cut off counts as none, and the next answer replaces it."""
        file = self._file(name)
        if not file.is_file():
            return Entry()
        try:
            kept = json.loads(file.read_text("utf-8"))
            tries = tuple(Try(**one) for one in kept["tries"])
            return Entry(tries, int(kept["count"]), bool(kept["solved"]), int(kept["hints"]))
        except (ValueError, KeyError, TypeError):
            return Entry()  # neither this learner's cells nor the overview of a room stop for one file

    def record(self, name: str, answer: Any, verdict: Verdict) -> Entry:
        """Keep one answer."""
        before = self.entry(name)
        one = Try(datetime.now(UTC).isoformat(timespec="seconds"), _plain(answer), verdict.right, verdict.reason)
        tries = (*before.tries, one)[-KEPT:]
        return self._write(name, Entry(tries, before.count + 1, before.solved or verdict.right, before.hints))

    def hinted(self, name: str, count: int) -> Entry:
        """Keep how many hints have been read."""
        before = self.entry(name)
        return self._write(name, replace(before, hints=max(before.hints, count)))

    def reset(self, name: str = "") -> None:
        """Forget one exercise, or everything."""
        files = [self._file(name)] if name else self.folder.glob("*.json")
        for file in files:
            file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, entry: Entry) -> Entry:
        write_atomically(self._file(name), json.dumps(asdict(entry), indent=1) + "\n")
        return entry


def overview(exercises: Iterable[Exercise], learners: Sequence[Progress]) -> list[Overview]:
    """Return how some learners stand with each exercise: for the workshop leader, from folders on this machine."""
    return [_overview(exercise, [one.entry(exercise.id) for one in learners]) for exercise in exercises]


def _overview(exercise: Exercise, entries: Sequence[Entry]) -> Overview:
    begun = [entry for entry in entries if entry.count]
    wrong = Counter(one.reason for entry in begun for one in entry.tries if not one.right)
    mean = sum(entry.count for entry in begun) / len(begun) if begun else 0.0
    return Overview(exercise, len(begun), sum(entry.solved for entry in begun), mean, tuple(wrong.most_common(3)))


def _plain(answer: Any) -> Any:
    """Return an answer as JSON can hold it; a function is kept by its name alone."""
    if callable(answer):
        return getattr(answer, "__name__", "function")
    return json.loads(json.dumps(answer, default=str))
