"""The label panel: two responses, a key for the better one, and the reward model that forms from the labels."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.files import home_dir
from rllab.core.jobs import Job
from rllab.plots.agreement import Point, accuracy_curve, calibration_curve
from rllab.plots.text import counted, fixed
from rllab.preferences.agreement import AgainstJudge
from rllab.preferences.labels import Imported, LabelSession, LabelStore, Report, Revealed, Verdict
from rllab.preferences.pairs import SimulatedJudge
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    fold,
    group,
    heading,
    note,
    passage,
    prose,
    row,
    select,
    term,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.worlds import WorldPanel, called, is_large
from rllab.worlds import World

START = "Press Show pairs: the policy answers a prompt twice, and you choose the better answer."
LN2 = math.log(2)
BATCH, LARGE_BATCH = 12, 3  # pairs drawn at a time; a large model writes slowly
JUDGES: Mapping[str, tuple[float, float]] = {"ada": (0.3, 0.0), "bo": (0.6, 0.02), "cleo": (1.0, 0.04)}
Carry = Callable[[World], object]


class LabelPanel(WorldPanel):
    """Judge pairs with the keyboard, and fit a reward model to the labels; all of it is `panel.session`.

    Args:
        world: Whose policy writes the pairs.
        path: The file to which each label is written before the next pair is shown; by default the world's file in
            the user's folder.
        judge: The name under which the labels are written.
        judges: A simulated judge's name to its noise (units of gold) and its length bias (units of gold per token).
        carry: Receives the world with the fitted reward, such as a training panel's `train_on`.
        seed: Of the pairs that are drawn.
    """

    title = "Label"
    told: Words | None = None  # what a judge, gold or a file has answered to the last question

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
        self._makers = dict(judges)
        self._folder = home_dir() / "labels" if path is None else Path(path).parent
        self._files = {} if path is None else {world.name: Path(path)}
        self.enter(world)
        super().__init__(world)

    def view(self) -> View:
        """Draw the next pair, and what has been learned from the others."""
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
            foot=("keys: 1 or 2 the better one, t tie, n skip, u undo, r refit",),
            shortcuts={"1": "first", "2": "second", "t": "tie", "n": "skip", "u": "undo", "r": "refit"},
        )

    def _choices(self) -> Component:
        waiting = bool(self.session.questions)
        return row(
            "choices",
            self.world_choice(self.session.world),
            button("draw", "Show pairs", self.draw, main=not waiting, disabled=self.busy or waiting),
            *self.working(),
        )

    def _pair(self) -> tuple[Component, ...]:
        """Draw the next pair; both answers look alike, so that neither is suggested."""
        if not self.session.questions:
            return ()
        asked = self.session.questions[0]
        responses: dict[Verdict, str] = {"first": asked.first, "second": asked.second}
        sides = [
            group(
                f"side-{verdict}",
                passage(f"text-{verdict}", f"response {number}", response or "(nothing)"),
                button(verdict, f"{number} \u00b7 this one is better", partial(self.answer, verdict)),
                title=f"Response {number}",
            )
            for number, (verdict, response) in enumerate(responses.items(), 1)
        ]
        return (prose("asked", Span("Prompt: ", tone="dim"), bold(asked.prompt)), columns("pair", *sides, pair=True))

    def _controls(self) -> Component:
        idle, waiting = not self.busy, bool(self.session.questions)
        fitted = self.session.reward is not None
        carry = [button("carry", "Carry this reward to training", self.carry_on, disabled=not fitted)]
        return row(
            "controls",
            button("tie", "t \u00b7 tie", lambda: self.answer("tie"), disabled=not waiting),
            button("skip", "n \u00b7 skip", self.skip, disabled=not waiting),
            button("undo", "u \u00b7 undo", self.undo, disabled=not len(self.session.store)),
            button("refit", "Refit", self.refit, main=waiting, disabled=not (idle and len(self.session.store))),
            *(carry if self.carry else []),
        )

    def _more(self) -> Component:
        judges, gold = [Option(judge, judge) for judge in self.session.judges], self.session.world.gold
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
        """Save a verdict on the next pair; when no pairs are left, new ones are drawn.

        Args:
            verdict: "first", "second" or "tie".
        """
        self.session.answer(verdict)
        self.told = None
        self._go_on()

    def skip(self) -> None:
        """Leave the next pair without a verdict."""
        self.session.skip()
        self._go_on()

    def undo(self) -> None:
        """Take the last label back."""
        self.session.undo()
        self.told = None

    def refit(self) -> None:
        """Learn from all labels, then draw the pairs from which the new model would learn most."""
        self.session.store.preferences()  # raises now if labels are missing
        self.start_job("refit", self._refit)

    def carry_on(self) -> None:
        """Pass the world with the fitted reward to `carry`."""
        world = self.session.carried()
        if self.carry is not None:
            self.carry(world)
        self.carried_labels = self.session.reports[-1].labels

    @property
    def carried(self) -> World:
        """The world with the fitted reward, for your trainer."""
        return self.session.carried()

    def let_judge(self) -> None:
        """Let the simulated judge label the queued pairs."""
        count = self.session.let_judge(self.teacher)
        self.told = (f"{self.teacher} has labelled {counted(count, 'pair')}.",)
        self._go_on()

    def compare(self) -> None:
        """Compare the learner's labels with what the simulated judge would choose."""
        found: AgainstJudge = self.session.compared_with(self.teacher)
        self.told = teacher_words(self.teacher, len(self.session.own), found)

    def reveal(self) -> None:
        """Compare labels and reward with gold."""
        self.start_job("gold", self._reveal)

    def take_in(self) -> None:
        """Add the pairs of a file to the labels."""
        self.told = imported_words(self.session.take_in(self.file), self.file)

    def export(self) -> None:
        """Write the preferences to a file that TRL reads."""
        count = self.session.store.export(self.file)
        self.told = (f"{counted(count, 'pair')} saved to {self.file}, in the format that TRL reads.",)

    def enter(self, world: World) -> None:
        """Judge pairs of another world; its labels have their own file.

        Args:
            world: The world.
        """
        path = self._files.get(world.name) or self._folder / f"{world.name.replace('/', '--')}.jsonl"
        gold = world.gold
        judges = {} if gold is None else {name: SimulatedJudge(name, gold, *how) for name, how in self._makers.items()}
        self.session = LabelSession(world, LabelStore(path, judge=self.judge), judges=judges, seed=self.seed)
        self.told, self.file, self.teacher = None, "", next(iter(judges), "")
        self.carried_labels = 0  # of the reward that was carried to training

    # Inside.

    def _go_on(self) -> None:
        """Draw new pairs where none is left; while another panel works, the learner asks for them later."""
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


