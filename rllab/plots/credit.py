"""Credit along one response: what was paid, each token's TD error, and the advantage that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rllab.plots.labels import EndLabel, end_labels, names_that_fit, span
from rllab.plots.steps import HEIGHT, MOST_NAMES, PLOT_HEIGHT
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, direction, drawing


def credit_bars(
    tokens: Sequence[str],
    *,
    rewards: Sequence[float],
    deltas: Sequence[float],
    advantages: Sequence[float],
    exact: Sequence[float] = (),
    selected: int,
) -> Drawing:
    """Draw reward (dots), TD error (bars) and GAE (line) of each token; the true advantage dotted where it is known."""
    low, high = span([*rewards, *deltas, *advantages, *exact], around=0.0, least=0.4)
    labels = [EndLabel("GAE", advantages[-1], "dim"), EndLabel("\u25cf r", rewards[-1], "reward")]
    traces = [
        _bars(deltas),
        _trace("r, the reward", [_paid(one) for one in rewards], "markers", "reward", size=9),
        _trace("GAE", advantages, "lines+markers", "dim") | {"marker": {"color": _signs(advantages), "size": 8}},
    ]
    if exact:
        traces.append(_trace("A exact", exact, "lines", "ink", dash="dot"))
        labels.append(EndLabel("A exact", exact[-1], "ink"))
    shown = names_that_fit(tokens, most=MOST_NAMES)
    here = {"type": "rect", "x0": selected - 0.5, "x1": selected + 0.5, "yref": "paper", "y0": 0, "y1": 1}
    layout = {
        "height": HEIGHT,
        "bargap": 0.4,
        "xaxis": {"tickvals": shown, "ticktext": [esc(tokens[at], limit=10) for at in shown], "tickangle": 0},
        "yaxis": {"range": [low, high]},
        "shapes": [here | {"layer": "below", "line": {"width": 1, "color": colour("edge")}}]
        if 0 <= selected < len(tokens)
        else [],
    } | end_labels(labels, low=low, high=high, height=PLOT_HEIGHT)
    return drawing(traces, x="token", y="reward", layout=layout)


def _paid(reward: float) -> float | None:
    """Return a reward as it is drawn: where nothing is paid there is no dot."""
    return reward if reward != 0 else None


def _signs(numbers: Sequence[float]) -> list[str]:
    """Return the colours of better and worse than usual."""
    return [colour(direction(number)) for number in numbers]


def _bars(deltas: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": "TD error \u03b4",
        "x": list(range(len(deltas))),
        "y": list(deltas),
        "marker": {"color": _signs(deltas)},
        "hovertemplate": "\u03b4 %{y:.3f}<extra></extra>",
    }


def _trace(
    name: str, values: Sequence[float | None], mode: str, role: str, *, size: int = 5, dash: str = "solid"
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "mode": mode,
        "x": list(range(len(values))),
        "y": list(values),
        "line": {"color": colour(role), "width": 2, "dash": dash},
        "marker": {"color": colour(role), "size": size},
        "hovertemplate": "%{y:.3f}",
    }
