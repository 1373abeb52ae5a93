"""Curves over the states of one line of text: the prompt alone, then the text up to and with each token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.labels import EndLabel, end_labels, names_that_fit, span
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, direction, drawing

HEIGHT = 220  # pixels of the whole picture
PLOT_HEIGHT = HEIGHT - 66.0  # what is left without the axis
MOST_NAMES = 12  # token names under the axis
MOST_DOTS = 100
HOVER = "%{y:.3f}"
STATE_AXIS = "state: the text up to and with this token"


def openness(
    tokens: Sequence[str], *, entropies: Sequence[float], surprises: Sequence[float], selected: int
) -> Drawing:
    """Draw how open each state is and how surprising the token was that was written there (nats).

    `entropies` has one number per state (T+1, not a number where nothing can follow), `surprises` one per
    token (T): the token written in state t stands at state t.
    """
    line = curve(entropies, name="entropy", role="policy")
    dots = _dots(surprises, first=0, name="surprise of the token written", role="ink")
    labels = [
        EndLabel("entropy", last_number(entropies), "policy"),
        EndLabel(f"{_dot(surprises)}surprise", last_number(surprises), "ink"),
    ]
    layout = over_states(tokens, selected, [*entropies, *surprises], labels)
    return drawing([line, dots], x=STATE_AXIS, y="nats", layout=layout)


def promise(
    tokens: Sequence[str], *, prefix_scores: Sequence[float], reward: str, values: Sequence[float], selected: int
) -> Drawing:
    """Draw what the reward says of each prefix (dots) and what the critic expects in each state (line).

    `prefix_scores` has one number per token (T): the text up to and with token t stands at state t+1.
    `values` has one per state (T+1), or none where the critic is not looked at yet.
    """
    traces, labels = [], []
    if values:
        traces.append(curve(values, name="V learned", role="value"))
        labels.append(EndLabel("V learned", last_number(values), "value"))
    traces.append(_dots(prefix_scores, first=1, name=f"{reward} on the text so far", role="reward"))
    labels.append(EndLabel(f"{_dot(prefix_scores)}{reward}", last_number(prefix_scores), "reward"))
    layout = over_states(tokens, selected, [*prefix_scores, *values], labels)
    return drawing(traces, x=STATE_AXIS, y="reward", layout=layout)


@dataclass(frozen=True)
class Outlook:
    """V along a text, and Q of what was written in each state: r + gamma V of the next one."""

    kind: str  # "exact" or "learned"; "" where nobody knows
    values: Sequence[float]  # (T+1,)
    q: Sequence[float]  # (T,)


@dataclass(frozen=True)
class Sampled:
    """V of one state from continuations."""

    state: int
    mean: float
    error: float


def steps_of_v(tokens: Sequence[str], outlook: Outlook, *, sampled: Sampled | None, selected: int) -> Drawing:
    """Draw V of each state and, at the same state, Q of the token written there: the step between is its TD error."""
    traces, labels, numbers = [], [], [*outlook.values, *outlook.q]
    if outlook.values:
        exact = outlook.kind == "exact"
        line = curve(outlook.values, name=f"V {outlook.kind}", role="ink" if exact else "value")
        dash = {"line": {"color": colour("ink"), "width": 2, "dash": "dot"}} if exact else {}
        traces += [line | dash, _written(outlook)]
        labels.append(EndLabel(f"V {outlook.kind}", last_number(outlook.values), "ink" if exact else "value"))
    if sampled is not None:
        bar = {"type": "data", "array": [sampled.error], "color": colour("value")}
        dot = _dots([sampled.mean], first=sampled.state, name="V Monte-Carlo", role="value")
        traces.append(dot | {"error_y": bar})
        numbers += [sampled.mean - sampled.error, sampled.mean + sampled.error]
        labels.append(EndLabel("\u25cf V Monte-Carlo", sampled.mean, "value"))
    layout = over_states(tokens, selected, numbers, labels)
    layout["shapes"] = [*layout["shapes"], *_rises(outlook)]
    return drawing(traces, x=STATE_AXIS, y="V, Q (reward)", layout=layout)


def _written(outlook: Outlook) -> dict[str, Any]:
    """Return Q of the tokens that were written, each over the state that it was written in."""
    dots = _dots(outlook.q, first=0, name="Q of the token written", role="value")
    roles = [direction(q - v) for v, q in zip(outlook.values, outlook.q, strict=False)]
    return dots | {"marker": {"color": [colour(role) for role in roles], "size": 8}}


def _rises(outlook: Outlook) -> list[dict[str, Any]]:
    """Return a stem from V to Q for every token that was written."""
    pairs = enumerate(zip(outlook.values, outlook.q, strict=False))
    return [
        {"type": "line", "x0": at, "x1": at, "y0": v, "y1": q, "line": {"color": colour(direction(q - v)), "width": 3}}
        for at, (v, q) in pairs
        if math.isfinite(v) and math.isfinite(q)
    ]


def over_states(
    tokens: Sequence[str], selected: int, numbers: Sequence[float], labels: Sequence[EndLabel]
) -> dict[str, Any]:
    """Return the layout over states: their names, a line at the selected one, zero, names at the lines' ends."""
    low, high = span(numbers, around=0.0, least=0.5)
    names = ["prompt", *tokens]
    shown = names_that_fit(names, most=MOST_NAMES)
    here = {"type": "line", "x0": selected, "x1": selected, "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    zero = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "layer": "below"}
    return {
        "height": HEIGHT,
        "xaxis": {
            "tickvals": shown,
            "ticktext": [esc(names[at], limit=10) for at in shown],
            "tickangle": 0,
            "range": [-0.3, max(len(names) - 1, 1) + 0.3],
        },
        "yaxis": {"range": [low, high]},
        "shapes": [
            here | {"line": {"color": colour("edge"), "width": 2}},
            zero | {"line": {"color": colour("line"), "width": 1}},
        ],
    } | end_labels(labels, low=low, high=high, height=PLOT_HEIGHT)


def curve(values: Sequence[float], *, name: str, role: str) -> dict[str, Any]:
    """Return a line over the states 0, 1, ..."""
    return {
        "type": "scatter",
        "y": list(values),
        "name": esc(name),
        "mode": "lines+markers" if len(values) <= 2 * MOST_NAMES else "lines",
        "line": {"color": colour(role), "width": 2},
        "marker": {"color": colour(role), "size": 5},
        "hovertemplate": HOVER,
    }


def _dots(values: Sequence[float], *, first: int, name: str, role: str) -> dict[str, Any]:
    """Return a dot per number; of many a thin line, because every dot is an element that the page has to draw."""
    many = len(values) > MOST_DOTS
    return {
        "type": "scatter",
        "x0": first,
        "y": list(values),
        "name": esc(name),
        "mode": "lines" if many else "markers",
        "line": {"color": colour(role), "width": 1},
        "marker": {"color": colour(role), "size": 8},
        "hovertemplate": HOVER,
    }


def _dot(values: Sequence[float]) -> str:
    """Return the sign of dots before the name of what is drawn as dots."""
    return "" if len(values) > MOST_DOTS else "\u25cf "


def last_number(values: Sequence[float]) -> float:
    """Return the last number that is one."""
    return next((value for value in reversed(values) if math.isfinite(value)), math.nan)
