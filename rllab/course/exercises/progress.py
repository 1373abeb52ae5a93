"""A learner's way through the exercises: answers and predictions, kept in small files on this machine only.

RLLAB_HOME/progress/02.entropy.json     one file for each exercise, so two notebooks never write to the same one
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

KEPT = 50  # answers of one exercise; the oldest go first
OPEN = "not run yet"


@dataclass(frozen=True)
class Try:
    """One answer: when, what, and the verdict on it."""

    time: str
    answer: Any
    right: bool
    reason: str


@dataclass(frozen=True)
class Entry:
    """All that is kept of one exercise or prediction."""

    tries: tuple[Try, ...] = ()
    count: int = 0  # all answers, including those that are no longer kept
    solved: bool = False
    hints: int = 0


class Progress:
    """The folder of one learner's answers.

    Args:
        folder: Where the files are; by default the folder `progress` in RLLAB_HOME.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = home_dir() / "progress" if folder is None else folder

    def entry(self, name: str) -> Entry:
        """Return what is kept under a name; a damaged file counts as none, and the next answer replaces it.

        Args:
            name: The exercise's id, or the prediction's name.
        """
        try:
            kept = json.loads(self._file(name).read_text("utf-8"))
            tries = tuple(Try(**row) for row in kept["tries"])
            return Entry(tries, int(kept["count"]), bool(kept["solved"]), int(kept["hints"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Entry()  # one file must not stop a learner's cells or the overview of a room

    def record(self, name: str, answer: Any, verdict: Verdict) -> Entry:
        """Save one answer and return all that is kept under the name.

        Args:
            name: The exercise's id, or the prediction's name.
            answer: Any answer; a function is kept by its name.
            verdict: The verdict on it.
        """
        before, time = self.entry(name), datetime.now(UTC).isoformat(timespec="seconds")
        kept = getattr(answer, "__name__", "function") if callable(answer) else answer
        last = Try(time, json.loads(json.dumps(kept, default=str)), verdict.right, verdict.reason)
        tries = (*before.tries, last)[-KEPT:]
        return self._write(name, Entry(tries, before.count + 1, before.solved or verdict.right, before.hints))

    def record_hints(self, name: str, count: int) -> None:
        """Save how many hints have been read.

        Args:
            name: The exercise's id.
            count: Hints read so far; a smaller number than before changes nothing.
        """
        before = self.entry(name)
        self._write(name, replace(before, hints=max(before.hints, count)))

    def reset(self, name: str = "") -> None:
        """Delete what is kept of one exercise, or everything.

        Args:
            name: The exercise's id; empty for everything.
        """
        files = [self._file(name)] if name else self.folder.glob("*.json")
        for file in files:
            file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, name: str, entry: Entry) -> Entry:
        write_atomically(self._file(name), json.dumps(asdict(entry), indent=1) + "\n")
        return entry


@dataclass(frozen=True)
class Overview:
    """How far a room is with one exercise: counts of learners, and the most frequent mistakes."""

    exercise: Exercise
    begun: int
    solved: int
    answers: float  # mean count of answers of those who have begun
    stumbles: tuple[tuple[str, int], ...]  # reason, how many answers; the most frequent first


def overview(exercises: Iterable[Exercise], learners: Sequence[Progress]) -> list[Overview]:
    """Return how far some learners are with each exercise: for the workshop leader, from folders on this machine.

    Args:
        exercises: The exercises, in the order of the result.
        learners: A folder for each learner.
    """
    found = []
    for exercise in exercises:
        entries = [learner.entry(exercise.id) for learner in learners]
        begun = [entry for entry in entries if entry.count]
        wrong = Counter(answer.reason for entry in begun for answer in entry.tries if not answer.right)
        mean = sum(entry.count for entry in begun) / len(begun) if begun else 0.0
        solved = sum(entry.solved for entry in entries)
        found.append(Overview(exercise, len(begun), solved, mean, tuple(wrong.most_common(3))))
    return found


class Attempt:
    """One learner at one exercise: hints taken, answers and the last verdict. Panels are views of it.

    Args:
        exercise: The exercise, or its id.
        progress: Where the answers are kept; by default the learner's own folder.
    """

    def __init__(self, exercise: Exercise | str, *, progress: Progress | None = None) -> None:
        self.exercise = exercise_named(exercise) if isinstance(exercise, str) else exercise
        self.progress = Progress() if progress is None else progress
        entry = self.progress.entry(self.exercise.id)
        self.hints = self.exercise.hints[: entry.hints]
        self.solved, self.count = entry.solved, entry.count
        self.verdict: Verdict | None = None

    @property
    def board(self) -> Board | None:
        """Return the board to put cards on; None if the exercise has none."""
        task = self.exercise.task
        return task if isinstance(task, Board) else None

    def submit(self, answer: Any) -> Verdict:
        """Check an answer, keep it and return the verdict.

        Args:
            answer: In the form that the exercise takes.

        Raises:
            LabError: If the answer cannot be read; it does not count as a try.
        """
        verdict = self.exercise.check(answer)
        entry = self.progress.record(self.exercise.id, answer, verdict)
        self.verdict, self.solved, self.count = verdict, entry.solved, entry.count
        return verdict

    def hint(self) -> str:
        """Return the next hint, or the last one again if there are no more."""
        self.hints = self.exercise.hints[: len(self.hints) + 1]
        self.progress.record_hints(self.exercise.id, len(self.hints))
        return self.hints[-1]

    def reset(self) -> None:
        """Delete everything that is kept of this exercise."""
        self.progress.reset(self.exercise.id)
        self.hints, self.verdict, self.solved, self.count = (), None, False, 0


class Prediction:
    """Predict, run, explain: a prediction that is kept before the run is allowed, and compared with it afterwards.

    Args:
        name: A name for the file in which it is kept.
        question: What to predict.
        options: Id -> text of each possible answer; without options a number is asked for.
        unit: The unit of the number.
        tolerance: The share by which a number may differ from the outcome.
        progress: Where it is kept; by default the learner's own folder.
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
        """Return the last prediction with its outcome; None before the first."""
        tries = self.progress.entry(self.name).tries
        return tries[-1] if tries else None

    @property
    def unlocked(self) -> bool:
        """Return whether the run is allowed: a prediction is kept."""
        return self.last is not None

    def predict(self, answer: str | float) -> None:
        """Keep a prediction.

        Args:
            answer: The id of an option, or a number.

        Raises:
            LabError: If it is none of the options.
        """
        if self.options and answer not in self.options:
            raise LabError.choice("prediction", answer, self.options.values())
        self.progress.record(self.name, answer, Verdict(right=False, reason=OPEN))

    def compare(self, outcome: str | float) -> Verdict:
        """Compare the kept prediction with the outcome, keep the result and return it.

        Args:
            outcome: The id of an option, or a number.

        Raises:
            LabError: If there is no prediction yet.
        """
        last = self.last
        if last is None:
            raise LabError("prediction", "missing", "predict first, then run")
        if isinstance(last.answer, str) or isinstance(outcome, str):
            right = last.answer == outcome
        else:
            right = abs(last.answer - outcome) <= self.tolerance * max(abs(outcome), 1e-12)
        sentence = f"You predicted {self._in_words(last.answer)}; it came out as {self._in_words(outcome)}."
        remark = "You were right." if right else "Look at the picture: what did you miss?"
        verdict = Verdict(right=right, reason=f"{sentence} {remark}")
        self.progress.record(self.name, last.answer, verdict)
        return verdict

    def again(self) -> None:
        """Delete the prediction, so that a new one can be made."""
        self.progress.reset(self.name)

    def _in_words(self, answer: str | float) -> str:
        """Return an answer as text."""
        if isinstance(answer, str):
            return f"“{self.options.get(answer, answer)}”"
        return f"{answer:.3g} {self.unit}".strip()
