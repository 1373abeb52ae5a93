"""`Panel`: a view of a headless object, drawn by the page and answered by Python.

A subclass returns what is on the screen (`view`) from its state, and its components name the methods
that answer them. Everything else is here: sending only what changed, catching every error into
the alert region, a lock (the kernel may call from two threads), long work with its Stop and its
progress, and closing what an earlier run of the same notebook cell has made.

    class Counter(Panel):
        title = "Counter"

        def __init__(self) -> None:
            self.count = 0
            super().__init__()

        def view(self) -> View:
            return View(body=(button("more", "More", self.more, main=True),),
                        reading=("You pressed ", bold(str(self.count)), " times."))

        def more(self) -> None:
            self.count += 1
"""

from __future__ import annotations

import threading
import time
import traceback
import uuid
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import anywidget
import traitlets

from rllab.core.errors import LabError
from rllab.core.jobs import BackgroundJob, Job, Progress, Status, Work, jobs
from rllab.widgets.engine.assets import script, styles
from rllab.widgets.engine.components import Component, Span, badges, button, note, progress, reading, row
from rllab.widgets.engine.page import Json, clean, flatten, runtime, wire

INPUTS = ("text", "select", "slider", "radios")  # kinds of components that can hold a setting
ALERT_LIMIT = 500  # characters: some libraries put a whole manual into an error
WORTH_SAYING = 3.0  # seconds that work must still take before its end is predicted
MEMORY = ("allocate memory", "start new thread")  # how libraries, and Python, report that none is left


@dataclass(frozen=True)
class View:
    """What is on the screen: the anatomy that all panels share.

    Attributes:
        body: What the panel shows and what can be done with it.
        reading: The sentence that reads the picture; it changes with the state.
        aside: Shown at the right of the title.
        badges: The kinds of all estimates on the screen, keys of `components.BADGES`.
        foot: A quiet line at the bottom: keys, remarks.
        shortcuts: A key of the keyboard and the component that it presses. They act only while the focus is
            inside the panel and outside a text box.
    """

    body: tuple[Component, ...]
    reading: tuple[Span | str, ...] = ()
    aside: Component | None = None
    badges: tuple[str, ...] = ()
    foot: tuple[Span | str, ...] = ()
    shortcuts: Mapping[str, str] = field(default_factory=dict)


