"""What tests read off a panel: its words, its numbers, the whole of what it sends."""

import json
import re
from typing import Any

from rllab.widgets.engine.panel import Panel


def words(panel: Panel, key: str = "reading") -> str:
    """Return the running text of a component."""
    return "".join(span["text"] for span in panel.component(key)["spans"])


def numbers(text: str) -> list[float]:
    """Return the decimal numbers in a sentence."""
    return [float(found.replace("\u2212", "-")) for found in re.findall(r"[+\u2212]?\d+\.\d+", text)]


def shown(number: float | None) -> float:
    """Return a number as a sentence rounds it."""
    assert number is not None
    return round(number, 2) + 0.0


def sent(panel: Panel) -> dict[str, Any]:
    """Return all components as the page has them, through strict JSON."""
    state = {key: value for key, value in panel.get_state().items() if key.startswith("c_")}
    loaded: dict[str, Any] = json.loads(json.dumps(state, allow_nan=False))
    return loaded


def lines(panel: Panel, key: str) -> dict[str, list[float | None]]:
    """Return the y values of a chart by the name of the line."""
    strip = str.maketrans("", "", "\u2068\u2069")
    return {trace["name"].translate(strip): trace["y"] for trace in panel.component(key)["figure"]["data"]}
