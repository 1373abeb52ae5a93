"""Pictures of values: V three ways along a text, the fan of a state's continuations, two tokens' returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.labels import EndLabel, span
from rllab.plots.numbers import fixed
from rllab.plots.steps import HEIGHT, curve, last_number, over_states
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, drawing, faded

BINS = 12
TRUE = {"color": colour("ink"), "width": 2, "dash": "dot"}  # the line of a number that is exact
PAIR = ("value", "reward")  # the colours of two tokens that are compared
MOST_LINES = 40  # of a fan: more cannot be told apart


@dataclass(frozen=True)
class Ways:
    """V of the states 0..T in each way that is known; empty where it is not."""

    learned: Sequence[float] = ()
    sampled: Sequence[float] = ()
    errors: Sequence[float] = ()  # standard errors of the sampled ones
    exact: Sequence[float] = ()


def three_ways(tokens: Sequence[str], ways: Ways, *, selected: int) -> Drawing:
    """Draw V along a text: learned (line), Monte-Carlo (band of one standard error), exact (dotted)."""
    traces, labels, numbers = [], [], [*ways.learned, *ways.sampled, *ways.exact]
    if ways.sampled:
        low = [mean - error for mean, error in zip(ways.sampled, ways.errors, strict=True)]
        high = [mean + error for mean, error in zip(ways.sampled, ways.errors, strict=True)]
        numbers += [*low, *high]
        traces += [*_band(low, high), _sampled_dots(ways.sampled, ways.errors)]
        labels.append(EndLabel("Monte-Carlo", last_number(ways.sampled), "value"))
    if ways.learned:
        traces.append(curve(ways.learned, name="V learned", role="value"))
        labels.append(EndLabel("learned", last_number(ways.learned), "value"))
    if ways.exact:
        line = curve(ways.exact, name="V exact", role="ink")
        mode = "lines" if len(ways.exact) > 1 else "markers"  # a line needs two states to be seen
        traces.append(line | {"mode": mode, "line": TRUE})
        labels.append(EndLabel("exact", last_number(ways.exact), "ink"))
    layout = over_states(tokens, selected, numbers, labels)
    return drawing(traces, x="state: the text up to and with this token", y="V (reward)", layout=layout)


def fan_of(
    forecasts: Sequence[Sequence[float]], returns: Sequence[float], *, start: int, exact: float | None = None
) -> Drawing:
    """Draw what is expected of each continuation as it goes on, and how often they end where; the exact V dotted."""
    low, high = span([*returns, *(value for row in forecasts for value in row)], least=0.2)
    longest = max(len(row) for row in forecasts)
    traces = [_ray(row, start) for row in forecasts[:MOST_LINES]]
    traces.append(_histogram(returns, low, high, role="reward", name="continuations") | {"xaxis": "x2"})
    mean = sum(returns) / len(returns)
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": mean, "y1": mean}
    layout = {
        "height": HEIGHT,
        "xaxis": {"domain": [0, 0.68], "range": [start - 0.2, start + longest - 0.8], "nticks": 6},
        "xaxis2": {"domain": [0.72, 1], "anchor": "y", "title": {"text": "how many"}, "nticks": 3},
        "yaxis": {"range": [low, high]},
        "shapes": [
            line | {"line": {"color": colour("value"), "width": 1, "dash": "dash"}},
            *([] if exact is None else [line | {"y0": exact, "y1": exact, "line": TRUE}]),
        ],
        "bargap": 0.05,
    }
    return drawing(traces, x="tokens written", y="return (reward)", layout=layout)


def two_histograms(names: Sequence[str], returns: Sequence[Sequence[float]], *, exact: Sequence[float] = ()) -> Drawing:
    """Draw the returns behind two tokens as histograms with the same bins, their means as lines, exact ones dotted."""
    low, high = span([value for one in returns for value in one], least=0.2)
    means = [sum(one) / len(one) for one in returns]
    traces, lines, notes = [], [], []
    for at, (name, one, role) in enumerate(zip(names, returns, PAIR, strict=True)):
        middles, counts = histogram(one, low, high)
        upright = {"orientation": "v", "x": middles, "y": counts, "hovertemplate": "%{y} near %{x:.2f}"}
        traces.append(_histogram(one, low, high, role=role, name=name) | upright)
        place = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": means[at], "x1": means[at]}
        lines.append(place | {"line": {"color": colour(role), "width": 2}})
        words = f"{esc(name, limit=12)} {fixed(means[at], signed=True)}"
        notes.append(_mean_note(words, means[at], role, left=means[at] < max(means)) | {"yshift": 14 * at})
    lines += [{"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": one, "x1": one, "line": TRUE} for one in exact]
    ticks = {"tick0": 0.0, "dtick": round_step(high - low)}  # or plotly writes the odd middle of every bin
    layout = {"height": HEIGHT, "barmode": "group", "shapes": lines, "annotations": notes, "margin": {"t": 36}}
    layout |= {"xaxis": ticks}
    return drawing(traces, x="return (reward)", y="continuations", layout=layout)


def round_step(width: float, *, stops: int = 6) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that puts at most so many stops on an axis.

    >>> round_step(3.5), round_step(12.0), round_step(0.5)
    (1.0, 2.0, 0.1)
    """
    power = 10.0 ** math.floor(math.log10(width / stops))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if width <= stops * factor * power)


