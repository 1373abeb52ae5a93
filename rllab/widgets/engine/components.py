"""What a panel is made of: small typed functions that describe a tree, which the page draws.

A component has a key that stays the same while the panel lives, so the page updates it in place
and focus, scroll and zoom survive. Its actions are Python functions: `on_press` without a value,
`on_set` with the value that the page sent, which is input and therefore checked by the receiver.
A `label` is read aloud where it is not drawn. Pictures (chips, bars, charts, tables) are in `charts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllab.core.errors import LabError
from rllab.plots.text import MINUS, fixed

Press = Callable[[], object]
Set = Callable[[Any], object]
Move = Callable[[str, str, int], object]  # card, place, before which card there


@dataclass(frozen=True)
class Component:
    """One node of the tree: its kind, what the page needs to draw it, and the functions that answer it."""

    key: str
    kind: str
    props: Mapping[str, Any] = field(default_factory=dict)
    children: tuple[Component, ...] = ()
    on_press: Press | None = None
    on_set: Set | None = None


@dataclass(frozen=True)
class Span:
    """A piece of running text: plain, bold, coloured by sign, or a term with its explanation."""

    text: str
    bold: bool = False
    tone: str = ""  # "up", "down", "dim" or ""
    tip: str = ""


Words = tuple[Span | str, ...]  # a sentence, its numbers bold


@dataclass(frozen=True)
class Option:
    """One choice of a select, of radios or of a slider: the value sent back and the words shown."""

    value: str
    label: str


@dataclass(frozen=True)
class Zone:
    """One place of a board with its cards."""

    id: str
    label: str
    cards: tuple[str, ...]


def bold(text: str) -> Span:
    """Return a bold piece of text."""
    return Span(text, bold=True)


def signed(number: float, *, before: str = "") -> Span:
    """Return a number with its sign, coloured by it, and a word before it."""
    tone = "up" if number > 0 else "down" if number < 0 else "dim"
    return Span(f"{before}{fixed(number, signed=True)}", tone=tone)


def term(text: str, tip: str) -> Span:
    """Return a term that is explained in one sentence (`tip`) on hover and on focus."""
    return Span(text, tip=tip)


def spans(parts: Iterable[Span | str]) -> list[dict[str, Any]]:
    """Return running text as the page wants it, fields at their defaults left out."""
    pieces = (Span(part) if isinstance(part, str) else part for part in parts)
    return [
        {"text": piece.text} | {name: getattr(piece, name) for name in ("bold", "tone", "tip") if getattr(piece, name)}
        for piece in pieces
    ]


# Layout.


def row(key: str, *children: Component, end: bool = False) -> Component:
    """Return components in a row; what does not fit goes to the next line."""
    return Component(key, "row", {"end": end}, children)


def columns(key: str, *children: Component, three: bool = False, pair: bool = False) -> Component:
    """Return two (or three) pictures next to each other where there is room, else below each other.

    A `pair` is there to be compared, so it needs little room to stay side by side.
    """
    return Component(key, "columns", {"three": three, "pair": pair}, children)


def group(key: str, *children: Component, title: str = "") -> Component:
    """Return components below each other, under a small title."""
    return Component(key, "group", {"title": title}, children)


def fold(key: str, label: str, *children: Component, opened: bool = False) -> Component:
    """Return rarely used components that a button shows and hides; the page does that alone."""
    return Component(key, "fold", {"label": label, "open": opened}, children)


# Controls.


def button(
    key: str,
    label: str,
    on_press: Press,
    *,
    main: bool = False,
    disabled: bool = False,
    pressed: bool | None = None,
    name: str = "",
) -> Component:
    """Return a button; `main` is the one coloured action of a panel, `pressed` makes it a switch."""
    props = {"label": label, "main": main, "disabled": disabled, "pressed": pressed, "name": name}
    return Component(key, "button", props, on_press=on_press)


def text(
    key: str,
    label: str,
    value: str,
    on_set: Set,
    *,
    enter: str = "",
    placeholder: str = "",
    show_label: bool = False,
    disabled: bool = False,
) -> Component:
    """Return a text box that takes the free width; Enter presses the button with the key `enter`."""
    props = {
        "label": label,
        "value": value,
        "enter": enter,
        "placeholder": placeholder,
        "showLabel": show_label,
        "disabled": disabled,
    }
    return Component(key, "text", props, on_set=on_set)


def number(key: str, label: str, value: str, on_set: Set, *, disabled: bool = False, enter: str = "") -> Component:
    """Return a small box for a number; what is typed arrives as text and is read by `read_number` or `read_whole`."""
    props = {"label": label, "value": value, "enter": enter, "disabled": disabled, "showLabel": True, "small": True}
    return Component(key, "text", props, on_set=on_set)


def slider(
    key: str, label: str, options: Sequence[Option], index: int, on_set: Set, *, disabled: bool = False
) -> Component:
    """Return a slider over listed stops (so any scale is possible); the stop's value is sent."""
    props = {"label": label, "options": _options(options), "index": index, "disabled": disabled}
    return Component(key, "slider", props, on_set=lambda value: on_set(known(value, options)))


