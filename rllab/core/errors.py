"""Errors that a learner can act on: one sentence with the field, its value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self

MOST_LISTED = 12  # allowed values that one sentence can hold


class LabError(ValueError):
    """Report what was wrong with one input and how to fix it, in one sentence.

    Panels show the sentence as it is, so it has to make sense without a traceback.

    >>> print(LabError("temperature", 0.0, "give a number above 0"))
    temperature is 0.0: give a number above 0

    Args:
        field: The input's name, as the learner knows it.
        value: The value that was given.
        remedy: What is wrong with it, where the value alone does not show that, and what to do.
    """

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(self.naming(field))

    @classmethod
    def choice(cls, field: str, value: object, allowed: Iterable[object], *, reason: str = "") -> Self:
        """Return the error for a value that is not one of the allowed ones.

        >>> print(LabError.choice("algorithm", "pppo", ("a2c", "ppo", "grpo")))
        algorithm is 'pppo': choose one of a2c, ppo, grpo; did you mean ppo?

        Args:
            field: The input's name, as the learner knows it.
            value: The value that was given.
            allowed: The values to choose from, in the order in which they are listed.
            reason: Why the others are not allowed, where the list alone does not show that.

        Returns:
            The error, ready to be raised.
        """
        remedy = "; ".join(filter(None, (reason, choose_from(allowed, instead_of=value))))
        return cls(field, value, remedy or "there is nothing to choose from")

    def naming(self, field: str) -> str:
        """Return the sentence with the field under another name, such as its label on a screen.

        Args:
            field: The name to use.

        Returns:
            The whole sentence; a long value is cut.
        """
        words = isinstance(self.value, str)
        shown = str(self.value) if words else repr(self.value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        shown = ("empty" if not shown else repr(shown)) if words else shown
        return f"{field} is {shown}: {self.remedy}"


def choose_from(allowed: Iterable[object], *, instead_of: object) -> str:
    """Return the end of an error sentence: the allowed values, and those that resemble the given one.

    Args:
        allowed: The values to choose from. A list of more than `MOST_LISTED` is cut, or left out where some of
            it resembles the given value.
        instead_of: The value that was given. Spelling is compared without regard to case.

    Returns:
        Such as "choose one of token, sentence, end; did you mean sentence?"; empty where nothing is allowed.
    """
    names = [str(name) for name in allowed]
    lower = {name.casefold(): name for name in reversed(names)}
    word = instead_of.casefold() if isinstance(instead_of, str) else ""
    close = [lower[match] for match in difflib.get_close_matches(word, lower, n=3, cutoff=0.5)]
    listed = ", ".join(_quoted(name) for name in names[:MOST_LISTED])
    if len(names) > MOST_LISTED:
        whole = "" if close else f"choose one of {listed}, ... ({len(names)} in all)"
    else:
        whole = f"choose one of {listed}" if names else ""
    return "; ".join(filter(None, (whole, f"did you mean {' or '.join(map(_quoted, close))}?" if close else "")))


def _quoted(name: str) -> str:
    """Return a name of several words in quotation marks, so that it can be told from the next."""
    return repr(name) if not name or any(mark.isspace() or mark == "," for mark in name) else name


class Stopped(Exception):
    """A long computation was asked to stop; partial work is discarded."""
