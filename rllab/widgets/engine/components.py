"""What a panel is made of: small typed functions that describe a tree, which the page draws.

A component has a key that stays the same while the panel lives, so the page updates it in place
and focus, scroll and zoom survive. Its actions are Python functions: `on_press` without a value,
`on_set` with the value that the page sent, which is input and therefore checked by the receiver.
Pictures (chips, bars, charts) are in `marks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Press = Callable[[], object]
Set = Callable[[Any], object]


@dataclass(frozen=True)
class Component:
    """One node of the tree: its kind, what the page needs to draw it, and who answers it."""

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


@dataclass(frozen=True)
class Option:
    """One choice of a select, of radios or of a slider: the value sent back and the words shown."""

    value: str
    label: str


def bold(text: str) -> Span:
    """Return a bold piece of text."""
    return Span(text, bold=True)


def term(text: str, tip: str) -> Span:
    """Return a term that explains itself in one sentence on hover and on focus."""
    return Span(text, tip=tip)


def spans(parts: Iterable[Span | str]) -> list[dict[str, Any]]:
    """Return running text as the page wants it, fields at their defaults left out."""
    pieces = (Span(part) if isinstance(part, str) else part for part in parts)
    return [
        {"text": piece.text} | {name: getattr(piece, name) for name in ("bold", "tone", "tip") if getattr(piece, name)}
        for piece in pieces
    ]


def row(key: str, *children: Component, end: bool = False) -> Component:
    """Put components beside each other; what does not fit goes to the next line."""
    return Component(key, "row", {"end": end}, children)


def columns(key: str, *children: Component, three: bool = False, pair: bool = False) -> Component:
    """Put two (or three) pictures beside each other where there is room, else below each other.

    A `pair` is there to be compared, so it needs little room to stand side by side.
    """
    return Component(key, "columns", {"three": three, "pair": pair}, children)


def group(key: str, *children: Component, title: str = "") -> Component:
    """Put components below each other, under a small title."""
    return Component(key, "group", {"title": title}, children)


def fold(key: str, label: str, *children: Component, opened: bool = False) -> Component:
    """Hide rare settings behind a button; the page opens and closes it by itself."""
    return Component(key, "fold", {"label": label, "open": opened}, children)


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
    """Return a small box for a number; what is typed arrives as text, so that a slip gets a sentence."""
    props = {"label": label, "value": value, "enter": enter, "disabled": disabled, "showLabel": True, "small": True}
    return Component(key, "text", props, on_set=on_set)


def slider(
    key: str, label: str, options: Sequence[Option], index: int, on_set: Set, *, disabled: bool = False
) -> Component:
    """Return a slider over written stops (so any scale is possible); the stop's value is sent."""
    return Component(
        key,
        "slider",
        {"label": label, "options": _options(options), "index": index, "disabled": disabled},
        on_set=lambda value: on_set(known(value, options)),
    )


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
    """Return a drop-down list."""
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


def heading(key: str, *parts: Span | str) -> Component:
    """Return the small title of a picture."""
    return Component(key, "heading", {"spans": spans(parts)})


def note(key: str, *parts: Span | str) -> Component:
    """Return a quiet line below a picture: how to read it, what to click."""
    return Component(key, "note", {"spans": spans(parts)})


def passage(key: str, label: str, text: str) -> Component:
    """Return a text to read with care, as it was written; a long one scrolls."""
    return Component(key, "passage", {"label": label, "text": text})


def reading(key: str, *parts: Span | str, live: bool = True) -> Component:
    """Return the sentence that says what is to be seen now; silent (`live=False`) during a run."""
    return Component(key, "reading", {"spans": spans(parts), "live": live})


def finding(key: str, *parts: Span | str, good: bool = False) -> Component:
    """Return one remark of a checkup: a warning, or that something is as it should be."""
    return Component(key, "finding", {"spans": spans(parts), "good": good})


def progress(key: str, label: str, done: int, total: int, words: str) -> Component:
    """Return a progress bar with words; a total of 0 means that the end is not known."""
    return Component(key, "progress", {"label": label, "done": done, "total": total, "text": words})


def ring(key: str, stages: Sequence[str], active: str) -> Component:
    """Return the loop of reinforcement learning with the place where we are."""
    return Component(key, "ring", {"stages": list(stages), "active": active})


def badges(key: str, *kinds: str) -> Component:
    """Return the badges of the kinds of numbers on the screen: exact, sampled, or learned."""
    unknown = set(kinds) - BADGES.keys()
    if unknown:
        raise ValueError(f"badges are {', '.join(BADGES)}, not {', '.join(sorted(unknown))}")
    return Component(key, "badges", {"badges": [{"kind": kind, "text": BADGES[kind]} for kind in kinds]})


BADGES = {
    "exact": "exact",
    "cut": "exact under top-k and horizon",
    "monte-carlo": "Monte-Carlo \u00b1 s.e.",
    "average": "Monte-Carlo average",
    "learned": "learned",
}


def known(value: object, options: Sequence[Option]) -> str:
    """Return the value if it is one of the options; the page can send no other."""
    if value not in {option.value for option in options}:
        raise ValueError(f"{value!r} is none of the choices")
    return str(value)


def _options(options: Sequence[Option]) -> list[list[str]]:
    return [[option.value, option.label] for option in options]
