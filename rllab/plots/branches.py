"""A tree of lines of text: each line in a lane of its own, joined to the one that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.text import esc
from rllab.plots.theme import Drawing, colour, drawing

LANE = 38  # pixels
MARGIN = 58  # pixels of the axis and the air
MOST_WORDS = 10  # tokens along the axis up to which each is named at its dot
LONGEST = 14  # letters of a token that is named


@dataclass(frozen=True)
class Strand:
    """One lane: its name, which lane it leaves and after how many tokens, and the tokens behind."""

    name: str
    above: int | None
    at: int
    tokens: Sequence[str]


def branch_tree(strands: Sequence[Strand], *, here: int, selected: int) -> Drawing:
    """Draw lines as a tree over the number of tokens written; shared beginnings are drawn once.

    `here` is the lane that the learner is on, `selected` the state. The first trace is that line from the prompt
    on; trace k+1 holds the states of lane k: point p of the first lane is state p, of others state at + 1 + p.
    """
    longest = max(strand.at + len(strand.tokens) for strand in strands)
    lanes = [_lane(strand, -row, row, longest=longest) for row, strand in enumerate(strands)]
    layout = {
        "height": height_of(len(strands)),
        "xaxis": {"range": [-0.4, max(longest, 1) + 0.7], "dtick": max(1, round(longest / 10)), "tick0": 0},
        "yaxis": {
            "range": [-len(strands) + 0.35, 0.85],
            "tickvals": [-row for row in range(len(strands))],
            "ticktext": [esc(strand.name) for strand in strands],
            "showgrid": False,
        },
        "shapes": [_joint(strand, row) for row, strand in enumerate(strands) if strand.above is not None],
    }
    return drawing([_path(strands, here, selected), *lanes], x="tokens written", y="line", layout=layout)


def height_of(lanes: int) -> int:
    """Return the pixels of a tree with so many lanes."""
    return MARGIN + LANE * lanes


def _lane(strand: Strand, y: int, row: int, *, longest: int) -> dict[str, Any]:
    """Return the states of one lane; where there is room each one is named, else the first alone."""
    first = 0 if row == 0 else strand.at + 1
    names = ["prompt", *strand.tokens] if row == 0 else list(strand.tokens)
    roomy = longest <= MOST_WORDS
    named = range(len(names) if roomy else 1)
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": esc(strand.name),
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


def _path(strands: Sequence[Strand], here: int, selected: int) -> dict[str, Any]:
    """Return the line that the learner is on, from the prompt to its end, with a ring at the selected state."""
    rows: list[int] = []
    end = strands[here].at + len(strands[here].tokens)
    place: int | None = here
    while place is not None:
        strand = strands[place]
        start = strand.at if strand.above is not None else -1
        rows = [place] * (end - start) + rows
        end, place = start, strand.above
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


def _joint(strand: Strand, row: int) -> dict[str, Any]:
    """Return the line from the state that two lanes share down to the first state of the lower one."""
    x, top = strand.at, -(strand.above or 0)
    line = {"color": colour("edge"), "width": 1}
    end = strand.at + min(1, len(strand.tokens))
    return {"type": "path", "path": f"M {x} {top} L {x} {-row} L {end} {-row}", "line": line, "layer": "below"}
