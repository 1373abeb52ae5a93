"""What graders compare: rows of numbers, and functions that learners write."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

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
