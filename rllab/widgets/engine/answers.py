"""The parts of a panel that take an answer: prose, options to choose, cards to lay into places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.widgets.engine.components import Component, Option, Set, Span, spans

Move = Callable[[str, str, int], object]  # card, place, before which card there


@dataclass(frozen=True)
class Zone:
    """One place of a board with the cards that lie in it."""

    id: str
    label: str
    cards: tuple[str, ...]


def prose(key: str, *parts: Span | str) -> Component:
    """Return a paragraph to read."""
    return Component(key, "prose", {"spans": spans(parts)})


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
    """Return options below each other, of which one is chosen, or with `many` several; the chosen values are sent."""
    said = marks or {}
    items = [{"value": one.value, "text": one.label, "mark": said.get(one.value, "")} for one in options]
    props = {"label": label, "options": items, "chosen": list(chosen), "many": many, "disabled": disabled}
    known = {option.value for option in options}
    return Component(key, "choices", props, on_set=lambda value: on_set(_chosen(value, known)))


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
    said = marks or {}
    props = {
        "label": label,
        "zones": [{"id": zone.id, "label": zone.label, "cards": list(zone.cards)} for zone in zones],
        "cards": {card: {"text": text, "mark": said.get(card, "")} for card, text in texts.items()},
        "mode": mode,
        "tray": tray,
    }
    places = {zone.id for zone in zones}
    return Component(key, "cards", props, on_set=lambda value: on_move(*_move(value, texts.keys(), places)))


def _chosen(value: Any, known: set[str]) -> list[str]:
    """Return what was chosen; the page can send nothing but options."""
    if not isinstance(value, list) or not {str(one) for one in value} <= known:
        raise ValueError(f"{value!r} is none of the choices")
    return [str(one) for one in value]


def _move(value: Any, known: Any, places: set[str]) -> tuple[str, str, int]:
    """Return card, place and position; the page can send no others."""
    if not isinstance(value, dict) or value.get("card") not in known or value.get("place") not in places:
        raise ValueError(f"{value!r} is no move of this board")
    at = value.get("at")
    if type(at) is not int:
        raise ValueError(f"{at!r} is no position")
    return str(value["card"]), str(value["place"]), at
