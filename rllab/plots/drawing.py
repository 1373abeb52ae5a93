"""One meaning per colour, in light and in dark, for panels and charts alike.

Figures are built in the light colours; the page swaps each for its dark partner, so a figure
carries no second copy. `ROLES` is the only place where a colour of the lab is written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# ---- One meaning per colour, in light and in dark, for panels and charts alike ----

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Role:
    """The colour of one kind of thing on a light and on a dark page."""

    light: str
    dark: str


ROLES: dict[str, Role] = {
    "ink": Role("#1c2430", "#e7ebf1"),
    "dim": Role("#5b6675", "#a3adbc"),
    "line": Role("#d9dee6", "#3a4250"),
    "edge": Role("#87919f", "#8a94a3"),
    "policy": Role("#0072b2", "#56b4e9"),
    "reference": Role("#8a94a3", "#8b95a4"),
    "reward": Role("#b04a00", "#ff9a4d"),
    "value": Role("#7b3fa0", "#c79bea"),
    "up": Role("#00795a", "#3fd0a0"),
    "down": Role("#a3195b", "#ff86b3"),
    "kl": Role("#8a5a00", "#e6b450"),
    "focus": Role("#0b63ce", "#7db7ff"),
}

FLAT = 0.005  # a difference that is written 0.00 has no colour
FONT = 'system-ui, -apple-system, "Segoe UI", sans-serif'


def colour(role: str) -> str:
    """Return the light colour of a role."""
    return ROLES[role].light


def faded(role: str, alpha: float) -> str:
    """Return the light colour of a role at some opacity, for bands.

    >>> faded("value", 0.18)
    'rgba(123,63,160,0.18)'
    """
    red, green, blue = (int(ROLES[role].light[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def template() -> dict[str, Any]:
    """Return the layout that every chart starts from: quiet axes, no frame, room for end labels."""
    axis = {
        "gridcolor": colour("line"),
        "linecolor": colour("edge"),
        "zeroline": False,
        "automargin": True,
        "ticklabeloverflow": "allow",
        "title": {"font": {"size": 12}, "standoff": 6},
        "tickfont": {"size": 12},
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": 12, "color": colour("dim")},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis | {"showgrid": False, "showline": True, "ticks": "outside", "ticklen": 4},
            "yaxis": axis | {"nticks": 6},
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "showlegend": False,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},  # next to the plot it takes a third
            "hovermode": "closest",
            "dragmode": False,
            "hoverlabel": {"font": {"size": 12}},
        }
    }


def direction(step: float) -> str:
    """Return the role of better or worse than usual; what is written 0.00 is neither."""
    return "edge" if abs(step) < FLAT else "up" if step > 0 else "down"


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture as plotly's page library takes it: its traces and its layout, without the lab's template.

    A panel sends it as it is, and the page lays the template under it. Plotly's own figure, which checks every setting,
    costs more than the rest of a click: it is made when it is asked for.
    """

    data: list[Mapping[str, Any]]
    layout: Mapping[str, Any]

    def figure(self) -> go.Figure:
        """Return plotly's figure of it in the lab's look, to show, to save or to change outside of a panel."""
        import plotly.graph_objects as go

        return go.Figure({"data": self.data, "layout": {**self.layout, "template": template()}})


def drawing(traces: Sequence[Mapping[str, Any]], *, x: str, y: str, layout: Mapping[str, Any]) -> Drawing:
    """Return a picture with its axes named (units included)."""
    axes = {
        "xaxis": {"title": {"text": x}} | dict(layout.get("xaxis", {})),
        "yaxis": {"title": {"text": y}} | dict(layout.get("yaxis", {})),
    }
    return Drawing(list(traces), {**layout, **axes})


# ---- A drawing with the sentence that reads it: what an explorer shows and what an experiment gives back ----

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawing, the sentence that says what is to be seen in it, and its name read aloud.

    `outcome` is what a prediction is compared with: the id of an option, or a number. `kinds` says of its numbers
    what they are, as the badges under a panel do; "average" comes without s.e..
    """

    drawing: Drawing
    words: str
    alt: str
    outcome: str | float = ""
    kinds: tuple[str, ...] = ("average",)

    @property
    def figure(self) -> go.Figure:
        """Plotly's figure of it, to show, to save or to change outside of a panel."""
        return self.drawing.figure()
