"""Pictures of one response as rewards read it: scores of its prefixes, and what is paid at each of its tokens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.labels import EndLabel, end_labels, names_that_fit, span
from rllab.plots.steps import HEIGHT, MOST_NAMES, PLOT_HEIGHT, STATE_AXIS, over_states
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, drawing


@dataclass(frozen=True)
class Line:
    """One reward's numbers for the T tokens of a response, its name, and the look that tells it from the others."""

    name: str
    values: Sequence[float]
    role: str
    dash: str = "solid"


def prefix_lines(tokens: Sequence[str], lines: Sequence[Line], *, selected: int) -> Drawing:
    """Draw what each reward says of the text up to and with each token."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": esc(line.name),
            "x": list(range(1, len(line.values) + 1)),
            "y": list(line.values),
            "line": {"color": colour(line.role), "width": 2, "dash": line.dash},
            "marker": {"color": colour(line.role), "size": 6},
            "hovertemplate": "%{y:.3f}",
        }
        for line in lines
    ]
    labels = [EndLabel(line.name, line.values[-1], line.role) for line in lines]
    layout = over_states(tokens, selected + 1, [value for line in lines for value in line.values], labels)
    return drawing(traces, x=STATE_AXIS, y="score", layout=layout)


def payment_bars(tokens: Sequence[str], lines: Sequence[Line], *, selected: int) -> Drawing:
    """Draw what is paid at each token as bars, and what has been paid so far as lines that end at the sum."""
    sums = [list(itertools.accumulate(line.values)) for line in lines]
    numbers = [*(value for line in lines for value in line.values), *itertools.chain(*sums)]
    low, high = span(numbers, around=0.0, least=0.4)
    labels = [
        EndLabel("sum" if len(lines) == 1 else f"sum, {line.name}", row[-1], line.role)
        for line, row in zip(lines, sums, strict=True)
    ]
    shown = names_that_fit(tokens, most=MOST_NAMES, pixels=340.0)  # two lines with long names leave no more
    here = {"type": "rect", "x0": selected - 0.5, "x1": selected + 0.5, "yref": "paper", "y0": 0, "y1": 1}
    layout = {
        "height": HEIGHT,
        "barmode": "group",
        "bargap": 0.3,
        "xaxis": {"tickvals": shown, "ticktext": [esc(tokens[at], limit=10) for at in shown], "tickangle": 0},
        "yaxis": {"range": [low, high]},
        "shapes": [here | {"layer": "below", "line": {"width": 1, "color": colour("edge")}}],
    } | end_labels(labels, low=low, high=high, height=PLOT_HEIGHT)
    traces = [part for line, row in zip(lines, sums, strict=True) for part in _payment_traces(line, row)]
    return drawing(traces, x="token", y="paid (reward)", layout=layout)


def _payment_traces(line: Line, sums: Sequence[float]) -> list[dict[str, Any]]:
    places = list(range(len(sums)))
    bar = {"type": "bar", "name": esc(f"paid, {line.name}"), "x": places, "y": list(line.values)}
    total = {"type": "scatter", "mode": "lines", "name": esc(f"sum, {line.name}"), "x": places, "y": list(sums)}
    return [
        bar | {"marker": {"color": colour(line.role)}, "hovertemplate": "%{y:.3f}"},
        total | {"line": {"color": colour(line.role), "width": 1, "dash": "dot"}, "hovertemplate": "%{y:.3f}"},
    ]
