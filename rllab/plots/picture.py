"""A figure with the sentence that reads it: what an explorer shows and what an experiment gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, the sentence that says what is to be seen in it, and its name read aloud.

    `outcome` is what a prediction is compared with: the id of an option, or a number. `kinds` says of its numbers
    what they are, as the badges under a panel do; "average" has no s.e. beside it.
    """

    figure: go.Figure
    words: str
    alt: str
    outcome: str | float = ""
    kinds: tuple[str, ...] = ("average",)
