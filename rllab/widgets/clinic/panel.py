"""The clinic: a run with a hidden fault. Look at it from all sides, name the fault, get the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from rllab.core.config import check_count
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.course.clinic import CHECKS, Case, Sighting, Verdict, catalogue, draw_case
from rllab.widgets.clinic.captions import START, case_words, length_words, pace, running_words, usual_updates
from rllab.widgets.clinic.layout import (
    SHEETS,
    TOKENS,
    checkup,
    curves,
    response_choice,
    settings_words,
    token_table,
    views,
)
from rllab.widgets.engine.components import (
    Component,
    Option,
    button,
    finding,
    fold,
    note,
    number,
    progress,
    radios,
    read_whole,
    row,
    select,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World

NOTHING = ""  # no answer chosen yet


@dataclass
class Desk:
    """How far a learner is with one case."""

    look: str = next(iter(SHEETS))
    twin: bool = False
    response: int = 0
    chosen: str = NOTHING
    hinted: bool = False
    asked: bool = False
    given_up: bool = False
    verdict: Verdict | None = None
    sightings: dict[int, Sighting] = field(default_factory=dict)


class ClinicPanel(Panel):
    """Name the fault of a run; `panel.case` is the run with its hidden fault.

    `among` limits the faults that are drawn from; the list of answers always has all of them. `updates` is how long
    a case runs, by default less long in a large world.
    """

    title = "Clinic"

    def __init__(self, world: World, *, seed: int = 0, among: Sequence[str] = (), updates: int | None = None) -> None:
        if updates is not None:
            check_count("updates", updates)
        self.world, self.seed, self.among = world, seed, tuple(among)
        self.updates = updates or usual_updates(world)
        self._pace: list[float] = []  # seconds of an update of the last case in this world, its twin's with it
        self.case: Case | None = None
        self.solved = self.cases = 0
        self._worlds = Worlds(world)
        self.desk = Desk()
        super().__init__()

    def view(self) -> View:
        """Draw the case from the chosen side, the checks that were ordered, and the answer."""
        case = self.case
        if case is None or not case.healthy:
            return View(body=(self._controls(), self._length()), reading=(START,), shortcuts={"d": "draw"})
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 case {self.cases} \u00b7 update {len(case.healthy)}"),
            body=(
                self._controls(),
                self._length(),
                note("settings", settings_words(case)),
                self._looks(case),
                *self._picture(case),
                self._checks(),
                *self._said(),
                self._answer_row(case),
                *self._verdict(case),
            ),
            reading=case_words(case, given_up=self.desk.given_up, running=self._runs, tally=self._tally(case)),
            badges=("exact", "average"),
            foot=("keys: d draws a case, h gives a hint",),
            shortcuts={"d": "draw", "h": "hint"},
        )

    def _controls(self) -> Component:
        at = self.job.progress if self.job is not None and self.busy else None
        label = "Stop" if self.busy else "Draw a case" if self.case is None else "Draw another case"
        return row(
            "controls",
            button("draw", label, self.draw_or_stop, main=True),
            self._worlds.choice(self.world, self.choose_world, disabled=self.busy),
            number("updates", "updates", str(self.updates), self._set_updates, disabled=self.busy),
            progress("running", "The case", at.done if at else 0, at.total if at else 1, at.text if at else ""),
        )

    def _length(self) -> Component:
        return note("price", length_words(self.world, self.updates, self._pace))

    def _looks(self, case: Case) -> Component:
        tokens, label = self.desk.look == TOKENS, "Compare with the healthy twin"
        return row(
            "looks",
            radios("view", "Look at", views(case), self.desk.look, self._set_look),
            button("twin", label, self.compare, pressed=self.desk.twin, disabled=tokens),
        )

    def _picture(self, case: Case) -> tuple[Component, ...]:
        if self.desk.look != TOKENS:
            return (curves(case, self.desk.look, twin=self.desk.twin),)
        return (
            row("which", response_choice(case, self.desk.response, self._set_response)),
            token_table(case, self.desk.response),
        )

    def _checks(self) -> Component:
        ordered = [
            button(f"check-{at}", check.title, partial(self.order, at), disabled=self.busy)
            for at, check in enumerate(CHECKS)
        ]
        return fold("checks", "Order a check", row("check-row", *ordered), opened=True)

    def _said(self) -> tuple[Component, ...]:
        return tuple(
            finding(f"sighting-{at}", sighting.words, good=sighting.agrees)
            for at, sighting in sorted(self.desk.sightings.items())
        )

    def _answer_row(self, case: Case) -> Component:
        options = [Option(NOTHING, "what is wrong?"), *(Option(name, one.title) for name, one in catalogue().items())]
        over = case.solved or self.desk.given_up
        return row(
            "answer-row",
            select("answer", "It is", options, self.desk.chosen, self._set_chosen, show_label=True, disabled=over),
            button("name", "Name it", self.name_it, disabled=over or self.desk.chosen == NOTHING),
            button("hint", "A hint", self.hint, disabled=over),
            button("ask", "Ask the checkup", self.ask, disabled=self.desk.asked),
            button("give-up", "Give up", self.give_up, disabled=over),
        )

    def _verdict(self, case: Case) -> tuple[Component, ...]:
        verdict, shown = self.desk.verdict, list[Component]()
        if self.desk.hinted and verdict is None:
            shown.append(finding("hinted", f"Hint: {case.hint()}"))
        if verdict is not None:
            shown.append(finding("verdict", verdict.explanation, good=verdict.right))
            if verdict.threads:
                shown.append(note("threads", f"Where it happened: {', '.join(verdict.threads)}"))
        if self.desk.asked:
            shown += checkup(case)
        return tuple(shown)

    # What the learner can do.

    def draw_or_stop(self) -> None:
        """Hide a fault in a new run and start it, or stop the run that is under way."""
        if self.busy and self.job is not None:
            self.job.stop()
            return
        case = draw_case(self.world, seed=self.seed, among=self.among)
        self.case, self.seed, self.cases = case, self.seed + 1, self.cases + 1
        self.desk = Desk()
        self.start_job("a case", self._run)

    def compare(self) -> None:
        """Show the healthy twin's curves, or hide them."""
        self.desk.twin = not self.desk.twin

    def order(self, at: int) -> None:
        """Do one of the checks."""
        self._present()
        self.start_job(CHECKS[at].title, lambda job: self._do(at, job))

    def name_it(self) -> None:
        """Answer."""
        case = self._present()
        verdict = case.answer(self.desk.chosen)
        self.desk.verdict = verdict
        self.solved += verdict.right

    def hint(self) -> None:
        """Say where to look."""
        self._present()
        self.desk.hinted, self.desk.verdict = True, None

    def ask(self) -> None:
        """Let the run doctor look at the numbers."""
        self._present()
        self.desk.asked = True

    def give_up(self) -> None:
        """Be told."""
        hidden = self._present().reveal()
        said = f"It was this: {hidden.title}. It shows in this: {hidden.shows}. {hidden.story} {hidden.mend}"
        self.desk.given_up = True
        self.desk.verdict = Verdict(right=False, explanation=said, threads=hidden.threads)

    def choose_world(self, name: str) -> None:
        """Take the next cases from another world."""
        self.world, self.case = self._worlds.named(name), None
        self.updates, self._pace = usual_updates(self.world), []
        self.desk = Desk()

    # Inside.

    def _run(self, job: Job) -> None:
        case = self.case
        if case is not None:
            with contextlib.suppress(Stopped):
                said = job.reporting(lambda done, n, _: job.report(done, n, running_words(case, done, n)))
                case.run(self.updates, job=said)
            self._pace = pace(case) or self._pace

    def _do(self, at: int, job: Job) -> None:
        job.report(0, 0, CHECKS[at].title.lower())
        with contextlib.suppress(Stopped):
            found = CHECKS[at].do(self._present(), job)
            with self._lock:
                self.desk.sightings[at] = found

    def _present(self) -> Case:
        if self.case is None or not self.case.healthy:
            raise LabError("case", "none", "draw one first")
        if self._runs:
            raise LabError("case", "running", "wait until it has run, or press Stop")
        return self.case

    @property
    def _runs(self) -> bool:
        return self.busy and self.job is not None and self.job.name == "a case"

    def _tally(self, case: Case) -> str:
        return f" {self.solved} of {self.cases} cases named." if self.cases > 1 or case.solved else ""

    def _set_updates(self, value: object) -> None:
        updates = read_whole("updates", value)
        check_count("updates", updates)
        self.updates = updates

    def _set_look(self, view: str) -> None:
        self.desk.look = view

    def _set_response(self, at: str) -> None:
        self.desk.response = int(at)

    def _set_chosen(self, name: str) -> None:
        self.desk.chosen = name
