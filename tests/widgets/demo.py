"""A panel with one of every component, for the tests of the engine."""

from __future__ import annotations

import math

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.plots.drawing import Drawing, colour, drawing, faded
from rllab.plots.text import esc
from rllab.widgets.engine.charts import Bar, Chip, Column, bars, chart, chips, legend, table, tint
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    bold,
    button,
    columns,
    finding,
    fold,
    group,
    heading,
    note,
    number,
    radios,
    ring,
    row,
    select,
    slider,
    term,
    text,
)
from rllab.widgets.engine.panel import Panel, View

WORDS = ("She", "was", "not", "sad", ".", "A", "kind", "fox")
NUMBERS = (-0.02, -0.43, 0.66, 0.31, -0.02, 0.02, 0.13, 0.03)
CANDIDATES = (("sad", 0.41, 0.52), ("happy", 0.24, 0.74), ("alone", 0.13, 0.18), ("angry", 0.09, 0.18))
LENSES = (Option("policy", "policy"), Option("reward", "+ reward"), Option("value", "+ value"))
STOPS = tuple(Option(str(i), f"{i / 100:.2f}") for i in range(0, 101, 5))


class DemoPanel(Panel):
    """One of every component; the state is a handful of plain attributes."""

    title = "Demo"

    def __init__(self, words: tuple[str, ...] = WORDS) -> None:
        self.words = words
        self.prompt = "Mia lost her red kite ."
        self.count = 0
        self.selected: int | None = 3
        self.written = ""
        self.lens = "policy"
        self.stop_value = "25"
        self.rate = 0.0005
        self.clicked = ""
        self.ticks = 0
        super().__init__()

    def view(self) -> View:
        """Return one of everything."""
        return View(
            aside=ring("ring", ("state", "action", "reward", "value"), "value"),
            body=(
                self._controls(),
                self._modes(),
                self._strip(),
                self._legend(),
                *self._live(),
                self._pictures(),
                self._table(),
            ),
            reading=(bold(self.words[2]), f" moved V. You pressed {self.count} times; written: {self.written}."),
            badges=("exact", "monte-carlo", "learned"),
            foot=("keys: s counts, x fails",),
            shortcuts={"s": "count", "x": "fail"},
        )

    def _controls(self) -> Component:
        return row(
            "controls",
            text("prompt", "Prompt", self.prompt, self._set_prompt, enter="count"),
            button("count", "Count", self._count, main=True),
            button("fail", "Fail", self._fail),
            button("crash", "Crash", self._crash),
            button("off", "Off", self._crash, disabled=True),
            button("run", "Run", self._run, disabled=self.busy),
            *self.working(),
        )

    def _modes(self) -> Component:
        return row(
            "modes",
            radios("lens", "Lens", LENSES, self.lens, self._set_lens),
            select(
                "world", "World", (Option("a", "tales"), Option("b", "micro")), "a", lambda value: None, show_label=True
            ),
            fold(
                "settings",
                "Settings",
                row(
                    "inside",
                    slider(
                        "beta", "KL coefficient", STOPS, [o.value for o in STOPS].index(self.stop_value), self._set_stop
                    ),
                    number("rate", "learning rate", f"{self.rate:g}", self._set_rate),
                ),
            ),
        )

    def _strip(self) -> Component:
        items = [
            Chip(word, f"token {i + 1}, {word}", f"{value:+.2f}", tint(value, 0.66), forced=i == 2)
            for i, (word, value) in enumerate(zip(self.words, NUMBERS * len(self.words), strict=False))
        ]
        return chips(
            "strip",
            "Tokens",
            items,
            self._select,
            prompt=self.prompt.split(),
            selected=self.selected,
            next_name="not written yet",
        )

    def _legend(self) -> Component:
        return legend(
            "legend", ("prompt", "prompt"), ("forced", "forced by you"), ("selected", "selected"), ("up2", "above zero")
        )

    def _live(self) -> tuple[Component, ...]:
        return () if self.job is None else (finding("finding", "A run was started.", good=True),)

    def _pictures(self) -> Component:
        candidates = [
            Bar(
                label,
                pi,
                f"{pi:.2f}",
                index,
                tick=ref,
                extra=(Span("Q +0.62", tone="up"), Span("A \u22120.31", tone="down")),
                name=f"{label}, {pi:.2f}",
            )
            for index, (label, pi, ref) in enumerate(CANDIDATES)
        ]
        return columns(
            "pictures",
            group(
                "left",
                heading(
                    "left-title", "What the ", term("policy", "It gives each next token a probability."), " would write"
                ),
                bars("bars", "Candidates", candidates, self._write, rest=Bar("all others", 0.13, "0.13", tick=0.2)),
                note("left-note", "bar: \u03c0 \u00b7 tick: \u03c0_ref \u00b7 click a bar"),
            ),
            group(
                "right",
                heading("right-title", "How promising"),
                chart("chart", self._drawing(), "Value by state", on_set=self._click),
            ),
        )

    def _drawing(self) -> Drawing:
        x = list(range(len(WORDS)))
        y = [*NUMBERS[:4], math.nan, *NUMBERS[5:]]
        band = {"x": x + x[::-1], "y": [0.2] * 8 + [-0.2] * 8, "fill": "toself", "fillcolor": faded("value", 0.18)}
        hidden = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        line = {"x": x, "y": [v + self.count / 10 for v in y], "name": "V learned", "mode": "lines+markers"}
        style = {"type": "scatter", "line": {"color": colour("value")}}
        axis = {"tickvals": x, "ticktext": [esc(word, limit=40) for word in self.words[:8]]}
        return drawing([band | hidden, line | style], x="state", y="V (reward)", layout={"xaxis": axis})

    def _table(self) -> Component:
        head = (Column("same prompt, same seed"), Column("gold", numeric=True))
        return table(
            "samples", "Samples", head, [["She cried .", Span("\u22120.8", tone="down")], [self.clicked or "-", "0.9"]]
        )

    def _count(self) -> None:
        self.count += 1

    def _fail(self) -> None:
        raise LabError("temperature", 0, "choose a number above 0")

    def _crash(self) -> None:
        raise RuntimeError("<img src=x onerror=alert(1)>")

    def _set_prompt(self, value: object) -> None:
        if not str(value).strip():
            raise LabError("prompt", value, "write at least one word")
        self.prompt = str(value)

    def _set_lens(self, value: str) -> None:
        self.lens = value

    def _set_stop(self, value: str) -> None:
        self.stop_value = value

    def _set_rate(self, value: object) -> None:
        try:
            rate = float(str(value))
        except ValueError:
            raise LabError("learning rate", value, "write a number such as 5e-4") from None
        if not (math.isfinite(rate) and rate > 0):
            raise LabError("learning rate", value, "write a number above 0, such as 5e-4")
        self.rate = rate

    def _select(self, index: int) -> None:
        self.selected = index

    def _write(self, index: int) -> None:
        self.written += CANDIDATES[index][0] + " "

    def _click(self, where: dict[str, int]) -> None:
        self.clicked = f"curve {where['curve']}, point {where['point']}"

    def _run(self) -> None:
        def work(job: Job) -> None:
            for i in range(3000):
                self.ticks = i + 1
                job.report(i + 1, 3000, f"tick {i + 1}")
                if job.pause(0.01):
                    return

        self.start_job("demo run", work)