def _mean_note(words: str, mean: float, role: str, *, left: bool) -> dict[str, Any]:
    place = {"x": mean, "yref": "paper", "y": 1, "yanchor": "bottom", "xanchor": "right" if left else "left"}
    return place | {"text": words, "showarrow": False, "font": {"color": colour(role), "size": 12}}


def histogram(returns: Sequence[float], low: float, high: float) -> tuple[list[float], list[int]]:
    """Return the middles of the bins from low to high and how many numbers fall into each.

    >>> histogram([0.1, 0.1, 0.9], 0.0, 12.0)[1][:2]
    [3, 0]
    """
    width = (high - low) / BINS
    counts = [0] * BINS
    for value in returns:
        counts[min(BINS - 1, max(0, math.floor((value - low) / width)))] += 1
    return [low + (at + 0.5) * width for at in range(BINS)], counts


def _histogram(returns: Sequence[float], low: float, high: float, *, role: str, name: str) -> dict[str, Any]:
    middles, counts = histogram(returns, low, high)
    return {
        "type": "bar",
        "orientation": "h",
        "name": esc(name),
        "x": counts,
        "y": middles,
        "marker": {"color": colour(role)},
        "hovertemplate": "%{x} near %{y:.2f}",
    }


def _ray(forecast: Sequence[float], start: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "one continuation",
        "x": list(range(start, start + len(forecast))),
        "y": list(forecast),
        "line": {"color": faded("value", 0.35), "width": 1},
        "hoverinfo": "skip",
    }


def _band(low: Sequence[float], high: Sequence[float]) -> list[dict[str, Any]]:
    edge = {"type": "scatter", "mode": "lines", "x": list(range(len(low))), "line": {"width": 0}, "hoverinfo": "skip"}
    lower = edge | {"name": "one standard error below", "y": list(low)}
    upper = edge | {"name": "one standard error above", "y": list(high)}
    return [lower, upper | {"fill": "tonexty", "fillcolor": faded("value", 0.18)}]


def _sampled_dots(means: Sequence[float], errors: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "V Monte-Carlo",
        "x": list(range(len(means))),
        "y": list(means),
        "marker": {"color": colour("value"), "size": 7, "symbol": "line-ew-open"},
        "hovertext": [f"{fixed(mean, 3)} \u00b1 {fixed(error, 3)}" for mean, error in zip(means, errors, strict=True)],
        "hovertemplate": "%{hovertext}",
    }
