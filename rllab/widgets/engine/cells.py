"""Which notebook cell is running, so that running it again replaces what it made before."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Protocol


class Closable(Protocol):
    """Anything that a cell made and that the next run of the cell replaces."""

    def close(self) -> None:
        """Give up the widget and what it runs."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook and one run of it; both empty outside a notebook."""

    id: str = ""
    run: str = ""


class Registry:
    """Remember what each cell made; a later run of the same cell closes it.

    Without this, every run of a cell would leave one more live widget in the kernel and one more
    thread of training. Two panels made by one run of a cell stay side by side.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, tuple[str, list[weakref.ref[Closable]]]] = {}

    def adopt(self, item: Closable, cell: Cell) -> None:
        """Note that this run of the cell made the item, and close what earlier runs made."""
        if not cell.id:
            return
        with self._lock:
            run, items = self._made.get(cell.id, ("", []))
            older = [] if run == cell.run else items
            kept = items if run == cell.run else []
            self._made[cell.id] = (cell.run, [*kept, weakref.ref(item)])
        for reference in older:
            stale = reference()
            if stale is not None:
                stale.close()


def current_cell() -> Cell:
    """Return the cell that the kernel is running, as JupyterLab names it in its requests."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return Cell()
    request = kernel.get_parent("shell")
    cell_id = request.get("metadata", {}).get("cellId", "")
    return Cell(str(cell_id), str(request.get("header", {}).get("msg_id", ""))) if cell_id else Cell()


registry = Registry()
