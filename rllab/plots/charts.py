"""Lines named at their end, where the eye is, instead of in a legend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllab.plots.drawing import Drawing, colour, drawing, faded
from rllab.plots.text import esc, significant
from rllab.trainer.comparison import Band

# ---- Lines named at their end, where the eye is, instead of in a legend ----

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


# ---- Some lines in one picture, each named at its end; with a logarithmic axis and a mark where they are  ----

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
            "y": [height if math.isfinite(height) else None for height in self.y],
            "line": {"color": colour(self.role), "width": 2, "dash": self.dash},
            "marker": {"color": colour(self.role), "size": self.size},
            "hovertemplate": "%{x:.4g}: %{y:.4g}",
        }

    def dot(self, place: int) -> Line:
        """Return a large dot at one of the line's points.

        Args:
            place: Its place in x and y.

        Returns:
            A line of that one point.
        """
        return Line("", [self.x[place]], [self.y[place]], self.role, mode="markers", size=12)


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
    shown = [line for line in lines if any(math.isfinite(y) for y in line.y)]
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
    return drawing([line.trace() for line in lines], x=axes.x, y=axes.y, layout=layout | named)


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    paint: str | Sequence[str],
    *,
    name: str = "",
    texts: Sequence[str] = (),
    horizontal: bool = False,
) -> dict[str, Any]:
    """Return a series of bars as plotly draws them.

    Args:
        labels: What each bar is called on its axis.
        values: How long each bar is.
        paint: One colour for all bars, or one for each.
        name: The series in the legend.
        texts: What is written at the end of each bar; none if empty.
        horizontal: Draw the bars from left to right, the first on top.

    Returns:
        The trace.
    """
    turn = slice(None, None, -1 if horizontal else 1)
    along, across = ("y", "x") if horizontal else ("x", "y")
    colours = paint if isinstance(paint, str) else list(paint)[turn]
    written = {"text": list(texts)[turn], "textposition": "outside", "cliponaxis": False} if texts else {}
    series = {"type": "bar", "name": name, "orientation": "h" if horizontal else "v", "marker": {"color": colours}}
    return series | {along: list(labels)[turn], across: list(values)[turn]} | written


def _x_axis(axes: Axes) -> Mapping[str, Any]:
    ticks = {"tickvals": list(axes.ticks), "ticktext": [f"{tick:,g}" for tick in axes.ticks]} if axes.ticks else {}
    return {"type": "log" if axes.log_x else "linear"} | ticks


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis with whole numbers at its ticks, where plotly would write lone small digits."""
    first, last = math.log10(low), math.log10(high)
    wide = last - first
    steps = (1.0,) if wide > 3 else (1.0, 2.0, 5.0) if wide > 1 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    ticks = [step * 10.0**power for power in range(math.floor(first), math.ceil(last)) for step in steps]
    shown = [tick for tick in ticks if low <= tick <= high]
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


# ---- Training curves: one line per metric over the updates of a run ----

CURVE_HEIGHT = 180
PLOT_HEIGHT = CURVE_HEIGHT - 56.0
BANDS_HEIGHT = 260
MOST_POINTS = 500  # per line: more cannot be told apart on a screen


@dataclass(frozen=True)
class Curve:
    """One metric: its name in the records, its name on the screen, its colour and its stroke."""

    metric: str
    label: str
    role: str
    dash: str = "solid"


@dataclass(frozen=True)
class Beside:
    """Another run under the same curves: its name, and its metrics update by update."""

    name: str
    history: Sequence[Mapping[str, float]]


