"""From a tree of components to the page: one flat, strict JSON object per component, every string cleaned.

plotly.js is sent here as well, once and compressed, instead of once per chart.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from rllab.plots.text import well_formed
from rllab.widgets.engine.assets import STATIC
from rllab.widgets.engine.components import Component

Json = dict[str, Any]

LIMIT = 8000  # characters of one string: a browser could lay out more, but a reader has no use for it
_KEY = re.compile(r"[a-z][a-z0-9_-]*")


def clean(text: str, *, limit: int = LIMIT) -> str:
    r"""Return text that can be sent to the page: well formed and not longer than `limit`.

    Nothing is escaped, because the page sets text and never markup.

    >>> clean("<b>\ud800" + "x" * 10, limit=8)
    '<b>�xxx… (7 more characters)'
    """
    whole = well_formed(text)
    if len(whole) <= limit:
        return whole
    return f"{whole[: limit - 1]}\u2026 ({len(whole) - limit + 1} more characters)"


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
    r"""Return the value as strict JSON: strings cleaned, NaN and infinity become gaps (null).

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


class PlotlyRuntime(anywidget.AnyWidget):
    """The widget that brings plotly.js to the page, where the charts of all panels find it."""

    _esm: ClassVar[str] = (STATIC / "runtime.js").read_text(encoding="utf-8")
    source = traitlets.Bytes().tag(sync=True)


@functools.cache
def runtime() -> PlotlyRuntime:
    """Return the one runtime widget of this kernel, made when the first chart needs it."""
    spec = importlib.util.find_spec("plotly")  # found, not imported: that would take a second
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("plotly")
    source = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return PlotlyRuntime(source=gzip.compress(source.read_bytes(), compresslevel=3))
