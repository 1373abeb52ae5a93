"""One plotly.js for all charts of a page: sent once, compressed, instead of once per chart."""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import ClassVar

import anywidget
import traitlets

from rllab.widgets.engine.assets import STATIC


class PlotlyRuntime(anywidget.AnyWidget):
    """Carries plotly.js to the page and leaves it where the charts of all panels look for it."""

    _esm: ClassVar[str] = (STATIC / "runtime.js").read_text(encoding="utf-8")
    source = traitlets.Bytes().tag(sync=True)


@functools.cache
def runtime() -> PlotlyRuntime:
    """Return the one runtime widget of this kernel, made when the first chart needs it."""
    return PlotlyRuntime(source=compressed())


def compressed() -> bytes:
    """Return plotly.js from the installed package, compressed fast (it is sent once)."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("plotly")
    source = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return gzip.compress(source.read_bytes(), compresslevel=3)
