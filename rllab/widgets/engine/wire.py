"""From a tree of components to what is sent: one flat, strict JSON object per component."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rllab.widgets.engine.components import Component
from rllab.widgets.engine.text import clean

_KEY = re.compile(r"[a-z][a-z0-9_-]*")

Json = dict[str, Any]


def flatten(root: Component) -> dict[str, Component]:
    """Return every component of the tree by its key; keys must be plain words and unique."""
    found: dict[str, Component] = {}
    for component in _walk(root):
        if not _KEY.fullmatch(component.key):
            raise ValueError(f"component key {component.key!r}: use small letters, digits, - and _")
        if component.key in found:
            raise ValueError(f"two components have the key {component.key!r}")
        found[component.key] = component
    return found


def wire(component: Component) -> Json:
    """Return one component as sent: its kind, its properties, the keys of its children."""
    children = {"children": [child.key for child in component.children]} if component.children else {}
    return {"kind": component.kind} | {key: strict(value) for key, value in component.props.items()} | children


def strict(value: Any) -> Any:
    r"""Return the value as strict JSON: strings cleaned, a number that is none becomes a gap (null).

    >>> strict({"x": (1.5, float("nan")), "text": "a\ud800"})
    {'x': [1.5, None], 'text': 'a�'}
    """
    if isinstance(value, float):  # first what there is most of: the numbers of curves
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if hasattr(value, "tolist"):  # numpy, in which plotly keeps its data
        return strict(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be sent to the page")


def _walk(component: Component) -> Iterator[Component]:
    yield component
    for child in component.children:
        yield from _walk(child)
