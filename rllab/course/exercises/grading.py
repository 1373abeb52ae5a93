"""What an exercise is: a question, hints in steps, a task that can be checked, and the verdict on an answer."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rllab.core.errors import LabError

# ---- What an exercise is: a question, hints in steps, a task that can be checked, and the verdict on an a ----


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


# ---- What graders compare: rows of numbers, and functions that learners write ----

Numbers = list[float]
Given = Mapping[str, Any]


@dataclass(frozen=True)
class Program:
    """A function to write: the right one, by name what learners write instead, laws, and inputs drawn at random.

    A law takes the learner's function and one set of inputs, and gives the two sides that have to be equal.
    """

    right: Callable[..., Any]
    slips: Mapping[str, Callable[..., Any]]
    laws: Mapping[str, Callable[..., tuple[Any, Any]]]
    draw: Callable[[random.Random], Given]


def numbers(value: Any) -> Numbers:
    """Return a number, a list, an array or a tensor as a flat list of floats.

    >>> numbers(2), numbers([[1, 2], [3, 4]])
    ([2.0], [1.0, 2.0, 3.0, 4.0])
    """
    flat: Numbers = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    return flat


def rounding(value: Any) -> float:
    """Return how exact a learner's number can be: single precision is what torch makes unless told otherwise."""
    return 1e-5 if str(getattr(value, "dtype", "")).endswith("float32") else 0.0


def close(one: Sequence[float], two: Sequence[float], tolerance: float) -> bool:
    """Tell whether two rows of numbers agree entry by entry; what is no number agrees with nothing."""
    if len(one) != len(two):
        return False
    return all(math.isfinite(a) and abs(a - b) <= tolerance * (1 + 1e-9) for a, b in zip(one, two, strict=True))


# ---- Tasks that are answered by a choice, by numbers, by a function or in words ----

DRAWS = 12  # random inputs that a learner's function is tried on
LEAST_WORDS = 12
RIGHT = Verdict(right=True, reason="", share=1.0)


@dataclass(frozen=True)
class Choice:
    """Choose one option, or with `many` all that are right; each option carries its own reason.

    `reason` is what is said when the option is wrongly chosen, or, for a right one, wrongly left out.
    """

    options: Mapping[str, str]  # id -> text
    reasons: Mapping[str, str]
    right: frozenset[str]
    many: bool
    kind = "choice"

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a list of option ids."""
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
        """Return one wrong answer for each option: it alone too much, or it alone left out."""
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
        """Return the verdict on numbers, written as text or given as a list."""
        written, right = read_numbers(answer), self.right_answer()
        if len(written) != len(right):
            raise LabError("answer", answer, f"write {len(right)} numbers: {', '.join(self.entries)}")
        off = [not close([one], [two], self.tolerance) for one, two in zip(written, right, strict=True)]
        if not any(off):
            return RIGHT
        share = 1 - sum(off) / len(off)
        for values, reason in self.slips:
            if close(written, values, self.tolerance):
                return Verdict(right=False, reason=reason, share=share)
        places = ", ".join(entry for entry, wrong in zip(self.entries, off, strict=True) if wrong)
        return Verdict(right=False, reason=f"Not yet; look again at {places}.", share=share)

    def right_answer(self) -> Numbers:
        """Return the numbers that are right."""
        return numbers(self.truth(**self.given))

    def wrong_answers(self) -> list[tuple[Numbers, str]]:
        """Return what comes out of each slip."""
        return list(self.slips)


@dataclass(frozen=True)
class Code:
    """Write a function; it is tried on random inputs, against the truth, known slips and laws."""

    program: Program
    signature: str
    tolerance: float
    reasons: Mapping[str, str]  # slip or law -> reason
    kind = "code"

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a function."""
        if not callable(answer):
            raise LabError("answer", type(answer).__name__, f"hand over your function {self.signature} itself")
        cases = self._cases()
        try:
            returned = [_written(answer(**case)) for case in cases]
            tolerance = max(self.tolerance, *map(rounding, returned))
            rows = [numbers(one) for one in returned]
            fits = [self._fits(case, one, tolerance) for case, one in zip(cases, rows, strict=True)]
            if all(fits):
                return RIGHT
            return Verdict(
                right=False, reason=self._reason(answer, cases, rows, tolerance), share=sum(fits) / len(fits)
            )
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001 - the learner's own code: whatever it raises is said to the learner
            return Verdict(right=False, reason=f"Your function stopped with {type(error).__name__}: {error}.")

    def right_answer(self) -> Callable[..., Any]:
        """Return the true function."""
        return self.program.right

    def wrong_answers(self) -> list[tuple[Callable[..., Any], str]]:
        """Return the functions with a usual slip."""
        return [(slip, self.reasons[name]) for name, slip in self.program.slips.items()]

    def _cases(self) -> list[Given]:
        chance = random.Random(0)
        return [self.program.draw(chance) for _ in range(DRAWS)]

    def _fits(self, case: Given, row: Numbers, tolerance: float) -> bool:
        return close(row, numbers(self.program.right(**case)), tolerance)

    def _reason(
        self, answer: Callable[..., Any], cases: Sequence[Given], rows: Sequence[Numbers], tolerance: float
    ) -> str:
        """Name the slip that explains everything, else the law that is broken, else a case that is off."""
        for name, slip in self.program.slips.items():
            if all(close(row, numbers(slip(**case)), tolerance) for case, row in zip(cases, rows, strict=True)):
                return self.reasons[name]
        for name, law in self.program.laws.items():
            sides = (law(answer, **case) for case in cases)
            if not all(close(numbers(one), numbers(two), max(tolerance, 1e-6)) for one, two in sides):
                return self.reasons[name]
        case, row = next((c, r) for c, r in zip(cases, rows, strict=True) if not self._fits(c, r, tolerance))
        inputs = ", ".join(f"{name}={value}" for name, value in case.items())
        shown = ", ".join(f"{value:.4g}" for value in row)
        return f"For {inputs} your function returns {shown}, which is not what the definition gives."


@dataclass(frozen=True)
class Words:
    """Answer in your own words; nothing is graded, and a model answer is shown to compare with."""

    kind = "words"

    def check(self, answer: Any) -> Verdict:
        """Accept any answer that is more than a remark."""
        if len(str(answer).split()) < LEAST_WORDS:
            raise LabError("answer", str(answer), f"write at least {LEAST_WORDS} words, then compare")
        return RIGHT

    def right_answer(self) -> str:
        """Return some text that is long enough."""
        return " ".join(["words"] * LEAST_WORDS)

    def wrong_answers(self) -> list[tuple[str, str]]:
        """Return nothing: no answer in words is called wrong."""
        return []


def _written(returned: Any) -> Any:
    """Return what a learner's function gave, unless nothing is written in it yet."""
    if returned is ...:
        raise LabError("your function", "...", "write your own line in place of the dots")
    return returned


def read_numbers(answer: Any) -> Numbers:
    """Return the numbers of an answer: a list, or text with spaces or commas between them.

    >>> read_numbers("0.5, −1  2e-3"), read_numbers([1, 2])
    ([0.5, -1.0, 0.002], [1.0, 2.0])
    """
    if not isinstance(answer, str):
        return numbers(answer)
    words = [word for word in re.split(r"[,;\s]+", answer.replace("\u2212", "-")) if word]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise LabError("answer", answer, "write numbers such as 0.5, with spaces or commas between them") from None
