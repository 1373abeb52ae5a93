"""What an exercise is, and how an answer is graded: by a choice, numbers, a function or free text.

Boards, the fifth kind of task, have a file of their own.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rllab.core.errors import LabError

Numbers = list[float]
Given = Mapping[str, Any]

DRAWS = 12  # random inputs that a learner's function is tried on
MIN_WORDS = 12
SINGLE_PRECISION = 1e-5  # how exact a float32 result can be: torch's default unless told otherwise


@dataclass(frozen=True, repr=False)
class Verdict:
    """Whether an answer is right, why, and how much of it is right (0 to 1)."""

    right: bool
    reason: str
    more: tuple[str, ...] = ()  # further remarks, a sentence each
    share: float = 0.0

    def __repr__(self) -> str:
        """Return the verdict in words: it is often the last line of a cell."""
        return f"{'Right.' if self.right else 'Not yet.'} {' '.join([self.reason, *self.more])}"


RIGHT = Verdict(right=True, reason="", share=1.0)


class Task(Protocol):
    """What to do: one kind of answer, and how it is checked."""

    @property
    def kind(self) -> str:
        """Return the kind of answer: choice, number, code, board or words."""
        ...

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on an answer; raise LabError if it cannot be read."""
        ...

    def right_answer(self) -> Any:
        """Return a right answer, in the form in which `check` takes it."""
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
        """Return the verdict on an answer; for a right one the reason is the explanation.

        Args:
            answer: In the form that the task takes.

        Raises:
            LabError: If the answer cannot be read.
        """
        verdict = self.task.check(answer)
        return Verdict(right=True, reason=self.explanation, share=1.0) if verdict.right else verdict


@dataclass(frozen=True)
class Choice:
    """Choose one option, or with `many` all that are right; each option has its own reason.

    The reason is shown when the option is wrongly chosen, or, for a right one, wrongly left out.
    """

    options: Mapping[str, str]  # id -> text
    reasons: Mapping[str, str]
    right: frozenset[str]
    many: bool
    kind = "choice"

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a list of option ids; raise LabError for unknown ones, none, or too many."""
        chosen = frozenset(answer)
        if unknown := chosen - self.options.keys():
            raise LabError.choice("answer", ", ".join(sorted(unknown)), self.options)
        if not chosen or (not self.many and len(chosen) > 1):
            raise LabError("answer", sorted(chosen), "choose all that are right" if self.many else "choose one")
        wrong = chosen - self.right or self.right - chosen
        if not wrong:
            return RIGHT
        reasons = [self.reasons[option] for option in self.options if option in wrong]
        share = 1 - len(chosen ^ self.right) / len(self.options)
        return Verdict(right=False, reason=reasons[0], more=tuple(reasons[1:]), share=share if self.many else 0.0)

    def right_answer(self) -> list[str]:
        """Return the right options in their order on the screen."""
        return [option for option in self.options if option in self.right]

    def wrong_answers(self) -> list[tuple[list[str], str]]:
        """Return one wrong answer for each option: that option alone too much, or alone left out."""
        found = []
        for option, reason in self.reasons.items():
            wrong = self.right ^ {option} if self.many else {option} - self.right
            if wrong:
                found.append((sorted(wrong), reason))
        return found


@dataclass(frozen=True)
class Number:
    """Write one number or several; what is right is computed. `slips` are known wrong answers with their reasons."""

    truth: Callable[..., Any]
    given: Given
    entries: tuple[str, ...]  # what each number is
    tolerance: float
    slips: tuple[tuple[Numbers, str], ...]
    kind = "number"

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on numbers, as text or as a list; raise LabError if they cannot be read."""
        written, right = read_numbers(answer), self.right_answer()
        if len(written) != len(right):
            raise LabError("answer", answer, f"write {len(right)} numbers: {', '.join(self.entries)}")
        off = [not close([number], [truth], self.tolerance) for number, truth in zip(written, right, strict=True)]
        if not any(off):
            return RIGHT
        share = 1 - sum(off) / len(off)
        for values, reason in self.slips:
            if close(written, values, self.tolerance):
                return Verdict(right=False, reason=reason, share=share)
        places = ", ".join(entry for entry, wrong in zip(self.entries, off, strict=True) if wrong)
        return Verdict(right=False, reason=f"Not yet; look again at {places}.", share=share)

    def right_answer(self) -> Numbers:
        """Return the right numbers."""
        return numbers(self.truth(**self.given))

    def wrong_answers(self) -> list[tuple[Numbers, str]]:
        """Return what comes out of each slip."""
        return list(self.slips)


@dataclass(frozen=True)
class Program:
    """A function to write: the right one, the usual wrong ones (slips) by name, laws, and random inputs.

    A law takes the learner's function and one set of inputs, and returns the two sides that have to be equal.
    """

    right: Callable[..., Any]
    slips: Mapping[str, Callable[..., Any]]
    laws: Mapping[str, Callable[..., tuple[Any, Any]]]
    draw: Callable[[random.Random], Given]


