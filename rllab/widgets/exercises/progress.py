"""How far a learner is, or a whole room: a table of the exercises, read from folders on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rllab.course.exercises.content import exercises
from rllab.course.exercises.progress import Overview, Progress, overview
from rllab.widgets.engine.charts import Column, table
from rllab.widgets.engine.components import Component, Option, Span, button, row, select
from rllab.widgets.engine.panel import Panel, View

ALL = "all notebooks"
HEAD = (
    Column("exercise"),
    Column("begun by", numeric=True),
    Column("solved by", numeric=True),
    Column("answers", numeric=True),
    Column("most frequent stumble"),
)


class ProgressPanel(Panel):
    """The learner's own progress with a reset; or, for the leader, the folders of several learners side by side.

    `homes` are the RLLAB_HOME folders of a room; without them it is the learner's own. Nothing is sent anywhere.
    """

    title = "Progress"

    def __init__(self, homes: Sequence[str | Path] = ()) -> None:
        self.learners = [Progress(Path(home) / "progress") for home in homes] or [Progress()]
        self.own = not homes
        self.notebook = ""
        self.asked = False
        super().__init__()

    def view(self) -> View:
        """Draw a line for each exercise."""
        seen = overview(exercises(self.notebook), self.learners)
        solved = sum(one.solved > 0 for one in seen)
        words = f"{solved} of {len(seen)} exercises are solved."
        if not self.own:
            begun = sum(one.begun for one in seen)
            words = f"{len(self.learners)} learners, {begun} exercises begun, {sum(one.solved for one in seen)} solved."
        return View(
            body=(self._controls(), table("exercises", "Exercises", HEAD, [_line(one) for one in seen])),
            reading=("This forgets every answer. Press once more to do it.",) if self.asked else (words,),
        )

    def _controls(self) -> Component:
        notebooks = dict.fromkeys(one.notebook for one in exercises())
        options = [Option("", ALL), *(Option(name, f"notebook {name}") for name in notebooks)]
        chosen = select("notebook", "Notebook", options, self.notebook, self._choose, show_label=True)
        reset = button("reset", "Forget everything: sure?" if self.asked else "Forget everything", self._reset)
        return row("controls", chosen, button("again", "Read again", self._read_again), *([reset] if self.own else []))

    def _choose(self, notebook: str) -> None:
        self.notebook, self.asked = notebook, False

    def _read_again(self) -> None:
        self.asked = False

    def _reset(self) -> None:
        """Forget on the second press, so that no slip of the mouse does it."""
        if self.asked:
            self.learners[0].reset()
        self.asked = not self.asked


def _line(one: Overview) -> list[Span | str]:
    stumble = one.stumbles[0][0] if one.stumbles else ""
    answers = f"{one.answers:.1f}" if one.begun else "\u2013"
    return [f"{one.exercise.id} {one.exercise.title}", str(one.begun), str(one.solved), answers, stumble]