def select(
    key: str,
    label: str,
    options: Sequence[Option],
    value: str,
    on_set: Set,
    *,
    show_label: bool = False,
    disabled: bool = False,
) -> Component:
    """Return a drop-down list; the chosen value is sent."""
    props = {
        "label": label,
        "options": _options(options),
        "value": value,
        "showLabel": show_label,
        "disabled": disabled,
    }
    return Component(key, "select", props, on_set=lambda value: on_set(known(value, options)))


def radios(key: str, label: str, options: Sequence[Option], value: str, on_set: Set) -> Component:
    """Return modes of which one is on, as real radio buttons drawn side by side."""
    props = {"label": label, "options": _options(options), "value": value}
    return Component(key, "radios", props, on_set=lambda value: on_set(known(value, options)))


def choices(
    key: str,
    label: str,
    options: Sequence[Option],
    chosen: Sequence[str],
    on_set: Set,
    *,
    many: bool = False,
    disabled: bool = False,
    marks: Mapping[str, str] | None = None,
) -> Component:
    """Return options below each other, of which one is chosen, or several if `many`; the chosen values are sent."""
    shown = marks or {}
    items = [{"value": option.value, "text": option.label, "mark": shown.get(option.value, "")} for option in options]
    props = {"label": label, "options": items, "chosen": list(chosen), "many": many, "disabled": disabled}
    return Component(key, "choices", props, on_set=lambda value: on_set([known(item, options) for item in value]))


def cards(
    key: str,
    label: str,
    zones: Sequence[Zone],
    texts: Mapping[str, str],
    on_move: Move,
    *,
    mode: str,
    tray: str,
    marks: Mapping[str, str] | None = None,
) -> Component:
    """Return cards that are moved between places by drag, by click or by keyboard."""
    shown = marks or {}
    props = {
        "label": label,
        "zones": [{"id": zone.id, "label": zone.label, "cards": list(zone.cards)} for zone in zones],
        "cards": {card: {"text": text, "mark": shown.get(card, "")} for card, text in texts.items()},
        "mode": mode,
        "tray": tray,
    }
    places = {zone.id for zone in zones}

    def receive(value: Any) -> object:
        if not isinstance(value, dict) or value.get("card") not in texts or value.get("place") not in places:
            raise ValueError(f"{value!r} is not a move on this board")
        if type(value.get("at")) is not int:
            raise ValueError(f"{value.get('at')!r} is not a position")
        return on_move(value["card"], value["place"], value["at"])

    return Component(key, "cards", props, on_set=receive)


# Words.


def heading(key: str, *parts: Span | str) -> Component:
    """Return the small title of a picture."""
    return Component(key, "heading", {"spans": spans(parts)})


