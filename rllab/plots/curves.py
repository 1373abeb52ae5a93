"""Training curves: one line per metric over the updates of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rllab.plots.labels import EndLabel, end_labels, span
from rllab.plots.text import esc
from rllab.plots.theme import colour, figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 180
PLOT_HEIGHT = HEIGHT - 56.0
MOST_POINTS = 500  # per line: more cannot be told apart on a screen


@dataclass(frozen=True)
class Curve:
    """One metric: its name in the records, its name on the screen, its colour and its stroke."""

    metric: str
    label: str
    role: str
    dash: str = "solid"


def training_curves(history: Sequence[Mapping[str, float]], curves: Sequence[Curve], *, y: str) -> go.Figure:
    """Draw some metrics of a run, `history` being the metrics of update 1, 2, ...

    A metric that an update lacks, or that is no number there, is a gap in the line.
    """
    kept = decimated(len(history))
    lines = {curve: [history[at].get(curve.metric, math.nan) for at in kept] for curve in curves}
    low, high = span([value for values in lines.values() for value in values], least=1e-6)
    labels = [EndLabel(curve.label, _last(values), curve.role) for curve, values in lines.items()]
    ends = end_labels(labels if len(curves) > 1 else [], low=low, high=high, height=PLOT_HEIGHT)
    layout = {
        "height": HEIGHT,
        "xaxis": {"range": [0.5, max(len(history), 10) + 0.5], "nticks": 5, "tickangle": 0},
        "yaxis": {"range": [low, high], "nticks": 5},
    }
    traces = [_trace(curve, [at + 1 for at in kept], values) for curve, values in lines.items()]
    return figure(traces, x="update", y=y, layout=layout | ends)


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


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
