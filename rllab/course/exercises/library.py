"""The exercises as data: words in `data/exercises/*.json`, what is right computed by `truths`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rllab.core.errors import LabError, nearest
from rllab.core.files import data_dir
from rllab.course.exercises.boards import TRAY, Board, Card, Pair, Place
from rllab.course.exercises.programs import PROGRAMS
from rllab.course.exercises.records import Exercise, Task
from rllab.course.exercises.sets import SETS
from rllab.course.exercises.tasks import Choice, Code, Number, Words, read_numbers
from rllab.course.exercises.truths import TRUTHS

Data = Mapping[str, Any]


def exercises(notebook: str = "") -> list[Exercise]:
    """Return the exercises of a notebook, or all of them, in their order."""
    return [one for one in _all(data_dir() / "exercises").values() if notebook in {"", one.notebook}]


def exercise_named(name: str) -> Exercise:
    """Return one exercise."""
    known = _all(data_dir() / "exercises")
    if name not in known:
        raise LabError("exercise", name, f"the nearest known names are {nearest(name, known)}")
    return known[name]


@functools.cache
def _all(folder: Path) -> dict[str, Exercise]:
    """Read every file of the folder once."""
    found: dict[str, Exercise] = {}
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        for item in content["exercises"]:
            name = f"{content['notebook']}.{item['name']}"
            found[name] = _exercise(name, content["notebook"], item)
    return found


def _exercise(name: str, notebook: str, item: Data) -> Exercise:
    """Make one exercise; the given numbers appear in the question by name, so that both always agree."""
    shown = {key: _shown(value) for key, value in item.get("given", {}).items()}
    question = item["question"].format(**shown)
    hints = tuple(item["hints"])
    return Exercise(name, notebook, item["title"], question, hints, item["explanation"], TASKS[item["kind"]](item))


def _choice(item: Data) -> Choice:
    options = item["options"]
    right = SETS[item["truth"]]() if "truth" in item else frozenset(item["right"])
    texts = {name: option["text"] for name, option in options.items()}
    reasons = {name: option["reason"] for name, option in options.items() if "reason" in option}
    return Choice(texts, reasons, right, bool(item.get("many", False)))


def _number(item: Data) -> Number:
    slips = tuple((read_numbers(values), reason) for values, reason in item["slips"].items())
    return Number(TRUTHS[item["truth"]], item["given"], tuple(item["entries"]), float(item["tolerance"]), slips)


def _code(item: Data) -> Code:
    return Code(PROGRAMS[item["truth"]], item["signature"], float(item["tolerance"]), item["reasons"])


def _board(item: Data) -> Board:
    places = tuple(Place(name, *words) for name, words in item["places"].items())
    homes = {name: place for place, cards in item["cards"].items() for name in cards}
    texts = {name: text for cards in item["cards"].values() for name, text in cards.items()}
    cards = tuple(Card(name, text, homes[name]) for name, text in texts.items())
    pairs = tuple(Pair(*pair) for pair in item.get("pairs", ()))
    if unknown := set(homes.values()) - {place.id for place in places} - {TRAY}:
        raise LabError("place of a card", min(unknown), "name a place of the board, or the tray")
    return Board(item["mode"], places, cards, item["wrong"], pairs)


def _shown(value: Any) -> str:
    """Write given numbers as a question shows them."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:g}".replace("-", "\u2212")


TASKS: Mapping[str, Callable[[Data], Task]] = {
    "choice": _choice,
    "number": _number,
    "code": _code,
    "board": _board,
    "words": lambda _: Words(),
}
