"""Training curves: one line per metric over the updates of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.labels import EndLabel, end_labels, span
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, drawing, faded
from rllab.trainer.comparison import Band

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


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