def prose(key: str, *parts: Span | str) -> Component:
    """Return a paragraph to read."""
    return Component(key, "prose", {"spans": spans(parts)})


def note(key: str, *parts: Span | str) -> Component:
    """Return a quiet line below a picture: how to read it, what to click."""
    return Component(key, "note", {"spans": spans(parts)})


def passage(key: str, label: str, text: str) -> Component:
    """Return a text to read with care, as it was written; a long one scrolls."""
    return Component(key, "passage", {"label": label, "text": text})


def reading(key: str, *parts: Span | str, live: bool = True) -> Component:
    """Return the sentence that reads the picture; a screen reader is silent about it (`live=False`) during a run."""
    return Component(key, "reading", {"spans": spans(parts), "live": live})


def finding(key: str, *parts: Span | str, good: bool = False) -> Component:
    """Return one remark: a warning, or that something is as it should be (`good`)."""
    return Component(key, "finding", {"spans": spans(parts), "good": good})


def progress(key: str, label: str, done: int, total: int, words: str) -> Component:
    """Return a progress bar with words, hidden without words; a total of 0 means that the end is not known."""
    return Component(key, "progress", {"label": label, "done": done, "total": total, "text": words})


def ring(key: str, stages: Sequence[str], active: str) -> Component:
    """Return the loop of reinforcement learning with the stage where we are."""
    return Component(key, "ring", {"stages": list(stages), "active": active})


BADGES = {
    "exact": "exact",
    "cut": "exact under top-k and horizon",
    "monte-carlo": "Monte-Carlo \u00b1 s.e.",
    "average": "Monte-Carlo average",
    "learned": "learned",
}


def badges(key: str, *kinds: str) -> Component:
    """Return the badges of the kinds of numbers on the screen, keys of `BADGES`."""
    unknown = set(kinds) - BADGES.keys()
    if unknown:
        raise ValueError(f"badges are {', '.join(BADGES)}, not {', '.join(sorted(unknown))}")
    return Component(key, "badges", {"badges": [{"kind": kind, "text": BADGES[kind]} for kind in kinds]})


# What the page sends back.


def known(value: object, options: Sequence[Option]) -> str:
    """Return the value if it is one of the options; the page can send no other."""
    if value not in {option.value for option in options}:
        raise ValueError(f"{value!r} is not one of the choices")
    return str(value)


def read_number(label: str, value: object) -> float:
    """Return the number that was typed into a box; the receiver decides which numbers make sense.

    >>> read_number("KL coefficient", " 5e-2 "), read_number("lr", "\u22120.5")
    (0.05, -0.5)

    Args:
        label: The box, as the screen calls it.
        value: What was typed.

    Raises:
        LabError: It is not a number.
    """
    number = _number(value)
    if math.isnan(number):
        raise LabError(label, str(value), "write a number, such as 0.05 or 5e-4")
    return number


def read_whole(label: str, value: object, *, low: int | None = None, high: int | None = None) -> int:
    """Return the whole number that was typed into a box.

    >>> read_whole("top-k", "20")
    20

    Args:
        label: The box, as the screen calls it.
        value: What was typed.
        low: The smallest number that is allowed, if there is a limit.
        high: The largest one; only together with `low`.

    Raises:
        LabError: It is not a whole number in this range.
    """
    number = _number(value)
    if not number.is_integer():
        raise LabError(label, str(value), "write a whole number, such as 20")
    if (low is not None and number < low) or (high is not None and number > high):
        allowed = f"a whole number of at least {low}" if high is None else f"from {low} to {high}"
        raise LabError(label, int(number), f"choose {allowed}")
    return int(number)


def _number(value: object) -> float:
    """Return what was typed as a number; NaN where it is none."""
    try:
        number = float(str(value).strip().replace(MINUS, "-").replace(",", "."))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _options(options: Sequence[Option]) -> list[list[str]]:
    return [[option.value, option.label] for option in options]
