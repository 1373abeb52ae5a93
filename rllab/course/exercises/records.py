"""What an exercise is: a question, hints in steps, a task that can be checked, and the verdict on an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, repr=False)
class Verdict:
    """Whether an answer is right, why, and how much of it is right (0 to 1)."""

    right: bool
    reason: str
    more: tuple[str, ...] = ()  # further remarks, one a sentence
    share: float = 0.0

    def __repr__(self) -> str:
        """Say it in words: a verdict is often the last line of a cell."""
        return f"{'Right.' if self.right else 'Not yet.'} {' '.join([self.reason, *self.more])}"


class Task(Protocol):
    """What there is to do: one kind of answer, and how it is checked."""

    @property
    def kind(self) -> str:
        """Name the kind of answer: choice, number, code, board or words."""
        ...

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on an answer; one that cannot be read raises a LabError."""
        ...

    def right_answer(self) -> Any:
        """Return an answer that is right, in the form in which `check` takes it."""
        ...

    def wrong_answers(self) -> Sequence[tuple[Any, str]]:
        """Return the wrong answers that have a reason of their own, each with that reason."""
        ...


@dataclass(frozen=True)
class Exercise:
    """One question; `explanation` is shown when the answer is right."""

    id: str
    notebook: str
    title: str
    question: str
    hints: tuple[str, ...]
    explanation: str
    task: Task

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on an answer; a right one is told why it is right."""
        verdict = self.task.check(answer)
        return Verdict(right=True, reason=self.explanation, share=1.0) if verdict.right else verdict
