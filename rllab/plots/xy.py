"""Lines over two axes that describe themselves, drawn by `line_chart`; one point of a line may be pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rllab.plots.line_chart import HEIGHT, Axes, Line, line_chart

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["HEIGHT", "Axis", "Series", "lines"]


@dataclass(frozen=True)
class Series:
    """One line: its name, its points, the role that colours it, and how it is drawn."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    role: str
    dash: str = "solid"
    mode: str = "lines+markers"
    ring: int | None = None  # the place of a point that is pointed at by a large dot

    def drawn(self) -> list[Line]:
        """Return it as the chart draws it."""
        line = Line(self.name, self.x, self.y, self.role, self.dash, self.mode)
        if self.ring is None:
            return [line]
        return [line, Line("", [self.x[self.ring]], [self.y[self.ring]], self.role, mode="markers", size=12)]


@dataclass(frozen=True)
class Axis:
    """One axis: its title with the unit, whether it is logarithmic, and the stops that are written."""

    title: str
    log: bool = False
    stops: Sequence[float] = ()


def lines(series: Sequence[Series], *, x: Axis, y: Axis) -> go.Figure:
    """Draw lines with their names at their right ends."""
    axes = Axes(x.title, y.title, log_x=x.log, log_y=y.log, ticks=x.stops)
    return line_chart([line for one in series for line in one.drawn()], axes)
