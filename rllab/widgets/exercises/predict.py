"""Predict, run, explain: Run opens when a prediction is kept; afterwards the two are laid side by side."""

from __future__ import annotations

from collections.abc import Callable

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.course.exercises.progress import Prediction
from rllab.course.exercises.grading import Verdict
from rllab.plots.drawing import Picture
from rllab.widgets.engine.answers import choices, prose
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import Component, Option, Span, button, note, number, progress, row
from rllab.widgets.engine.fields import read_number
from rllab.widgets.engine.panel import Panel, View

Experiment = Callable[[Job], Picture]


class PredictPanel(Panel):
    """Ask for a prediction, run the experiment, compare.

    `run(job)` returns a Picture whose `outcome` is the option that came true, or the number. `recorded`
    is a picture of an earlier run; it is shown, and called so, when the learner asks for it after predicting.
    """

    def __init__(self, title: str, prediction: Prediction, run: Experiment, *, recorded: Picture | None = None) -> None:
        self.title, self.prediction, self.experiment, self.recorded = title, prediction, run, recorded
        last = prediction.last
        self.answer: str | float | None = last.answer if last else None
        self.shown: Picture | None = None
        self.is_recorded = False
        self.verdict: Verdict | None = None
        super().__init__()

    def view(self) -> View:
        """Draw the question, the run and the comparison."""
        return View(
            body=(prose("question", self.prediction.question), self._field(), self._controls(), *self._outcome()),
            reading=self._reading(),
            badges=() if self.shown is None else self.shown.kinds,
        )

    def predict(self) -> None:
        """Keep the prediction; from now on Run is open."""
        if self.answer is None:
            raise LabError("prediction", "missing", "choose one, or write a number")
        self.prediction.predict(self.answer)

    def run(self) -> None:
        """Run the experiment in the background, or stop it."""
        if self.busy and self.job is not None:
            self.job.stop()
            return
        self.start_job(f"running {self.title}", self._work)

    def show_recorded(self) -> None:
        """Show the recorded run and compare the prediction with it."""
        if self.recorded is not None:
            self._compare(self.recorded, recorded=True)

    def again(self) -> None:
        """Forget prediction and picture."""
        self.prediction.again()
        self.answer = self.shown = self.verdict = None

    def _work(self, job: Job) -> None:
        picture = self.experiment(job)
        if not job.stopped:
            self._compare(picture, recorded=False)

    def _compare(self, picture: Picture, *, recorded: bool) -> None:
        self.verdict = self.prediction.compare(picture.outcome)
        self.shown, self.is_recorded = picture, recorded

    def _field(self) -> Component:
        held = self.prediction.unlocked
        if self.prediction.options:
            options = [Option(name, words) for name, words in self.prediction.options.items()]
            chosen = [str(self.answer)] if self.answer is not None else []
            return choices("answer", "Your prediction", options, chosen, self._choose, disabled=held)
        label = f"your prediction ({self.prediction.unit})" if self.prediction.unit else "your prediction"
        shown = "" if self.answer is None else f"{self.answer:g}"
        return number("answer", label, shown, self._write, disabled=held, enter="predict")

    def _controls(self) -> Component:
        held = self.prediction.unlocked
        words = "Stop" if self.busy else "Run"
        # A number arrives when its box is left, with the very click on this button: it has to be live before.
        unanswered = bool(self.prediction.options) and self.answer is None
        recorded = [button("recorded", "Show the recorded run", self.show_recorded, disabled=not held)]
        return row(
            "controls",
            button("predict", "Keep prediction", self.predict, main=not held, disabled=held or unanswered),
            button("run", words, self.run, main=held, disabled=not held),
            *(recorded if self.recorded is not None else []),
            button("again", "Predict again", self.again, disabled=not held or self.busy),
        )

    def _outcome(self) -> tuple[Component, ...]:
        if self.busy and self.job is not None:
            at = self.job.progress
            return (progress("progress", "Progress", at.done, at.total, at.text or "starting"),)
        if self.shown is None:
            return ()
        said = "recorded: press Run for your own" if self.is_recorded else "your own run"
        return (chart("picture", self.shown.drawing, self.shown.alt), note("source", said))

    def _reading(self) -> tuple[Span | str, ...]:
        if self.verdict is not None and self.shown is not None:
            return (self.verdict.reason, " ", self.shown.words)
        if self.prediction.unlocked:
            return ("Your prediction is kept. Run it.",)
        return ("Predict first: Run opens when your prediction is kept.",)

    def _choose(self, values: list[str]) -> None:
        self.answer = values[0] if values else None

    def _write(self, value: object) -> None:
        self.answer = read_number("prediction", value)