def count_words(session: LabelSession) -> str:
    """Return how many labels there are, and how many pairs wait."""
    store = session.store
    ties = f", {counted(len(store.ties), 'tie')}" if store.ties else ""
    return f"{counted(len(store), 'label')}{ties} \u00b7 {counted(len(session.questions), 'pair')} queued"


def label_words(session: LabelSession, told: Words | None, *, carried: int) -> Words:
    """Return what has been judged, what came of it, and what to do next."""
    if told is not None:
        return told
    if session.reports:
        return (*report_words(session.reports[-1]), *_contradicted(session), *_since(session, carried))
    if not len(session.store):
        asked = "Read both responses and press the key of the better one." if session.questions else START
        return (asked,)
    guess = f"ln 2 = {fixed(LN2, 3)}"
    learn = "Refit when you have a few" if len(session.store.pairs) < 2 else "Press Refit"
    return (
        f"{counted(len(session.store), 'label')} saved. {learn}: a ",
        term("Bradley-Terry", "A model that gives every text a score; the difference of two is the log-odds."),
        f" model learns to score higher what you prefer. Before training it guesses: a loss of {guess} nats.",
        *_contradicted(session),
    )


def report_words(report: Report) -> Words:
    """Return how well the fit does on labels that it has not seen."""
    found = report.held_out
    words: Words = (
        f"Fitted to {report.labels - found.pairs} labels, the reward ranks ",
        bold(f"{_half(found.ranked_alike)} of {found.pairs}"),
        f" held-out {'label' if found.pairs == 1 else 'labels'} correctly, at a loss of {fixed(found.loss)} nats; ",
        f"guessing ranks half of them, at a loss of {fixed(LN2)}. ",
    )
    if report.judged is None:
        return words
    return (
        *words,
        f"Of the simulated judges' labels on such pairs it would predict {_percent(report.judged.expected)}; ",
        "because they are noisy, no model can predict more than ",
        bold(_percent(report.judged.ceiling)),
        ", the Bayes ceiling. ",
    )


