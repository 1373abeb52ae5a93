"""What a learner types into a box, read as a number or refused in a sentence."""

from __future__ import annotations

import math

from rllab.core.errors import LabError
from rllab.plots.text import MINUS


def read_number(label: str, value: object) -> float:
    """Return the number that was typed; which numbers make sense is the receiver's business.

    >>> read_number("KL coefficient", " 5e-2 "), read_number("lr", "\u22120.5")
    (0.05, -0.5)
    """
    number = _number(value)
    if math.isnan(number):
        raise LabError(label, str(value), "write a number, such as 0.05 or 5e-4")
    return number


def read_whole(label: str, value: object) -> int:
    """Return the whole number that was typed.

    >>> read_whole("top-k", "20")
    20
    """
    number = _number(value)
    if not number.is_integer():
        raise LabError(label, str(value), "write a whole number, such as 20")
    return int(number)


def _number(value: object) -> float:
    """Return what was typed as a number; NaN where it is none."""
    try:
        number = float(str(value).strip().replace(MINUS, "-").replace(",", "."))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
