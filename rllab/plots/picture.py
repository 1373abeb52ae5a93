"""A drawing with the sentence that reads it: what an explorer shows and what an experiment gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rllab.plots.theme import Drawing

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawing, the sentence that says what is to be seen in it, and its name read aloud.

    `outcome` is what a prediction is compared with: the id of an option, or a number. `kinds` says of its numbers
    what they are, as the badges under a panel do; "average" has no s.e. beside it.
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
