"""A path through a tree of responses: V along the text, and in every state the Q of all that could follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.labels import LINE_PIXELS, span, spread
from rllab.plots.numbers import fixed, probability
from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, direction, drawing

HEIGHT = 300
PLOT_HEIGHT = HEIGHT - 60.0
WIDEST = 4.0  # pixels of the line to an action that is certain
LARGEST = 12.0  # pixels of its dot


@dataclass(frozen=True)
class Twig:
    """One action of a state on the path: how likely it is, what it is worth, whether the path goes on there."""

    token: str
    prob: float
    q: float
    advantage: float  # as it is written elsewhere
    taken: bool = False

    @property
    def words(self) -> str:
        """Return token and Q, safe for plotly."""
        text = f"{esc(self.token, limit=10)} {fixed(self.q, signed=True)}"
        return f"<b>{text}</b>" if self.taken else text

    @property
    def role(self) -> str:
        """Return the colour of better or worse than usual."""
        return direction(self.advantage)


def path_tree(values: Sequence[float], stages: Sequence[Sequence[Twig]], *, depth: int) -> Drawing:
    """Draw V of each state on a path, and behind each state a dot per action at its Q, joined to that V.

    `values` has V of the states 0, 1, ...; stage t holds the actions of state t, likeliest first. The first trace
    is V; the next ones are the likeliest action of every stage, the second likeliest and so on: a click on point t
    of trace k+1 means action k of state t. Lines and dots are as thick as actions are likely.
    """
    worth = [twig.q for twigs in stages for twig in twigs]
    low, high = span([*values, *worth], around=0.0, least=0.4)
    names = [note for stage, twigs in enumerate(stages) for note in _names(stage, twigs, (high - low) / PLOT_HEIGHT)]
    low, high = min([low, *(name["y"] for name in names)]), max([high, *(name["y"] for name in names)])
    layout = {
        "height": HEIGHT,
        "xaxis": {"range": [-0.2, max(depth, 1) + 0.9], "dtick": 1, "tick0": 0},
        "yaxis": {"range": [low, high], "nticks": 6},
        "shapes": [_branch(at, values[at], twig) for at, twigs in enumerate(stages) for twig in twigs],
        "annotations": names,
    }
    ranks = range(max((len(twigs) for twigs in stages), default=0))
    return drawing(
        [_tree_path(values), *(_rank(stages, rank) for rank in ranks)],
        x="tokens written",
        y="value (reward)",
        layout=layout,
    )


def _tree_path(values: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "V of the state",
        "x": list(range(len(values))),
        "y": list(values),
        "line": {"color": colour("value"), "width": 2},
        "marker": {"color": colour("value"), "size": 9, "symbol": "square"},
        "hovertemplate": "V %{y:.3f}<extra></extra>",
    }


def _rank(stages: Sequence[Sequence[Twig]], rank: int) -> dict[str, Any]:
    """Return the dots of the actions of one rank over all stages that have so many."""
    shown = [(at + 1, twigs[rank]) for at, twigs in enumerate(stages) if rank < len(twigs)]
    twigs = [twig for _, twig in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"Q of likeliest number {rank + 1}",
        "x": [at for at, _ in shown],
        "y": [twig.q for twig in twigs],
        "marker": {
            "color": [colour(twig.role) for twig in twigs],
            "size": [max(5.0, LARGEST * twig.prob**0.5) for twig in twigs],
        },
        "hovertext": [_hover(twig) for twig in twigs],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _names(stage: int, twigs: Sequence[Twig], pixel: float) -> list[dict[str, Any]]:
    """Return token and Q of each action, apart where dots lie close together; a pixel is so much value."""
    ordered = sorted(twigs, key=lambda twig: twig.q)
    heights = spread([twig.q for twig in ordered], LINE_PIXELS * pixel)
    place = {"x": stage + 1, "xanchor": "left", "xshift": 8, "showarrow": False, "font": {"size": 12}}
    return [
        place | {"y": height, "text": twig.words, "font": {"size": 12, "color": colour("ink" if twig.taken else "dim")}}
        for twig, height in zip(ordered, heights, strict=True)
    ]


def _branch(stage: int, value: float, twig: Twig) -> dict[str, Any]:
    line = {"width": max(0.5, WIDEST * twig.prob**0.5), "color": colour("value" if twig.taken else "line")}
    return {"type": "line", "layer": "below", "x0": stage, "y0": value, "x1": stage + 1, "y1": twig.q, "line": line}


def _hover(twig: Twig) -> str:
    shown = f"Q {fixed(twig.q, signed=True)}, A {fixed(twig.advantage, signed=True)}"
    return f"{esc(twig.token)}: \u03c0 {probability(twig.prob)}, {shown}"
