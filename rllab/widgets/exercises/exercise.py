"""An exercise of any kind: options, numbers, a function, words, or a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rllab.core.errors import LabError
from rllab.course.exercises.progress import Attempt
from rllab.course.exercises.boards import Board
from rllab.course.exercises.progress import Progress
from rllab.course.exercises.grading import Exercise, Verdict
from rllab.course.exercises.boards import Table
from rllab.course.exercises.grading import Choice, Code, Number
from rllab.widgets.engine.answers import choices, prose
from rllab.widgets.engine.components import Component, Option, text
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.exercises.board import KEYS
from rllab.widgets.exercises.layout import board_cards, controls, question, reading, remarks, status


class ExercisePanel(Panel):
    """One exercise with hints in steps, retries and a reason for every wrong answer.

    A function is handed over in a cell of its own: `panel.submit(my_function)`.
    """

    def __init__(self, exercise: Exercise | str, *, progress: Progress | None = None) -> None:
        self.attempt = Attempt(exercise, progress=progress)
        self.table = Table(self.attempt.board) if self.attempt.board else None
        self.answer: Any = self._empty()
        self.title = self.attempt.exercise.title
        super().__init__()

    def view(self) -> View:
        """Draw the question, the place for the answer, and the verdict."""
        return View(
            aside=status(self.attempt),
            body=(
                question(self.attempt),
                self._field(),
                controls(self.attempt, self.check, changed=self._clear),
                *remarks(self.attempt),
            ),
            reading=reading(self.attempt),
            foot=(KEYS,) if self.table else (),
        )

    def check(self) -> None:
        """Check the answer as it stands."""
        self.attempt.submit(self.table.placement if self.table else self.answer)

    def submit(self, answer: Any) -> Verdict:
        """Check an answer from a cell, such as a function, show the verdict and return it.

        One that cannot be read costs no try and stops no cell: all cells of a notebook run before the first answer.
        """
        with self._lock:
            try:
                verdict = self.attempt.submit(answer)
            except LabError as error:
                return Verdict(right=False, reason=str(error))
            self.refresh()
        return verdict

    def _field(self) -> Component:
        """Return the place for the answer."""
        task = self.attempt.exercise.task
        if self.table is not None and isinstance(task, Board):
            return board_cards(task, self.table, self._changed, checked=self.attempt.verdict is not None)
        fields: Mapping[type, Callable[[Any], Component]] = {Choice: self._options, Number: self._numbers, Code: _code}
        return fields.get(type(task), self._words)(task)

    def _options(self, task: Choice) -> Component:
        options = [Option(name, words) for name, words in task.options.items()]
        return choices("answer", "Options", options, self.answer, self._set, many=task.many, marks=self._marks(task))

    def _marks(self, task: Choice) -> dict[str, str]:
        """Mark what was chosen and checked; what was left out is told in words alone."""
        if self.attempt.verdict is None:
            return {}
        return {name: "right" if name in task.right else "wrong" for name in self.answer}

    def _numbers(self, task: Number) -> Component:
        asked = task.entries[0] if len(task.entries) == 1 else f"{len(task.entries)} numbers: {', '.join(task.entries)}"
        return text("answer", asked, str(self.answer), self._set, enter="check", show_label=True)

    def _words(self, _task: object) -> Component:
        return text("answer", "your answer", str(self.answer), self._set, show_label=True)

    def _called(self, field: str) -> str:
        """Keep the field's own name: the label of the box is the question itself."""
        return field

    def _set(self, value: Any) -> None:
        if value != self.answer:
            self.answer = value
            self._changed()

    def _changed(self) -> None:
        self.attempt.verdict = None

    def _clear(self) -> None:
        self.answer = self._empty()
        if self.table is not None:
            self.table.clear()

    def _empty(self) -> Any:
        return [] if isinstance(self.attempt.exercise.task, Choice) else ""


def _code(task: Code) -> Component:
    return prose("answer", f"Write {task.signature} in the cell below and run that cell: its last line hands it over.")