@dataclass(frozen=True)
class Code:
    """Write a function; it is tried on random inputs, against the truth, known slips and laws."""

    program: Program
    signature: str
    tolerance: float
    reasons: Mapping[str, str]  # slip or law -> reason
    kind = "code"

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a function; raise LabError if it is none, or not written yet."""
        if not callable(answer):
            raise LabError("answer", type(answer).__name__, f"pass your function {self.signature} itself")
        try:
            return self._grade(answer)
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001 - the learner's own code: whatever it raises is shown to the learner
            return Verdict(right=False, reason=f"Your function stopped with {type(error).__name__}: {error}.")

    def right_answer(self) -> Callable[..., Any]:
        """Return the true function."""
        return self.program.right

    def wrong_answers(self) -> list[tuple[Callable[..., Any], str]]:
        """Return the functions with a usual slip."""
        return [(slip, self.reasons[name]) for name, slip in self.program.slips.items()]

    def _grade(self, answer: Callable[..., Any]) -> Verdict:
        """Return the verdict on a function; whatever it raises is raised."""
        generator, returned = random.Random(0), []
        cases = [self.program.draw(generator) for _ in range(DRAWS)]
        for case in cases:
            returned.append(answer(**case))
            if returned[-1] is ...:
                raise LabError("your function", "...", "replace the dots with your own line")
        single = any(str(getattr(value, "dtype", "")).endswith("float32") for value in returned)
        tolerance = max(self.tolerance, SINGLE_PRECISION) if single else self.tolerance
        rows = [numbers(value) for value in returned]
        right = [numbers(self.program.right(**case)) for case in cases]
        fits = [close(row, truth, tolerance) for row, truth in zip(rows, right, strict=True)]
        if all(fits):
            return RIGHT
        reason = self._slip_or_law(answer, cases, rows, tolerance)
        if not reason:
            off = fits.index(False)
            inputs = ", ".join(f"{name}={value}" for name, value in cases[off].items())
            shown = ", ".join(f"{value:.4g}" for value in rows[off])
            reason = f"For {inputs} your function returns {shown}, which is not what the definition gives."
        return Verdict(right=False, reason=reason, share=sum(fits) / len(fits))

    def _slip_or_law(
        self, answer: Callable[..., Any], cases: Sequence[Given], rows: Sequence[Numbers], tolerance: float
    ) -> str:
        """Return the reason of the slip that explains every case, else of the law that is broken, else nothing."""
        for name, slip in self.program.slips.items():
            if all(close(row, numbers(slip(**case)), tolerance) for case, row in zip(cases, rows, strict=True)):
                return self.reasons[name]
        for name, law in self.program.laws.items():
            sides = (law(answer, **case) for case in cases)
            if not all(close(numbers(left), numbers(right), max(tolerance, 1e-6)) for left, right in sides):
                return self.reasons[name]
        return ""


@dataclass(frozen=True)
class Words:
    """Answer in your own words; nothing is graded, and a model answer is shown to compare with."""

    kind = "words"

    def check(self, answer: Any) -> Verdict:
        """Accept any answer of at least `MIN_WORDS` words; raise LabError for a shorter one."""
        if len(str(answer).split()) < MIN_WORDS:
            raise LabError("answer", str(answer), f"write at least {MIN_WORDS} words, then compare")
        return RIGHT

    def right_answer(self) -> str:
        """Return some text that is long enough."""
        return " ".join(["words"] * MIN_WORDS)

    def wrong_answers(self) -> list[tuple[str, str]]:
        """Return nothing: no answer in words is called wrong."""
        return []


def numbers(value: Any) -> Numbers:
    """Return a number, a list, an array or a tensor as a flat list of floats.

    >>> numbers(2), numbers([[1, 2], [3, 4]])
    ([2.0], [1.0, 2.0, 3.0, 4.0])

    Args:
        value: Anything that torch turns into a tensor.
    """
    flat: Numbers = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    return flat


def read_numbers(answer: Any) -> Numbers:
    """Return the numbers of an answer.

    >>> read_numbers("0.5, −1  2e-3"), read_numbers([1, 2])
    ([0.5, -1.0, 0.002], [1.0, 2.0])

    Args:
        answer: A list, or text with spaces, commas or semicolons between the numbers.

    Raises:
        LabError: If the text holds anything but numbers.
    """
    if not isinstance(answer, str):
        return numbers(answer)
    words = [word for word in re.split(r"[,;\s]+", answer.replace("\u2212", "-")) if word]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise LabError("answer", answer, "write numbers such as 0.5, with spaces or commas between them") from None


def close(row: Sequence[float], truth: Sequence[float], tolerance: float) -> bool:
    """Return whether two rows of numbers agree entry by entry; a NaN or an infinity agrees with nothing.

    Args:
        row: The learner's numbers.
        truth: The numbers to compare with.
        tolerance: The largest absolute difference.
    """
    if len(row) != len(truth):
        return False
    return all(math.isfinite(a) and abs(a - b) <= tolerance * (1 + 1e-9) for a, b in zip(row, truth, strict=True))
