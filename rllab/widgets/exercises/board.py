"""The board: cards that are matched, ordered or sorted, checked, and, for the loop, played with a real trainer."""

from __future__ import annotations

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.course.exercises.boards import Played, Table, play
from rllab.course.exercises.grading import Exercise
from rllab.course.exercises.progress import Attempt, Progress
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.components import Component, button, finding, group, note
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.exercises.layout import board_cards, controls, question, reading, remarks, status

KEYS = "Enter lifts a card, arrows carry it, Enter lays it down, Esc puts it back; or drag, or click card and place"


class BoardPanel(Panel):
    """Lay cards into places and check; with a trainer, `Play` runs the cards in the learner's order."""

    def __init__(
        self, exercise: Exercise | str, *, trainer: Trainer | None = None, progress: Progress | None = None
    ) -> None:
        self.attempt = Attempt(exercise, progress=progress)
        if self.attempt.board is None:
            raise LabError("exercise", self.attempt.exercise.id, "it has no board; show it with ExercisePanel")
        self.board = self.attempt.board
        self.table = Table(self.board)
        self.trainer = trainer
        self.played: tuple[Played, ...] = ()
        self.title = self.attempt.exercise.title
        super().__init__()

    def view(self) -> View:
        """Draw the cards, what the check said and what the play made."""
        others = (button("play", "Play it", self.play, disabled=self.busy),) if self.trainer else ()
        laid = board_cards(self.board, self.table, self._moved, checked=self.attempt.verdict is not None)
        return View(
            aside=status(self.attempt),
            body=(
                question(self.attempt),
                laid,
                controls(self.attempt, self.check, *others, changed=self._cleared),
                *remarks(self.attempt),
                *self._show(),
            ),
            reading=reading(self.attempt),
            foot=(KEYS,),
        )

    def check(self) -> None:
        """Check the cards as they lie."""
        self.attempt.submit(self.table.placement)

    def play(self) -> None:
        """Play the learner's order on one update, in the background."""
        trainer, place = self.trainer, self.board.places[0].id
        if trainer is None:
            return
        order = self.table.placement[place]
        if not order:
            raise LabError("order", "empty", "lay at least one card")

        def work(job: Job) -> None:
            job.report(0, len(order), "playing")
            self.played = tuple(play(order, trainer, job=job))
            job.report(len(order), len(order), "played")

        self.start_job("playing your order", work)

    def _show(self) -> tuple[Component, ...]:
        """Show what each played card has made, and where the play stopped."""
        if not self.played:
            return ()
        texts = {card.id: card.text for card in self.board.cards}
        lines = [
            finding(f"played-{at}", f"{at + 1} · {texts[one.card]}: ", one.words, good=not one.stopped)
            for at, one in enumerate(self.played)
        ]
        over = "The play stops here; the policy is as it was." if self.played[-1].stopped else "The play is over."
        return (group("played", *lines, note("played-end", over), title="Played"),)

    def _moved(self) -> None:
        self.attempt.verdict, self.played = None, ()

    def _cleared(self) -> None:
        self.table.clear()
        self.played = ()
