"""Errors that a learner can act on: one sentence with the field, its value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabError(ValueError):
    """Say what was wrong with one input, and what to do about it.

    Panels show the sentence as it is, so it has to make sense without a traceback.
    """

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(self.naming(field))

    def naming(self, field: str) -> str:
        """Return the sentence with the field under another name, the one that it has on a screen."""
        words = isinstance(self.value, str)
        shown = str(self.value) if words else repr(self.value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        shown = ("empty" if not shown else repr(shown)) if words else shown
        return f"{field} is {shown}: {self.remedy}"


def nearest(word: object, known: Iterable[str], *, count: int = 3) -> str:
    """Name the known words closest to an unknown one, for the end of an error sentence."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=count, cutoff=0.5) or names[:count]
    return ", ".join(close)


class Stopped(Exception):
    """A long computation was asked to stop; what it had begun is discarded."""