def teacher_words(name: str, count: int, found: AgainstJudge) -> Words:
    """Return how often a simulated judge would have judged as the learner did."""
    return (
        f"Asked about your {counted(count, 'pair')}, {name} would agree with you on ",
        bold(_percent(found.expected)),
        f"; with itself, asked again, at best on {_percent(found.ceiling)}. Chance is 50%.",
    )


def revealed_words(found: Revealed) -> Words:
    """Return how far the learner's labels and the reward agree with gold."""
    labels = found.labels
    words: Words = (
        "Gold ranks ",
        bold(f"{_half(labels.ranked_alike)} of {labels.pairs}"),
        " of your labelled pairs as you did. ",
    )
    if found.reward is None:
        return (*words, "You may want something else, and that is fine.")
    return (
        *words,
        f"The fitted reward ranks {_percent(found.reward.pairs)} of pairs of fresh responses as gold does",
        f" (rank correlation {fixed(found.reward.rank_correlation, signed=True)}).",
    )


def imported_words(read: Imported, path: str) -> Words:
    """Return what a file held: how many pairs are new, and what is wrong with its other lines."""
    words: Words = (f"{counted(len(read.pairs), 'new pair')} from {path}.",)
    if not read.problems:
        return words
    rest = f" and {len(read.problems) - 1} more" if len(read.problems) > 1 else ""
    return (*words, f" Skipped: {read.problems[0]}{rest}.")


def learning_pictures(reports: Sequence[Report]) -> tuple[Component, ...]:
    """Draw the results of the refits; nothing before the first."""
    if not reports:
        return ()
    points = []
    for report in reports:
        ceiling = report.judged.ceiling if report.judged is not None else None
        points.append(Point(report.labels, report.held_out.accuracy, report.held_out.pairs, ceiling))
    left = group(
        "accuracy-group",
        heading("accuracy-title", "Accuracy on held-out labels, \u00b1 1 s.e."),
        chart("accuracy", accuracy_curve(points), "Held-out accuracy by the number of labels"),
    )
    sure = term("sure", "The probability that its scores give to the response that it prefers.")
    right = group(
        "calibration-group",
        heading("calibration-title", "Is it as ", sure, " as it is right? On the dotted line it is"),
        chart("calibration", calibration_curve(reports[-1].held_out.calibration), "Calibration on held-out labels"),
    )
    return (columns("learned", left, right),)


def badges_of(session: LabelSession, told: Words | None) -> tuple[str, ...]:
    """Return the kinds of the numbers on the screen."""
    if not session.reports:
        return ("monte-carlo",) if told else ()
    ceiling = ("exact",) if session.reports[-1].judged is not None else ()
    return (*ceiling, "monte-carlo", "learned")


def _contradicted(session: LabelSession) -> Words:
    count = session.contradictions
    return (f"{count} labels contradict each other: they teach that the two are equal. ",) if count else ()


def _since(session: LabelSession, carried: int) -> Words:
    fresh = len(session.store.pairs) - session.reports[-1].labels
    if carried == session.reports[-1].labels:
        return ("This reward is in training now: PPO will see it and nothing else.",)
    return (f"{counted(fresh, 'label')} since then; refit to learn from them.",) if fresh > 0 else ()


def _half(number: float) -> str:
    """Return a count that may have halves: equal scores count half.

    >>> _half(3.0), _half(2.5)
    ('3', '2.5')
    """
    return f"{number:.0f}" if math.isclose(number, round(number)) else f"{number:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if math.isfinite(share) else "not a number"
