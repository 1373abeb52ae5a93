"""The label panel: two responses, a key for the better one, and the reward model that forms from the keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.files import home_dir
from rllab.core.jobs import Job
from rllab.preferences.agreement import AgainstJudge
from rllab.preferences.labels import LabelSession, LabelStore, Verdict
from rllab.preferences.pairs import SimulatedJudge
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    bold,
    button,
    columns,
    fold,
    group,
    note,
    passage,
    progress,
    prose,
    row,
    select,
    text,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.label.captions import (
    Words,
    badges_of,
    count_words,
    imported_words,
    label_words,
    learning_pictures,
    revealed_words,
    teacher_words,
)
from rllab.widgets.shared.pace import is_large
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World

BATCH, LARGE_BATCH = 12, 3  # pairs drawn at a time; a large model writes slowly
JUDGES: Mapping[str, tuple[float, float]] = {"ada": (0.3, 0.0), "bo": (0.6, 0.02), "cleo": (1.0, 0.04)}
Carry = Callable[[World], object]


class LabelPanel(Panel):
    """Judge pairs with the keyboard, and fit a reward model to the labels; all of it is `panel.session`.

    Labels are written to `path` (by default the world's file in the user's folder) before the next pair is shown.
    `judges` maps a simulated judge's name to its noise (units of gold) and its length bias (units of gold per token).
    `carry` receives the world with the fitted reward: give a training panel's `train_on`.
    """

    title = "Label"

    def __init__(
        self,
        world: World,
        *,
        path: str | Path | None = None,
        judge: str = "you",
        judges: Mapping[str, tuple[float, float]] = JUDGES,
        carry: Carry | None = None,
        seed: int = 0,
    ) -> None:
        self.judge, self.carry, self.seed = judge, carry, seed
        self._makers, self._worlds = dict(judges), Worlds(world)
        self._folder = home_dir() / "labels" if path is None else Path(path).parent
        self._files = {} if path is None else {world.name: Path(path)}
        self.told: Words | None = None  # what the last question to a judge, to gold or to a file came to
        self._sit_down(world)
        super().__init__()

    def view(self) -> View:
        """Draw the pair in front, and what has been learned from the others."""
        session = self.session
        return View(
            aside=note("where", f"{called(session.world)} \u00b7 {count_words(session)}"),
            body=(
                self._choices(),
                *self._pair(),
                self._controls(),
                *learning_pictures(session.reports),
                self._more(),
            ),
            reading=label_words(session, self.told, carried=self.carried_labels),
            badges=badges_of(session, self.told),
            foot=("keys: 1 or 2 the better one, t tie, s skip, u undo, r refit",),
            shortcuts={"1": "first", "2": "second", "t": "tie", "s": "skip", "u": "undo", "r": "refit"},
        )

    def _choices(self) -> Component:
        waiting = bool(self.session.questions)
        at = self.job.progress if self.job is not None and self.busy else None
        return row(
            "choices",
            self._worlds.choice(self.session.world, self.choose_world, disabled=self.busy),
            button("draw", "Show pairs", self.draw, main=not waiting, disabled=self.busy or waiting),
            button("stop", "Stop", self.stop, disabled=not self.busy),
            progress("doing", "Progress", at.done if at else 0, at.total if at else 1, at.text if at else ""),
        )

    def _pair(self) -> tuple[Component, ...]:
        """Draw the pair in front; both answers look alike, so that neither is suggested."""
        if not self.session.questions:
            return ()
        asked = self.session.questions[0]
        sides = (self._side(1, "first", asked.first), self._side(2, "second", asked.second))
        return (prose("asked", Span("Prompt: ", tone="dim"), bold(asked.prompt)), columns("pair", *sides, pair=True))

    def _side(self, number: int, verdict: Verdict, response: str) -> Component:
        return group(
            f"side-{verdict}",
            passage(f"text-{verdict}", f"response {number}", response or "(nothing)"),
            button(verdict, f"{number} \u00b7 this one is better", lambda: self.answer(verdict)),
            title=f"Response {number}",
        )

    def _controls(self) -> Component:
        idle, waiting = not self.busy, bool(self.session.questions)
        fitted = self.session.reward is not None
        carry = [button("carry", "Carry this reward to training", self.carry_on, disabled=not fitted)]
        return row(
            "controls",
            button("tie", "t \u00b7 tie", lambda: self.answer("tie"), disabled=not waiting),
            button("skip", "s \u00b7 skip", self.skip, disabled=not waiting),
            button("undo", "u \u00b7 undo", self.undo, disabled=not len(self.session.store)),
            button("refit", "Refit", self.refit, main=waiting, disabled=not (idle and len(self.session.store))),
            *(carry if self.carry else []),
        )

    def _more(self) -> Component:
        judges, gold = [Option(one, one) for one in self.session.judges], self.session.world.gold
        teacher = (
            select("teacher", "judge", judges, self.teacher, self._choose_teacher, show_label=True),
            button("let", "Let it label the queued pairs", self.let_judge, disabled=not self.session.questions),
            button("beside", "Compare it with you", self.compare, disabled=not self.session.own),
        )
        reveal = button("reveal", "Reveal gold", self.reveal, disabled=self.busy or not self.session.own)
        return fold(
            "more",
            "Simulated judges, gold, files",
            row("teachers", *(teacher if judges else ()), *([reveal] if gold else [])),
            row(
                "files",
                text("file", "pair file", self.file, self._set_file, placeholder="pairs.jsonl", show_label=True),
                button("import", "Import", self.take_in, disabled=not self.file),
                button("export", "Export", self.export, disabled=not (self.file and self.session.store.pairs)),
            ),
            note("store", f"Labels are kept in {self.session.store.path}"),
        )

    # What the learner can do.

    def draw(self) -> None:
        """Let the policy write fresh pairs."""
        self.start_job("new pairs", self._draw)

    def answer(self, verdict: Verdict) -> None:
        """Write down a verdict on the pair in front; at the end of the line new pairs are drawn."""
        self.session.answer(verdict)
        self.told = None
        self._go_on()

    def skip(self) -> None:
        """Leave the pair in front without a verdict."""
        self.session.skip()
        self._go_on()

    def undo(self) -> None:
        """Take the last label back."""
        self.session.undo()
        self.told = None

    def refit(self) -> None:
        """Learn from all labels, then draw the pairs that would tell the new model most."""
        self.session.store.preferences()  # says now what is missing
        self.start_job("refit", self._refit)

    def carry_on(self) -> None:
        """Hand the world with the fitted reward to who trains on it."""
        world = self.session.carried()
        if self.carry is not None:
            self.carry(world)
        self.carried_labels = self.session.reports[-1].labels

    @property
    def carried(self) -> World:
        """Return the world with the fitted reward, for a trainer of your own."""
        return self.session.carried()

    def let_judge(self) -> None:
        """Let the simulated judge label the queued pairs."""
        count = self.session.let_judge(self.teacher)
        self.told = (f"{self.teacher} has answered {count} pairs.",)
        self._go_on()

    def compare(self) -> None:
        """Hold the learner's own labels against what the simulated judge would say."""
        found: AgainstJudge = self.session.beside(self.teacher)
        self.told = teacher_words(self.teacher, len(self.session.own), found)

    def reveal(self) -> None:
        """Hold labels and reward against gold."""
        self.start_job("gold", self._reveal)

    def take_in(self) -> None:
        """Add the pairs of a file to the labels."""
        self.told = imported_words(self.session.take_in(self.file), self.file)

    def export(self) -> None:
        """Write the preferences to a file that TRL reads."""
        count = self.session.store.export(self.file)
        self.told = (f"{count} pairs are now in {self.file}, in the form that TRL reads.",)

    def choose_world(self, name: str) -> None:
        """Sit down with another world; its labels are a file of their own."""
        self._sit_down(self._worlds.named(name))

    def stop(self) -> None:
        """End the present work; labels are not touched."""
        if self.job is not None:
            self.job.stop()

    # Inside.

    def _sit_down(self, world: World) -> None:
        path = self._files.get(world.name) or self._folder / f"{world.name.replace('/', '--')}.jsonl"
        gold = world.gold
        judges = {} if gold is None else {name: SimulatedJudge(name, gold, *how) for name, how in self._makers.items()}
        self.session = LabelSession(world, LabelStore(path, judge=self.judge), judges=judges, seed=self.seed)
        self.told, self.file, self.teacher = None, "", next(iter(judges), "")
        self.carried_labels = 0  # of the reward that was carried to training

    def _go_on(self) -> None:
        """Draw new pairs where none is left; while another job runs, the learner asks for them later."""
        if not self.session.questions and not self.busy:
            with contextlib.suppress(LabError):
                self.draw()

    def _draw(self, job: Job) -> None:
        job.report(0, 0, "the policy writes new pairs")
        self.session.draw(LARGE_BATCH if is_large(self.session.world) else BATCH, job=job.quiet())

    def _refit(self, job: Job) -> None:
        self.session.refit(job=job)
        self.told = None
        self._draw(job)

    def _reveal(self, job: Job) -> None:
        job.report(0, 0, "gold reads the responses")
        found = self.session.reveal(job=job.quiet())
        self.told = revealed_words(found)

    def _choose_teacher(self, name: str) -> None:
        self.teacher = name

    def _set_file(self, value: object) -> None:
        self.file = str(value).strip()
