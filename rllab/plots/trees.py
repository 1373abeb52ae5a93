"""A tree of lines of text: each line in its own lane, joined to the line that it branches from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.charts import LINE_PIXELS, span, spread
from rllab.plots.drawing import Drawing, colour, direction, drawing
from rllab.plots.text import esc, fixed, probability

# ---- A tree of lines of text: each line in its own lane, joined to the line that it branches from ----

LANE = 38  # pixels
MARGIN = 58  # pixels of the axis and the air
MOST_WORDS = 10  # tokens along the axis up to which each is named at its dot
LONGEST = 14  # letters of a token that is named


@dataclass(frozen=True)
class Branch:
    """One lane: its name, which lane it leaves and after how many tokens, and the tokens after that."""

    name: str
    above: int | None
    at: int
    tokens: Sequence[str]


def branch_tree(branches: Sequence[Branch], *, here: int, selected: int) -> Drawing:
    """Draw lines as a tree over the number of tokens written; shared beginnings are drawn once.

    `here` is the lane that the learner is on, `selected` the state. The first trace is that line from the prompt
    on; trace k+1 holds the states of lane k: point p of the first lane is state p, of others state at + 1 + p.
    """
    longest = max(branch.at + len(branch.tokens) for branch in branches)
    lanes = [_lane(branch, -row, row, longest=longest) for row, branch in enumerate(branches)]
    layout = {
        "height": height_of(len(branches)),
        "xaxis": {"range": [-0.4, max(longest, 1) + 0.7], "dtick": max(1, round(longest / 10)), "tick0": 0},
        "yaxis": {
            "range": [-len(branches) + 0.35, 0.85],
            "tickvals": [-row for row in range(len(branches))],
            "ticktext": [esc(branch.name) for branch in branches],
            "showgrid": False,
        },
        "shapes": [_joint(branch, row) for row, branch in enumerate(branches) if branch.above is not None],
    }
    return drawing([_path(branches, here, selected), *lanes], x="tokens written", y="line", layout=layout)


def height_of(lanes: int) -> int:
    """Return the pixels of a tree with so many lanes."""
    return MARGIN + LANE * lanes


def _lane(branch: Branch, y: int, row: int, *, longest: int) -> dict[str, Any]:
    """Return the states of one lane; where there is room each one is named, else the first alone."""
    first = 0 if row == 0 else branch.at + 1
    names = ["prompt", *branch.tokens] if row == 0 else list(branch.tokens)
    roomy = longest <= MOST_WORDS
    named = range(len(names) if roomy else 1)
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": esc(branch.name),
        "x": [first + place for place in range(len(names))],
        "y": [y] * len(names),
        "text": [esc(name, limit=LONGEST) if place in named else "" for place, name in enumerate(names)],
        "textposition": "top center" if roomy else "top right",
        "textfont": {"size": 12, "color": colour("ink")},
        "line": {"color": colour("edge"), "width": 1},
        "marker": {"color": colour("edge"), "size": 7},
        "hovertext": [esc(name) for name in names],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _path(branches: Sequence[Branch], here: int, selected: int) -> dict[str, Any]:
    """Return the line that the learner is on, from the prompt to its end, with a ring at the selected state."""
    rows: list[int] = []
    end = branches[here].at + len(branches[here].tokens)
    place: int | None = here
    while place is not None:
        branch = branches[place]
        start = branch.at if branch.above is not None else -1
        rows = [place] * (end - start) + rows
        end, place = start, branch.above
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "the line on the screen",
        "x": list(range(len(rows))),
        "y": [-row for row in rows],
        "line": {"color": colour("policy"), "width": 4, "shape": "vh"},
        "marker": {
            "size": [14 if state == selected else 0 for state in range(len(rows))],
            "color": "rgba(0,0,0,0)",
            "line": {"color": colour("ink"), "width": 2},
        },
        "hoverinfo": "skip",
    }


def _joint(branch: Branch, row: int) -> dict[str, Any]:
    """Return the line from the state that two lanes share down to the first state of the lower one."""
    x, top = branch.at, -(branch.above or 0)
    line = {"color": colour("edge"), "width": 1}
    end = branch.at + min(1, len(branch.tokens))
    return {"type": "path", "path": f"M {x} {top} L {x} {-row} L {end} {-row}", "line": line, "layer": "below"}


# ---- A path through a tree of responses: V along the text, and in every state the Q of all that could fol ----

HEIGHT = 300
PLOT_HEIGHT = HEIGHT - 60.0
WIDEST = 4.0  # pixels of the line to an action that is certain
LARGEST = 12.0  # pixels of its dot


@dataclass(frozen=True)
class CandidateAction:
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


def path_tree(values: Sequence[float], stages: Sequence[Sequence[CandidateAction]], *, depth: int) -> Drawing:
    """Draw V of each state on a path, and after each state a dot per action at its Q, joined to that V.

    `values` has V of the states 0, 1, ...; stage t holds the actions of state t, likeliest first. The first trace
    is V; the next ones are the likeliest action of every stage, the second likeliest and so on: a click on point t
    of trace k+1 means action k of state t. Lines and dots are as thick as actions are likely.
    """
    worth = [action.q for actions in stages for action in actions]
    low, high = span([*values, *worth], around=0.0, least=0.4)
    pixel = (high - low) / PLOT_HEIGHT
    names = [note for stage, actions in enumerate(stages) for note in _names(stage, actions, pixel)]
    low, high = min([low, *(name["y"] for name in names)]), max([high, *(name["y"] for name in names)])
    layout = {
        "height": HEIGHT,
        "xaxis": {"range": [-0.2, max(depth, 1) + 0.9], "dtick": 1, "tick0": 0},
        "yaxis": {"range": [low, high], "nticks": 6},
        "shapes": [_branch(at, values[at], action) for at, actions in enumerate(stages) for action in actions],
        "annotations": names,
    }
    ranks = range(max((len(actions) for actions in stages), default=0))
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


def _rank(stages: Sequence[Sequence[CandidateAction]], rank: int) -> dict[str, Any]:
    """Return the dots of the actions of one rank over all stages that have so many."""
    shown = [(at + 1, actions[rank]) for at, actions in enumerate(stages) if rank < len(actions)]
    actions = [action for _, action in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"Q of likeliest number {rank + 1}",
        "x": [at for at, _ in shown],
        "y": [action.q for action in actions],
        "marker": {
            "color": [colour(action.role) for action in actions],
            "size": [max(5.0, LARGEST * action.prob**0.5) for action in actions],
        },
        "hovertext": [_hover(action) for action in actions],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _names(stage: int, actions: Sequence[CandidateAction], pixel: float) -> list[dict[str, Any]]:
    """Return token and Q of each action, apart where dots lie close together; a pixel is so much value."""
    ordered = sorted(actions, key=lambda action: action.q)
    heights = spread([action.q for action in ordered], LINE_PIXELS * pixel)
    place = {"x": stage + 1, "xanchor": "left", "xshift": 8, "showarrow": False}
    font = {"size": 12}
    return [
        place | {"y": height, "text": action.words, "font": font | {"color": colour("ink" if action.taken else "dim")}}
        for action, height in zip(ordered, heights, strict=True)
    ]


def _branch(stage: int, value: float, action: CandidateAction) -> dict[str, Any]:
    line = {"width": max(0.5, WIDEST * action.prob**0.5), "color": colour("value" if action.taken else "line")}
    return {"type": "line", "layer": "below", "x0": stage, "y0": value, "x1": stage + 1, "y1": action.q, "line": line}


def _hover(action: CandidateAction) -> str:
    shown = f"Q {fixed(action.q, signed=True)}, A {fixed(action.advantage, signed=True)}"
    return f"{esc(action.token)}: \u03c0 {probability(action.prob)}, {shown}"
