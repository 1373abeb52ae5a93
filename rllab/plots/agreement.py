"""How well a fitted reward agrees with labels: its accuracy as they grow, and whether it is as sure as it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.charts import EndLabel, end_labels
from rllab.plots.drawing import Drawing, colour, drawing
from rllab.plots.states import HEIGHT, PLOT_HEIGHT
from rllab.preferences.agreement import Bin, likely_share


@dataclass(frozen=True)
class Point:
    """One refit: on how many labels, and how often it ranks the labels kept aside as their judge did."""

    labels: int
    accuracy: float
    held_out: int
    ceiling: float | None  # where the judge of labels kept aside is known


def accuracy_curve(points: Sequence[Point]) -> Drawing:
    """Draw accuracy on labels kept aside against the number of labels, between guessing and the Bayes ceiling."""
    labels = [EndLabel("learned", points[-1].accuracy, "reward"), EndLabel("guessing", 0.5, "dim")]
    traces, known = [_learned(points)], [point for point in points if point.ceiling is not None]
    if known:
        traces.append(_ceiling(known))
        labels.append(EndLabel("ceiling", known[-1].ceiling or 0.0, "ink"))
    low, high = 0.0, 1.05
    layout = {
        "height": HEIGHT,
        "xaxis": {"range": [0, 1.1 * max(10, *(point.labels for point in points))], "nticks": 6},
        "yaxis": {"range": [low, high], "nticks": 6},
        "shapes": [_line(0.5)],
    } | end_labels(labels, low=low, high=high, height=PLOT_HEIGHT)
    return drawing(traces, x="labels", y="share ranked alike", layout=layout)


def calibration_curve(bins: Sequence[Bin]) -> Drawing:
    """Draw how often a reward is right against how sure it is; on the diagonal the two are one."""
    intervals = [likely_share(bucket.observed, bucket.count) for bucket in bins]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "pairs kept aside",
        "x": [bucket.predicted for bucket in bins],
        "y": [bucket.observed for bucket in bins],
        "error_y": _errors([bucket.observed for bucket in bins], intervals),
        "marker": {"color": colour("reward"), "size": 9},
        "hovertext": [f"{bucket.count} pairs" for bucket in bins],
        "hovertemplate": "sure %{x:.2f}, right %{y:.2f}: %{hovertext}",
    }
    diagonal = {"type": "line", "x0": 0.5, "x1": 1, "y0": 0.5, "y1": 1, "layer": "below"}
    layout = {
        "height": HEIGHT,
        "xaxis": {"range": [0.48, 1.02], "nticks": 6},
        "yaxis": {"range": [-0.05, 1.08], "nticks": 6},
        "shapes": [diagonal | {"line": {"color": colour("ink"), "width": 1, "dash": "dot"}}],
    }
    return drawing([dots], x="how sure the reward is", y="how often it is right", layout=layout)


def _learned(points: Sequence[Point]) -> dict[str, Any]:
    values = [point.accuracy for point in points]
    intervals = [likely_share(point.accuracy, point.held_out) for point in points]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "held-out accuracy",
        "x": [point.labels for point in points],
        "y": values,
        "error_y": _errors(values, intervals),
        "line": {"color": colour("reward"), "width": 2},
        "marker": {"color": colour("reward"), "size": 8},
        "hovertemplate": "%{y:.2f} after %{x} labels",
    }


def _ceiling(points: Sequence[Point]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Bayes ceiling",
        "x": [point.labels for point in points],
        "y": [point.ceiling for point in points],
        "line": {"color": colour("ink"), "width": 2, "dash": "dot"},
        "marker": {"color": colour("ink"), "size": 4},
        "hovertemplate": "no model can predict more than %{y:.2f}",
    }


def _errors(values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return error bars of one standard error, longer on the side where there is more room."""
    above = [high - value for value, (_, high) in zip(values, intervals, strict=True)]
    below = [value - low for value, (low, _) in zip(values, intervals, strict=True)]
    lengths = {"array": above, "arrayminus": below, "symmetric": False}
    return lengths | {"type": "data", "color": colour("reward"), "thickness": 1, "width": 3}


def _line(height: float) -> dict[str, Any]:
    place = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height, "layer": "below"}
    return place | {"line": {"color": colour("edge"), "width": 1, "dash": "dash"}}
