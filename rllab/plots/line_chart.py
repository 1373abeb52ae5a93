"""Some lines in one picture, each named at its end; with a logarithmic axis and a mark where they are wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllab.plots.labels import EndLabel, end_labels, span
from rllab.plots.numbers import significant
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, drawing

HEIGHT = 280
AXIS = 60.0  # pixels below the plot


@dataclass(frozen=True)
class Line:
    """One line: its name (if any), its points, its colour and stroke; with `mode` "markers" only its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    role: str
    dash: str = "solid"
    mode: str = "lines"
    size: int = 6  # of its points, in pixels

    def trace(self) -> dict[str, Any]:
        """Return it as plotly draws it."""
        return {
            "type": "scatter",
            "mode": self.mode,
            "name": esc(self.name),
            "x": list(self.x),
            "y": [one if math.isfinite(one) else None for one in self.y],
            "line": {"color": colour(self.role), "width": 2, "dash": self.dash},
            "marker": {"color": colour(self.role), "size": self.size},
            "hovertemplate": "%{x:.4g}: %{y:.4g}",
        }


@dataclass(frozen=True)
class Axes:
    """What the axes are, units included; `log_x` and `log_y` make them logarithmic, `mark` is an x with a line."""

    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    around: float | None = None  # a height that is always in sight
    mark: float | None = None
    height: int = HEIGHT
    ticks: Sequence[float] = field(default_factory=tuple)  # of x; empty: wherever plotly likes


def line_chart(lines: Sequence[Line], axes: Axes) -> Drawing:
    """Draw lines, named at their ends in their colours."""
    shown = [one for one in lines if any(math.isfinite(y) for y in one.y)]
    heights = [_height(y, log=axes.log_y) for one in shown for y in one.y]
    low, high = span(heights, around=axes.around, least=1e-3)
    labels = [EndLabel(one.name, _height(_last(one.y), log=axes.log_y), one.role) for one in shown if one.name]
    named = end_labels(labels, low=low, high=high, height=axes.height - AXIS)
    layout: dict[str, Any] = {
        "height": axes.height,
        "xaxis": _x_axis(axes),
        "yaxis": {"range": [low, high]} | (log_axis(10**low, 10**high) if axes.log_y else {"type": "linear"}),
        "shapes": [] if axes.mark is None else [_mark(axes.mark)],
    }
    return drawing([one.trace() for one in lines], x=axes.x, y=axes.y, layout=layout | named)


def _x_axis(axes: Axes) -> Mapping[str, Any]:
    ticks = {"tickvals": list(axes.ticks), "ticktext": [f"{one:,g}" for one in axes.ticks]} if axes.ticks else {}
    return {"type": "log" if axes.log_x else "linear"} | ticks


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis with whole numbers at its ticks, where plotly would write lone small digits."""
    first, last = math.log10(low), math.log10(high)
    wide = last - first
    steps = (1.0,) if wide > 3 else (1.0, 2.0, 5.0) if wide > 1 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    ticks = [step * 10.0**power for power in range(math.floor(first), math.ceil(last)) for step in steps]
    shown = [one for one in ticks if low <= one <= high]
    return {"type": "log", "tickvals": shown, "ticktext": [significant(one) for one in shown]}


def _mark(x: float) -> dict[str, Any]:
    line = {"width": 1, "color": colour("edge"), "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _height(y: float, *, log: bool) -> float:
    """Return the height on the screen: of a logarithmic axis plotly asks for the exponent."""
    if not log:
        return y
    return math.log10(y) if y > 0 and math.isfinite(y) else math.nan


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