class Panel(anywidget.AnyWidget):
    """A widget whose whole picture is a tree of components computed in Python.

    A subclass sets its own attributes first and calls `super().__init__()` last, because the first
    picture is sent when the widget is made. An action must leave the state as it was if it raises:
    compute first, assign last.
    """

    _esm: ClassVar[str] = script()
    _css: ClassVar[str] = styles()
    title: str = "Panel"
    ack = traitlets.Unicode().tag(sync=True)
    own_id = traitlets.Unicode().tag(sync=True)  # by which the page finds this widget's whole model
    job: BackgroundJob | None = None  # the last long work of this panel
    _closed: bool = False

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._components: dict[str, Component] = {}
        self._sent: set[str] = set()
        self._milliseconds = 0.0
        self._cell = current_cell()
        self.alert = ""
        self.last_traceback = ""
        self._draw_safely()
        own_id = uuid.uuid4().hex
        super().__init__(model_id=own_id, own_id=own_id)
        self.on_msg(lambda _widget, content, _buffers: self.receive(content))
        registry.adopt(self, self._cell)

    def __repr__(self) -> str:
        """Return what to read where the panel cannot be drawn: in a text file, a pull request, a plain terminal."""
        return f"{self.title}: run this cell in JupyterLab to open the panel"

    def view(self) -> View:
        """Return what is on the screen now, from the state alone."""
        raise NotImplementedError

    # Driving the panel: from the page, and from tests in the same way.

    def press(self, key: str) -> None:
        """Press a button, as a click does; a button that is off or gone does nothing.

        Args:
            key: The button's key.
        """
        component = self._components.get(key)
        if component is not None and component.on_press and not component.props.get("disabled"):
            self.act(str(component.props["label"]), component.on_press)

    def set(self, key: str, value: Any) -> None:
        """Send a value to an input, a strip, bars or a chart, as the page does.

        Args:
            key: The component's key.
            value: What the page would send; it is checked by the component.
        """
        component = self._components.get(key)
        action = component.on_set if component is not None else None
        if component is not None and action and not component.props.get("disabled"):
            self.act(str(component.props.get("label", key)), lambda: action(value))

    def act(self, what: str, action: Callable[[], object]) -> None:
        """Run an action of the learner and draw the panel again; an error is shown in the alert.

        Args:
            what: The action's name for the alert, such as a button's label.
            action: What to do.
        """
        with self._lock:
            started = time.perf_counter()
            self.alert = ""
            try:
                action()
            except Exception as error:  # noqa: BLE001 - whatever went wrong is shown in the panel
                self._alert(what, error, traceback.format_exc())
            self._draw_safely(since=started)

    def receive(self, content: Any) -> None:
        """Take one message of the page; it is input, so nothing in it is trusted.

        Args:
            content: A press or a value with the component's key and the event's sequence name; anything else is
                ignored.
        """
        if not isinstance(content, dict) or not isinstance(content.get("key"), str):
            return
        with self._lock, self.hold_sync():  # the picture and the answer to the event in one message
            stamp = self._components[content["key"]].props.get("stamp") if content["key"] in self._components else None
            if stamp and content.get("stamp") != stamp:
                self.refresh()  # made on a picture that is gone
            elif content.get("event") == "press":
                self.press(content["key"])
            elif content.get("event") == "set":
                self.set(content["key"], content.get("value"))
            self.ack = str(content.get("seq", ""))

    def has(self, key: str) -> bool:
        """Return whether a component is on the screen.

        Args:
            key: The component's key.
        """
        return key in self._components

    def component(self, key: str) -> Json:
        """Return one component as the page has it.

        Args:
            key: The component's key.

        Returns:
            Its kind, its properties and the keys of its children.
        """
        return wire(self._components[key])

    def screen(self) -> dict[str, Json]:
        """Return every component as the page has it, by its key."""
        return {key: wire(component) for key, component in self._components.items()}

    def refresh(self) -> None:
        """Draw the state again; only the components that changed are sent."""
        with self._lock:
            self._draw_safely()

    def close(self) -> None:
        """Stop what this panel runs and give up the widget."""
        self._closed = True
        self.stop()
        if self.comm is not None:
            self.layout.close()  # a widget of its own, which ipywidgets leaves behind
        super().close()

    # Long work: one job at a time, with the same Stop and the same progress in every panel.

    def start_job(self, name: str, work: Work) -> None:
        """Run long work in the background; the panel is redrawn at most five times a second.

        Args:
            name: What the work is called where it blocks other work, or fails.
            work: Receives the job. `Stopped` may leave it: that is a normal end.

        Raises:
            LabError: Another job is running.
        """
        if self._cell.id and not self.busy:
            jobs.release(self._cell.id)  # what an earlier run of this cell has left running
        self.job = jobs.start(
            name, lambda job: work(with_time_left(job)), owner=self._cell.id, on_change=self._job_changed
        )

    @property
    def busy(self) -> bool:
        """True while this panel's job runs."""
        return self.job is not None and self.job.running

    @property
    def doing(self) -> str:
        """The name of the work that runs now; empty at rest."""
        return self.job.name if self.job is not None and self.job.running else ""

    def stop(self) -> None:
        """End the running work at once; what it has not finished is dropped."""
        if self.job is not None:
            self.job.stop()

    def working(self) -> tuple[Component, Component]:
        """Return Stop and the progress of the work, to be put at the end of a row of buttons.

        Every panel that starts jobs shows these two. While a job runs, the key `s` presses Stop as well.
        """
        job = self.job if self.busy else None
        at = Progress(0, 1) if job is None else job.progress
        words = "stopping" if job is not None and job.stopping else at.text
        return (
            button("stop", "Stop", self.stop, disabled=job is None or job.stopping),
            progress("progress", "Progress", at.done, at.total, words),
        )

    def label_of(self, field: str) -> str:
        """Return what the screen calls a field: the label of the input whose key is the field's name.

        Args:
            field: The field of an error.
        """
        component = self._components.get(field.replace("_", "-").replace(" ", "-"))
        return str(component.props["label"]) if component is not None and component.kind in INPUTS else field

    # Inside.

    def _job_changed(self, job: BackgroundJob) -> None:
        if self._closed:
            return
        with self._lock:
            if job.status is Status.FAILED and job.error is not None:
                self._alert(job.name, job.error, job.traceback)
            self._draw_safely()

    def _alert(self, what: str, error: BaseException, trace: str) -> None:
        """Put an error into words for the alert."""
        self.last_traceback = trace
        if isinstance(error, LabError):
            self.alert = error.naming(self.label_of(error.field))
        elif isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY):
            close = "close other notebooks (Kernel \u2192 Shut Down All Kernels), or ask for less"
            self.alert = f"There is not enough memory for \u201c{what}\u201d: {close}."
        else:
            words = f"Something went wrong in \u201c{what}\u201d: {type(error).__name__}: {error}"
            self.alert = clean(words, limit=ALERT_LIMIT)

    def _draw_safely(self, *, since: float | None = None) -> None:
        """Draw the view; if that fails the last picture stays and the alert says why.

        The foot shows the milliseconds since the event (`since`) came in, drawing included.
        """
        try:
            view = self.view()
            if since is not None:
                self._milliseconds = 1000 * (time.perf_counter() - since)
            self._components = flatten(self._frame(view))
        except Exception as error:  # noqa: BLE001 - as in `act`
            self._alert("drawing", error, traceback.format_exc())
            frame = flatten(self._frame(View(body=())))
            self._components = (self._components or frame) | {"alert": frame["alert"]}
        self._send_changes()

    def _frame(self, view: View) -> Component:
        """Return the whole tree: head, body, reading, foot and alert."""
        words, shortcuts = view.foot, view.shortcuts
        if self.busy:
            words, shortcuts = (*words, " \u00b7 s stops" if words else "s stops"), {**shortcuts, "s": "stop"}
        took = note("time", f"{self._milliseconds:.0f} ms" if self._milliseconds else "")
        return Component(
            "root",
            "panel",
            {"title": self.title, "shortcuts": shortcuts},
            (
                Component("head", "head", {"title": self.title}, (view.aside,) if view.aside else ()),
                *view.body,
                reading("reading", *view.reading, live=not self.busy),
                row("foot", badges("badges", *view.badges), note("foot-words", *words), took, end=True),
                Component("alert", "alert", {"text": self.alert}),
            ),
        )

    def _send_changes(self) -> None:
        """Set one synchronised trait per component; traitlets sends those that differ, in one message."""
        specs = {f"c_{key}": spec for key, spec in self.screen().items()}
        if any(spec["kind"] == "chart" for spec in specs.values()):
            runtime()
        fresh = {name: traitlets.Dict(spec).tag(sync=True) for name, spec in specs.items() if name not in self._sent}
        if fresh:
            self._sent |= fresh.keys()
            self.add_traits(**fresh)
        with self.hold_sync():
            for name, spec in specs.items():
                setattr(self, name, spec)


