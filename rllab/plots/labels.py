"""Lines named at their end, where the eye is, instead of in a legend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.text import esc
from rllab.plots.theme import colour

LINE_PIXELS = 15.0  # height of one label
LETTER_PIXELS = 7.2  # width of one letter, on average
WRITTEN = {"edge": "dim", "reference": "dim"}  # greys that do for a line are too pale for its name


@dataclass(frozen=True)
class EndLabel:
    """The name of a line, the height at which it ends, and the role that colours it."""

    text: str
    y: float
    role: str


def end_labels(labels: Sequence[EndLabel], *, low: float, high: float, height: float) -> dict[str, Any]:
    """Return the layout that writes each name right of its line's end, apart where lines end close together.

    `low` to `high` is the span of the y axis and `height` its pixels, so that pixels become numbers.
    """
    shown = sorted((label for label in labels if math.isfinite(label.y)), key=lambda label: label.y)
    gap = LINE_PIXELS * (high - low) / height
    heights = held(spread([label.y for label in shown], gap), gap, low=low, high=high)
    widest = max((len(label.text) for label in shown), default=0)
    return {
        "annotations": [_annotation(label, y) for label, y in zip(shown, heights, strict=True)],
        "margin": {"r": 14 + LETTER_PIXELS * widest},
    }


def _annotation(label: EndLabel, y: float) -> dict[str, Any]:
    font = {"color": colour(WRITTEN.get(label.role, label.role)), "size": 12}
    place = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 6, "y": y}
    return {"text": esc(label.text), "font": font, "showarrow": False} | place


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights apart until neighbours are `gap` from each other, keeping their middle.

    >>> spread([0.0, 0.1, 5.0], 1.0)
    [-0.45, 0.55, 5.0]
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-1], gap) < _top(groups[-2], gap) + gap - 1e-12:
            last = groups.pop()
            groups[-1].extend(last)
    return [round(_bottom(group, gap) + place * gap, 10) for group in groups for place in range(len(group))]


def held(heights: Sequence[float], gap: float, *, low: float, high: float) -> list[float]:
    """Move spread heights into the span of the axis: plotly leaves out what is written beyond it.

    >>> held([0.0, 4.5, 5.5], 1.0, low=0.0, high=5.0)
    [0.0, 4.0, 5.0]
    """
    inside: list[float] = []
    for height in reversed(heights):
        inside.append(min([height, high] if not inside else [height, inside[-1] - gap]))
    lifted = itertools.accumulate(reversed(inside), lambda below, height: max(height, below + gap), initial=low - gap)
    return list(lifted)[1:]


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2


def span(values: Sequence[float], *, least: float = 0.0, around: float | None = None) -> tuple[float, float]:
    """Return the span of a y axis: all finite values, at least `least` wide, a little air on both sides."""
    finite = [value for value in values if math.isfinite(value)]
    finite += [] if around is None else [around]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    short = max(0.0, least - (high - low))
    air = 0.06 * max(high - low, least, 1e-9)
    return low - short / 2 - air, high + short / 2 + air


def names_that_fit(names: Sequence[str], *, limit: int = 10, most: int = 12, pixels: float = 380.0) -> list[int]:
    """Return which places of an axis get their name: as many, evenly apart, as do not touch each other.

    `limit` is the most letters of a name that are shown, `pixels` the width of a narrow plot.

    >>> names_that_fit(["a"] * 24), names_that_fit(["afternoon"] * 10)
    ([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], [0, 2, 4, 6, 8])
    """
    widths = [LETTER_PIXELS * min(len(name), limit) + LETTER_PIXELS for name in names]
    place = pixels / max(len(names), 1)
    for step in range(max(1, math.ceil(len(names) / most)), max(len(names), 1)):
        shown = list(range(0, len(names), step))
        if all((widths[one] + widths[two]) / 2 <= step * place for one, two in itertools.pairwise(shown)):
            return shown
    return [0] if names else []
