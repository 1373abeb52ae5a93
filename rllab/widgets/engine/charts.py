"""The pictures of a panel: token chips, candidate bars, charts, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.plots.drawing import Drawing
from rllab.widgets.engine.components import Component, Set, Span, spans

CHART_HEIGHT = 220  # pixels
_VISIBLE = str.maketrans({" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5", "\r": "\u240d", "\u00a0": "\u237d"})


@dataclass(frozen=True)
class Chip:
    """One token of the strip: its text, the number under it, and its name read aloud.

    `tint` runs from -2 (well below zero) to 2 and always comes with a written number.
    """

    text: str
    name: str = ""
    number: str = ""
    tint: int = 0
    forced: bool = False

    def wire(self) -> dict[str, Any]:
        """Return the chip as sent, fields at their defaults left out."""
        full = {"t": self.text, "a": self.name, "n": self.number, "i": self.tint, "f": self.forced}
        return {key: value for key, value in full.items() if value or key == "t"}


@dataclass(frozen=True)
class Bar:
    """One candidate: a bar of length `width` (0 to 1), a tick for the reference, numbers next to it.

    `value` is sent back when the bar is pressed; a bar without a value (all others) cannot be pressed.
    `inner` is a second, thinner bar: what the sampler uses where that differs from the policy.
    """

    label: str
    width: float
    number: str
    value: int | None = None
    tick: float | None = None
    inner: float | None = None
    extra: tuple[Span, ...] = ()
    name: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the bar as sent; lengths in thousandths, which is less than a pixel."""
        lengths = {"width": self.width, "tick": self.tick, "inner": self.inner}
        shown = {key: _share(value) for key, value in lengths.items() if value is not None}
        words = {"label": self.label, "number": self.number, "value": self.value, "name": self.name}
        return words | shown | {"extra": spans(self.extra)}


def visible(token: str) -> str:
    r"""Return a token with its white space made visible, and a symbol for an empty one.

    >>> visible(" the\n"), visible("")
    ('␣the↵', '∅')
    """
    return token.translate(_VISIBLE) or "\u2205"


def tint(value: float, scale: float) -> int:
    """Return how strongly a number colours its chip: 0 near zero, 2 from two thirds of the scale on.

    >>> [tint(x, 0.6) for x in (-0.5, -0.2, 0.0, 0.02, 0.2, 0.6, float("nan"))]
    [-2, -1, 0, 0, 1, 2, 0]
    """
    if not scale > 0 or value != value:  # noqa: PLR0124 - true for NaN alone
        return 0
    strength = abs(value) / scale
    level = 2 if strength >= 2 / 3 else 1 if strength >= 0.1 else 0
    return level if value > 0 else -level


def chips(
    key: str,
    label: str,
    items: Sequence[Chip],
    on_set: Set,
    *,
    prompt: Sequence[str] = (),
    selected: int | None = None,
    next_name: str = "",
    quantity: str = "",
    stamp: str = "",
) -> Component:
    """Return the token strip: one list in which arrow keys move; the chosen index is sent.

    A chip without a name is named by what it shows, its number as the `quantity`.
    With `next_name` an empty dashed chip at the end represents the token that is not written yet;
    its index is the count of items. Events made on an older `stamp` are dropped.
    """
    props = {
        "label": label,
        "prompt": list(prompt),
        "items": [item.wire() for item in items],
        "selected": selected,
        "next": next_name,
        "quantity": quantity,
        "stamp": stamp,
    }
    places = len(items) + bool(next_name)
    return Component(key, "chips", props, on_set=lambda value: on_set(_index(value, places)))


def legend(key: str, *items: tuple[str, str]) -> Component:
    """Return small sample chips, each with the look ("prompt", "forced", "up"...) and its meaning."""
    return Component(key, "legend", {"items": [list(item) for item in items]})


def bars(
    key: str, label: str, items: Sequence[Bar], on_set: Set, *, rest: Bar | None = None, stamp: str = ""
) -> Component:
    """Return candidate bars: buttons in one tab stop, then a row for all others, which is not a button."""
    props = {
        "label": label,
        "items": [item.wire() for item in items],
        "rest": rest.wire() if rest else None,
        "stamp": stamp,
    }
    values = [item.value for item in items]
    return Component(key, "bars", props, on_set=lambda value: on_set(values[values.index(value)]))


def chart(key: str, drawing: Drawing, alt: str, *, height: int = 0, on_set: Set | None = None) -> Component:
    """Return a chart with a name read aloud; the page can show it as a table.

    Without a `height` it gets the height that its layout asks for, or CHART_HEIGHT.
    A click sends `{"curve", "point"}`: the number of the trace and of the point in it.
    """
    pixels = height or drawing.layout.get("height", CHART_HEIGHT)
    props = {"figure": {"data": drawing.data, "layout": drawing.layout}, "alt": alt, "height": pixels}
    return Component(key, "chart", props, on_set=on_set)


@dataclass(frozen=True)
class Column:
    """The heading of a table column; numbers are right-aligned."""

    title: str
    numeric: bool = False


def table(key: str, caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Span | str]]) -> Component:
    """Return a table with a caption that is read aloud."""
    for cells in rows:
        if len(cells) != len(columns):
            raise ValueError(f"table {key!r}: {len(cells)} cells for {len(columns)} columns")
    props: Mapping[str, Any] = {
        "caption": caption,
        "columns": [{"title": column.title, "numeric": column.numeric} for column in columns],
        "rows": [[spans([cell])[0] for cell in cells] for cells in rows],
    }
    return Component(key, "table", props)


def _share(value: float) -> float:
    """Return a length between 0 and 1; NaN has no length."""
    return round(min(1.0, max(0.0, value)), 3) if value == value else 0.0  # noqa: PLR0124 - true for NaN alone


def _index(value: object, count: int) -> int:
    """Return a position in the strip; the page can send no other."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise ValueError(f"{value!r} is not a position in a strip of {count}")
    return value