def about(seconds: float) -> str:
    """Return a length of time in words, such as "about 40 s".

    Args:
        seconds: The length; from 100 s on it is given in minutes.
    """
    return f"about {seconds / 60:.0f} min" if seconds >= 100 else f"about {seconds:.0f} s"


def with_time_left(job: Job) -> Job:
    """Return a job whose reports also say how long the rest will take, from the pace of the present count.

    Args:
        job: Receives the reports. A report with another total, or with less done, begins a new count.
    """
    first = (0, 0, time.monotonic())  # done, total and time when the present count began

    def report(done: int, total: int, text: str) -> None:
        nonlocal first
        if total != first[1] or done < first[0]:
            first = (done, total, time.monotonic())
        gone = done - first[0]
        left = (time.monotonic() - first[2]) * (total - done) / gone if gone else 0.0
        job.report(done, total, f"{text}, {about(left)} to go" if left >= WORTH_SAYING else text)

    return job.reporting(report)


# Which notebook cell is running, so that running it again replaces what it made before.


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
    thread of training. Two panels made by one run of a cell are both kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, tuple[str, list[weakref.ref[Closable]]]] = {}

    def adopt(self, item: Closable, cell: Cell) -> None:
        """Record that this run of the cell made the item, and close what earlier runs made.

        Args:
            item: What was made.
            cell: The cell that runs now; outside a notebook nothing is recorded.
        """
        if not cell.id:
            return
        with self._lock:
            run, items = self._made.get(cell.id, ("", []))
            older, kept = ([], items) if run == cell.run else (items, [])
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
