"""What one optimizer step changed: probabilities and log-probs of the tokens that can follow a state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.charts import span
from rllab.plots.drawing import Drawing, colour, drawing, faded
from rllab.plots.text import esc, fixed, probability

HEIGHT = 230


@dataclass(frozen=True)
class Candidate:
    """One token of a state: its probability before and after a step, and the changes of its log-prob (nats)."""

    token: str
    before: float
    after: float
    measured: float
    predicted: float

    @property
    def predicted_prob(self) -> float:
        """Return the probability that the predicted change of the log-prob leads to, at most 1."""
        return self.before * math.exp(min(self.predicted, -math.log(self.before))) if self.before > 0 else 0.0


def before_and_after(candidates: Sequence[Candidate]) -> Drawing:
    """Draw each candidate's probability before (pale) and after (full), and where the gradient predicted it (line)."""
    traces = [
        _bars("before", [candidate.before for candidate in candidates], faded("policy", 0.35)),
        _bars("after", [candidate.after for candidate in candidates], colour("policy")),
        _ticks("predicted", [candidate.predicted_prob for candidate in candidates]),
    ]
    most = max(max(candidate.before, candidate.after, candidate.predicted_prob) for candidate in candidates)
    layout = _layout(candidates) | {"yaxis": {"range": [0, 1.1 * most]}, "barmode": "group", "bargap": 0.3}
    return drawing(traces, x="next token", y="probability", layout=layout)


def change_bars(candidates: Sequence[Candidate]) -> Drawing:
    """Draw the measured change of each candidate's log-prob (bar) next to the predicted one (line)."""
    measured, predicted = (
        [candidate.measured for candidate in candidates],
        [candidate.predicted for candidate in candidates],
    )
    low, high = span([*measured, *predicted], around=0.0, least=1e-6)
    signs = [colour("up" if change > 0 else "down") for change in measured]
    traces = [_bars("measured", measured, signs), _ticks("predicted", predicted)]
    zero = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": colour("edge")}}
    layout = _layout(candidates) | {"yaxis": {"range": [low, high]}, "shapes": [zero], "bargap": 0.4}
    return drawing(traces, x="next token", y="change of log \u03c0 (nats)", layout=layout)


def _layout(candidates: Sequence[Candidate]) -> dict[str, Any]:
    places = list(range(len(candidates)))
    names = [esc(candidate.token, limit=9) for candidate in candidates]
    return {
        "height": HEIGHT,
        "xaxis": {"tickvals": places, "ticktext": names, "range": [-0.6, len(places) - 0.4]},
    }


def _bars(name: str, heights: Sequence[float], colours: str | list[str]) -> dict[str, Any]:
    written = [fixed(height, 3, signed=True) if name == "measured" else probability(height) for height in heights]
    return {
        "type": "bar",
        "name": name,
        "x": list(range(len(heights))),
        "y": list(heights),
        "marker": {"color": colours, "line": {"color": colour("policy"), "width": 1.5 if name == "before" else 0}},
        "hovertext": [f"{name} {note}" for note in written],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _ticks(name: str, heights: Sequence[float]) -> dict[str, Any]:
    """Return a short thick line at each height."""
    marker = {"symbol": "line-ew", "size": 22, "line": {"width": 3, "color": colour("ink")}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(range(len(heights))),
        "y": list(heights),
        "marker": marker,
        "hovertext": [f"{name} {fixed(height, 3, signed=True)}" for height in heights],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
