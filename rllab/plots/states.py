"""Curves over the states of one line of text: the prompt alone, then the text up to and with each token."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.charts import EndLabel, end_labels, names_that_fit, span
from rllab.plots.drawing import Drawing, colour, direction, drawing, faded
from rllab.plots.text import esc, fixed

# ---- Curves over the states of one line of text: the prompt alone, then the text up to and with each toke ----

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

    kind: str  # "exact" or "learned"; "" where it is unknown
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


# ---- Credit along one response: what was paid, each token's TD error, and the advantage that is made of t ----


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
        _trace("r, the reward", [_paid(reward) for reward in rewards], "markers", "reward", size=9),
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


# ---- Pictures of one response as rewards read it: scores of its prefixes, and what is paid at each of its ----


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


# ---- Pictures of values: V three ways along a text, the fan of a state's continuations, two tokens' retur ----

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
    """Draw the returns after two tokens as histograms with the same bins, their means as lines, exact ones dotted."""
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