def training_curves(
    history: Sequence[Mapping[str, float]],
    curves: Sequence[Curve],
    *,
    y: str,
    beside: Sequence[Beside] = (),
    least: float = 1e-2,
) -> Drawing:
    """Draw some metrics of a run, `history` being the metrics of update 1, 2, ...; other runs are thin and dotted.

    A metric that an update lacks, or that is no number there, is a gap in the line. The y axis spans `least` or more.
    """
    kept = decimated(len(history))
    lines = {curve: [history[at].get(curve.metric, math.nan) for at in kept] for curve in curves}
    others = [(run, curve, _numbers(run, curve)) for run in beside for curve in curves]
    whole = [*lines.values(), *(values for _, _, values in others)]
    low, high = span([value for values in whole for value in values], least=least)
    labels = [EndLabel(curve.label, _last(values), curve.role) for curve, values in lines.items()]
    labels += [EndLabel(run.name, _last(values), curve.role) for run, curve, values in others if curve is curves[0]]
    high += 0.05 * len(labels) * (high - low) if beside else 0.0  # a name that is moved out of the axis is not drawn
    ends = end_labels(labels if len(labels) > 1 else [], low=low, high=high, height=PLOT_HEIGHT)
    longest = max(10, len(history), *(len(run.history) for run in beside))
    layout = {
        "height": CURVE_HEIGHT,
        "xaxis": {"range": [0.5, longest + 0.5], "nticks": 5, "tickangle": 0},
        "yaxis": {"range": [low, high], "nticks": 5},
    }
    traces = [_thin(run, curve, values) for run, curve, values in others]
    traces += [_trace(curve, [at + 1 for at in kept], values) for curve, values in lines.items()]
    return drawing(traces, x="update", y=y, layout=layout | ends)


def banded_curves(bands: Mapping[str, Band], roles: Sequence[str], *, y: str) -> Drawing:
    """Draw one mean a name over updates, with the band in which it lies with 95% confidence."""
    low, high = span([value for band in bands.values() for value in (*band.low, *band.high)], least=1e-6)
    labels = [EndLabel(name, band.mean[-1], role) for (name, band), role in zip(bands.items(), roles, strict=False)]
    traces: list[dict[str, Any]] = []
    for (name, band), role in zip(bands.items(), roles, strict=False):
        around = {"x": [*band.updates, *reversed(band.updates)], "y": [*band.high, *reversed(band.low)]}
        shade = {"fill": "toself", "fillcolor": faded(role, 0.15), "line": {"width": 0}, "mode": "lines"}
        traces.append({"type": "scatter", "name": f"{esc(name)}, 95%", "hoverinfo": "skip"} | around | shade)
        traces.append(_trace(Curve(band.metric, name, role), band.updates, band.mean))
    updates = max(len(band.updates) for band in bands.values())
    ticks = {"tick0": 1, "dtick": max(1, round(updates / 8))}
    layout = {"height": BANDS_HEIGHT, "xaxis": ticks, "yaxis": {"range": [low, high], "nticks": 5}}
    ends = end_labels(labels, low=low, high=high, height=BANDS_HEIGHT - 56.0)
    return drawing(traces, x="update", y=y, layout=layout | ends)


def decimated(count: int, *, limit: int = MOST_POINTS) -> list[int]:
    """Return at most `limit` places of `count`, evenly spread, the first and the last among them.

    >>> decimated(3), decimated(10, limit=4)
    ([0, 1, 2], [0, 3, 6, 9])
    """
    if count <= limit:
        return list(range(count))
    return sorted({round(place * (count - 1) / (limit - 1)) for place in range(limit)})


def _trace(curve: Curve, x: Sequence[int], y: Sequence[float]) -> dict[str, Any]:
    """Return one line; a single point, or one between gaps, is still seen as a dot."""
    lonely = len(y) == 1 or any(not math.isfinite(value) for value in y)
    return {
        "type": "scatter",
        "x": list(x),
        "y": [value if math.isfinite(value) else None for value in y],
        "name": esc(curve.label),
        "mode": "lines+markers" if lonely else "lines",
        "line": {"color": colour(curve.role), "width": 2, "dash": curve.dash},
        "marker": {"color": colour(curve.role), "size": 4},
        "hovertemplate": "update %{x}: %{y:.4g}",
    }


def _numbers(run: Beside, curve: Curve) -> list[float]:
    return [metrics.get(curve.metric, math.nan) for metrics in run.history]


def _thin(run: Beside, curve: Curve, values: Sequence[float]) -> dict[str, Any]:
    """Return another run's line: the same colour, thin and dotted."""
    kept = decimated(len(values))
    line = _trace(curve, [at + 1 for at in kept], [values[at] for at in kept])
    stroke = {"color": colour(curve.role), "width": 1.2, "dash": "dot"}
    return line | {"name": esc(f"{run.name}: {curve.label}"), "line": stroke}
