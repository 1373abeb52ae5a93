"""One learner at one exercise: the answer under way, hints taken, the last verdict. What a panel is a view of."""

from __future__ import annotations

from typing import Any

from rllab.course.exercises.boards import Board
from rllab.course.exercises.library import exercise_named
from rllab.course.exercises.progress import Progress
from rllab.course.exercises.records import Exercise, Verdict


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
