"""What a learner has answered, kept in small files on this machine and nowhere else.

RLLAB_HOME/progress/02.entropy.json     one file for each exercise, so that two notebooks never meet
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rllab.core.errors import LabError
from rllab.core.files import home_dir, write_atomically
from rllab.course.exercises.boards import Board
from rllab.course.exercises.content import exercise_named
from rllab.course.exercises.grading import Exercise, Verdict

# ---- What a learner has answered, kept in small files on this machine and nowhere else ----

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


# ---- One learner at one exercise: the answer under way, hints taken, the last verdict. What a panel is a  ----


class Attempt:
    """An exercise with its state; every answer is kept in the learner's progress."""

    def __init__(self, exercise: Exercise | str, *, progress: Progress | None = None) -> None:
        self.exercise = exercise_named(exercise) if isinstance(exercise, str) else exercise
        self.progress = Progress() if progress is None else progress
        entry = self.progress.entry(self.exercise.id)
        self.hints = self.exercise.hints[: entry.hints]
        self.solved, self.count = entry.solved, entry.count
        self.verdict: Verdict | None = None

    @property
    def board(self) -> Board | None:
        """Return the board to lay cards on, where the exercise has one."""
        task = self.exercise.task
        return task if isinstance(task, Board) else None

    def submit(self, answer: Any) -> Verdict:
        """Check an answer and keep it; one that cannot be read costs no try."""
        verdict = self.exercise.check(answer)
        entry = self.progress.record(self.exercise.id, answer, verdict)
        self.verdict, self.solved, self.count = verdict, entry.solved, entry.count
        return verdict

    def hint(self) -> str:
        """Return the next hint, the last one again when there are no more."""
        self.hints = self.exercise.hints[: len(self.hints) + 1]
        self.progress.hinted(self.exercise.id, len(self.hints))
        return self.hints[-1]

    def reset(self) -> None:
        """Forget everything about this exercise."""
        self.progress.reset(self.exercise.id)
        self.hints, self.verdict, self.solved, self.count = (), None, False, 0


# ---- Predict, run, explain: a prediction that is kept before the run is allowed, and compared with it aft ----

OPEN = "not run yet"


class Prediction:
    """What a learner expects of an experiment: one of some options, or a number.

    `options` maps an id to its words; without options a number is asked for, and `tolerance` is the share by which
    it may differ from what comes out.
    """

    def __init__(
        self,
        name: str,
        question: str,
        *,
        options: Mapping[str, str] | None = None,
        unit: str = "",
        tolerance: float = 0.25,
        progress: Progress | None = None,
    ) -> None:
        self.name, self.question, self.options = f"predict.{name}", question, dict(options or {})
        self.unit, self.tolerance = unit, tolerance
        self.progress = Progress() if progress is None else progress

    @property
    def last(self) -> Try | None:
        """Return the last prediction, with what came of it; None before the first."""
        tries = self.progress.entry(self.name).tries
        return tries[-1] if tries else None

    @property
    def unlocked(self) -> bool:
        """Tell whether the run is allowed: a prediction is kept."""
        return self.last is not None

    def predict(self, answer: str | float) -> None:
        """Keep a prediction."""
        if self.options and answer not in self.options:
            raise LabError.choice("prediction", answer, self.options.values())
        self.progress.record(self.name, answer, Verdict(right=False, reason=OPEN))

    def compare(self, outcome: str | float) -> Verdict:
        """Compare the kept prediction with what came out, and keep the result."""
        last = self.last
        if last is None:
            raise LabError("prediction", "missing", "predict first, then run")
        right = self._agrees(last.answer, outcome)
        said = f"You predicted {self.words(last.answer)}; it came out as {self.words(outcome)}."
        verdict = Verdict(
            right=right, reason=said + (" You were right." if right else " Look at the picture: what did you miss?")
        )
        self.progress.record(self.name, last.answer, verdict)
        return verdict

    def again(self) -> None:
        """Forget the prediction, so that a new one can be made."""
        self.progress.reset(self.name)

    def words(self, answer: str | float) -> str:
        """Return an answer as it is read."""
        if isinstance(answer, str):
            return f"“{self.options.get(answer, answer)}”"
        return f"{answer:.3g} {self.unit}".strip()

    def _agrees(self, answer: str | float, outcome: str | float) -> bool:
        """Tell whether a prediction was right."""
        if isinstance(answer, str) or isinstance(outcome, str):
            return answer == outcome
        return abs(answer - outcome) <= self.tolerance * max(abs(outcome), 1e-12)
