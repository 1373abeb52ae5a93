"""Exercises, boards, predictions and the blame game: panels that take a learner's answer, and the progress so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.core.notation import label
from rllab.course.exercises.blame import TIMINGS, BlameGame, good_text
from rllab.course.exercises.boards import TRAY, Board, Played, Table, play
from rllab.course.exercises.content import exercises
from rllab.course.exercises.grading import Choice, Code, Exercise, Number, Verdict
from rllab.course.exercises.progress import Attempt, Prediction, Progress, overview
from rllab.plots.drawing import Picture
from rllab.plots.text import counted, fixed
from rllab.reward.reward import Reward
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.charts import Chip, Column, chart, chips, table, tint, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    Zone,
    button,
    cards,
    choices,
    finding,
    group,
    note,
    number,
    prose,
    radios,
    read_number,
    row,
    select,
    text,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.worlds import World

KEYS = "Enter picks up a card, arrows move it, Enter puts it down, Esc puts it back; or drag, or click card and place"

# ---- Exercises and boards ----


class ExercisePanel(Panel):
    """One exercise with hints in steps, retries and a reason for every wrong answer.

    A function is submitted from a cell of its own: `panel.submit(my_function)`.

    Args:
        exercise: The exercise, or its id.
        progress: Where the answers are kept; by default the learner's own folder.
    """

    def __init__(self, exercise: Exercise | str, *, progress: Progress | None = None) -> None:
        self.attempt = Attempt(exercise, progress=progress)
        self.table = Table(self.attempt.board) if self.attempt.board else None
        self.answer: Any = self._empty()
        self.title = self.attempt.exercise.title
        super().__init__()

    def view(self) -> View:
        """Return the question, the place for the answer, and the verdict."""
        attempt = self.attempt
        tries = f"{attempt.count} {'try' if attempt.count == 1 else 'tries'}" if attempt.count else "not tried yet"
        remarks = attempt.verdict.more if attempt.verdict else ()
        return View(
            aside=note("status", f"exercise {attempt.exercise.id} · {'solved · ' if attempt.solved else ''}{tries}"),
            body=(
                prose("question", attempt.exercise.question),
                self._field(),
                self._controls(),
                *(note(f"hint-{at}", f"Hint: {words}") for at, words in enumerate(attempt.hints)),
                *(finding(f"remark-{at}", words) for at, words in enumerate(remarks)),
                *self._played(),
            ),
            reading=self._reading(),
            foot=(KEYS,) if self.table else (),
        )

    def check(self) -> None:
        """Check the answer on the screen."""
        self.attempt.submit(self._present())

    def submit(self, answer: Any) -> Verdict:
        """Check an answer from a cell, such as a function, and show the verdict.

        An answer that cannot be read costs no try and stops no cell: all cells of a notebook run before the first
        answer.

        Args:
            answer: The answer, in the form that the exercise takes.

        Returns:
            The verdict.
        """
        with self._lock:
            try:
                verdict = self.attempt.submit(answer)
            except LabError as error:
                return Verdict(right=False, reason=str(error))
            self.refresh()
        return verdict

    def start_again(self) -> None:
        """Delete what is kept of this exercise, and the answer on the screen."""
        self.attempt.reset()
        self.answer = self._empty()
        if self.table is not None:
            self.table.clear()
        self._changed()

    def label_of(self, field: str) -> str:
        """Return the field's own name: the label of the box is the question itself.

        Args:
            field: The field of an error.

        Returns:
            The name that the sentence uses.
        """
        return field

    def _present(self) -> Any:
        return self.table.placement if self.table else self.answer

    def _empty(self) -> Any:
        return [] if isinstance(self.attempt.exercise.task, Choice) else ""

    def _controls(self) -> Component:
        left = len(self.attempt.exercise.hints) - len(self.attempt.hints)
        check = [button("check", "Check", self.check, main=True)]
        return row(
            "controls",
            *([] if isinstance(self.attempt.exercise.task, Code) else check),
            button("hint", f"Hint ({left} left)", self.attempt.hint, disabled=not left),
            button("again", "Start again", self.start_again, disabled=not self.attempt.count),
            *self._play_controls(),
        )

    def _play_controls(self) -> tuple[Component, ...]:
        return ()

    def _played(self) -> tuple[Component, ...]:
        return ()

    def _field(self) -> Component:
        """Return the place for the answer."""
        task = self.attempt.exercise.task
        if isinstance(task, Board) and self.table is not None:
            return self._cards(task, self.table)
        if isinstance(task, Choice):
            options = [Option(name, words) for name, words in task.options.items()]
            checked = self.answer if self.attempt.verdict is not None else ()  # what was left out gets words alone
            marks = {name: "right" if name in task.right else "wrong" for name in checked}
            return choices("answer", "Options", options, self.answer, self._set, many=task.many, marks=marks)
        if isinstance(task, Code):
            words = f"Write {task.signature} in the cell below and run that cell: its last line submits it."
            return prose("answer", words)
        if not isinstance(task, Number):
            return text("answer", "your answer", str(self.answer), self._set, show_label=True)
        asked = ", ".join(task.entries)
        asked = asked if len(task.entries) == 1 else f"{len(task.entries)} numbers: {asked}"
        return text("answer", asked, str(self.answer), self._set, enter="check", show_label=True)

    def _cards(self, board: Board, arrangement: Table) -> Component:
        """Return the cards where they are; after a check each placed card is marked."""

        def move(card: str, place: str, at: int) -> None:
            arrangement.move(card, place, at)
            self._changed()

        right, marks = board.right_answer(), {}
        for place, placed in arrangement.placement.items() if self.attempt.verdict is not None else ():
            for at, card in enumerate(placed):
                home = right[place]
                fits = home[at : at + 1] == [card] if board.mode == "order" else card in home
                marks[card] = "right" if fits else "wrong"
        labels = {TRAY: "cards to place"} | {place.id: place.label for place in board.places}
        zones = [Zone(place, labels[place], tuple(placed)) for place, placed in arrangement.rows.items()]
        texts = {card.id: card.text for card in board.cards}
        return cards("cards", "Cards and places", zones, texts, move, mode=board.mode, tray=TRAY, marks=marks)

    def _reading(self) -> Words:
        """Return the sentence about the present answer."""
        verdict = self.attempt.verdict
        if verdict is not None:
            words, tone = ("Right. ", "up") if verdict.right else ("Not yet. ", "down")
            return (Span(words, bold=True, tone=tone), verdict.reason)
        return (
            "You have solved this one before; you may solve it again." if self.attempt.solved else "No answer yet.",
        )

    def _set(self, value: Any) -> None:
        if value != self.answer:
            self.answer = value
            self._changed()

    def _changed(self) -> None:
        self.attempt.verdict = None


class BoardPanel(ExercisePanel):
    """Put cards into places and check; with a trainer, `Play it` runs the cards in the learner's order.

    Args:
        exercise: An exercise with a board, or its id.
        trainer: The run on which the cards of the loop are played.
        progress: Where the answers are kept; by default the learner's own folder.

    Raises:
        LabError: The exercise has no board.
    """

    def __init__(
        self, exercise: Exercise | str, *, trainer: Trainer | None = None, progress: Progress | None = None
    ) -> None:
        attempt = Attempt(exercise, progress=progress)
        if attempt.board is None:
            raise LabError("exercise", attempt.exercise.id, "it has no board; show it with ExercisePanel")
        self.board, self.trainer = attempt.board, trainer
        self.played: tuple[Played, ...] = ()
        super().__init__(attempt.exercise, progress=progress)

    def play(self) -> None:
        """Play the learner's order on one update, in the background."""
        trainer, order = self.trainer, self._present()[self.board.places[0].id]
        if trainer is None:
            return
        if not order:
            raise LabError("order", "empty", "place at least one card")

        def work(job: Job) -> None:
            job.report(0, len(order), "playing")
            self.played = tuple(play(order, trainer, job=job))

        self.start_job("playing your order", work)

    def _play_controls(self) -> tuple[Component, ...]:
        if self.trainer is None:
            return ()
        return (button("play", "Play it", self.play, disabled=self.busy), *self.working())

    def _played(self) -> tuple[Component, ...]:
        """Return what each played card has produced, and where the play stopped."""
        if not self.played:
            return ()
        texts = {card.id: card.text for card in self.board.cards}
        lines = [
            finding(f"played-{at}", f"{at + 1} · {texts[card.card]}: ", card.words, good=not card.stopped)
            for at, card in enumerate(self.played)
        ]
        over = "It stops here; the policy is unchanged." if self.played[-1].stopped else "All cards are played."
        return (group("played", *lines, note("played-end", over), title="Played"),)

    def _changed(self) -> None:
        super()._changed()
        self.played = ()


# ---- Predict, run, explain ----


class PredictPanel(Panel):
    """Ask for a prediction, run the experiment, compare.

    Args:
        title: The title of the panel.
        prediction: What is asked, and where the answer is kept.
        run: Receives a job and returns a Picture whose `outcome` is the option that came true, or the number.
        recorded: The picture of an earlier run; it is shown, labelled so, when the learner asks for it after
            predicting.
    """

    def __init__(
        self, title: str, prediction: Prediction, run: Callable[[Job], Picture], *, recorded: Picture | None = None
    ) -> None:
        self.title, self.prediction, self.experiment, self.recorded = title, prediction, run, recorded
        last = prediction.last
        self.answer: str | float | None = last.answer if last else None
        self.shown: Picture | None = None
        self.verdict: Verdict | None = None
        super().__init__()

    def view(self) -> View:
        """Return the question, the run and the comparison."""
        words: Words = ("Predict first: Run opens when your prediction is kept.",)
        if self.prediction.unlocked:
            words = ("Your prediction is kept. Now press Run.",)
        if self.verdict is not None and self.shown is not None:
            words = (self.verdict.reason, " ", self.shown.words)
        return View(
            body=(prose("question", self.prediction.question), self._field(), self._controls(), *self._outcome()),
            reading=words,
            badges=() if self.shown is None else self.shown.kinds,
        )

    def predict(self) -> None:
        """Keep the prediction; from now on the experiment can be run."""
        if self.answer is None:
            raise LabError("prediction", "missing", "choose one, or write a number")
        self.prediction.predict(self.answer)

    def run(self) -> None:
        """Run the experiment in the background and compare."""

        def work(job: Job) -> None:
            job.report(0, 0, "starting")
            picture = self.experiment(job)
            job.check()
            self._compare(picture)

        self.start_job(f"running {self.title}", work)

    def show_recorded(self) -> None:
        """Show the recorded run and compare the prediction with it."""
        if self.recorded is not None:
            self._compare(self.recorded)

    def again(self) -> None:
        """Delete prediction and picture."""
        self.prediction.again()
        self.answer = self.shown = self.verdict = None

    def _compare(self, picture: Picture) -> None:
        self.verdict = self.prediction.compare(picture.outcome)
        self.shown = picture

    def _field(self) -> Component:
        held = self.prediction.unlocked
        if self.prediction.options:
            options = [Option(name, words) for name, words in self.prediction.options.items()]
            chosen = [str(self.answer)] if self.answer is not None else []
            return choices("answer", "Your prediction", options, chosen, self._choose, disabled=held)
        asked = f"your prediction ({self.prediction.unit})" if self.prediction.unit else "your prediction"
        shown = "" if self.answer is None else f"{self.answer:g}"
        return number("answer", asked, shown, self._write, disabled=held, enter="predict")

    def _controls(self) -> Component:
        held, busy = self.prediction.unlocked, self.busy
        # A number arrives when its box is left, with the very click on this button: it has to be live before.
        unanswered = bool(self.prediction.options) and self.answer is None
        recorded = [button("recorded", "Show the recorded run", self.show_recorded, disabled=busy or not held)]
        return row(
            "controls",
            button("predict", "Keep prediction", self.predict, main=not held, disabled=held or unanswered),
            button("run", "Run", self.run, main=held, disabled=busy or not held),
            *(recorded if self.recorded is not None else []),
            button("again", "Predict again", self.again, disabled=busy or not held),
            *self.working(),
        )

    def _outcome(self) -> tuple[Component, ...]:
        if self.busy or self.shown is None:
            return ()
        source = "recorded: press Run for your own" if self.shown is self.recorded else "your own run"
        return (chart("picture", self.shown.drawing, self.shown.alt), note("source", source))

    def _choose(self, values: list[str]) -> None:
        self.answer = values[0] if values else None

    def _write(self, value: object) -> None:
        self.answer = read_number("prediction", value)


# ---- The blame game ----

SCORES = {"end": "one score at the end", "sentence": "a score for each sentence", "token": "a score for each token"}
SHOWN = 6  # re-rolls in the table; older ones go
QUESTION = (
    "One token of this text was replaced by a bad one. You see what the machine sees: numbers, no words. Choose a "
    "token, buy a re-roll of it if that helps, and accuse the one that spoils the text. Then ask for finer scores."
)


class BlamePanel(Panel):
    """Find the planted flaw by scores alone, and count what it costs.

    Args:
        world: The world whose policy writes the text.
        judge: Scores it; by default the world's gold judge, else its reward.
        tokens: About how long the text is.
        seed: Of the first flaw.
    """

    title = "The blame game"

    def __init__(self, world: World, *, judge: Reward | None = None, tokens: int = 24, seed: int = 0) -> None:
        self.world, self.judge, self.seed = world, judge or world.gold or world.reward, seed
        self._text = good_text(world, judge=self.judge, tokens=tokens)
        self.selected = 0
        self.shown = False
        self.game = BlameGame(world, *self._text, judge=self.judge, seed=seed)
        super().__init__()

    def view(self) -> View:
        """Return the hidden text, what is paid where, and what was bought."""
        modes = [Option(timing, words) for timing, words in SCORES.items()]
        place, found = label(self.selected), bool(self.game.verdict and self.game.verdict.right)
        return View(
            body=(
                prose("question", QUESTION),
                row("mode", radios("timing", "Scores", modes, self.game.timing, self._choose_timing)),
                chips("strip", "Tokens of the flawed text", self._chips(), self._select, selected=self.selected),
                row(
                    "controls",
                    button("reroll", f"Re-roll token {place}", self._reroll, disabled=found),
                    button("accuse", f"Accuse token {place}", self._accuse, main=True, disabled=found),
                    button(
                        "words", "Hide the words" if self.shown else "Show the words", self._toggle, pressed=self.shown
                    ),
                    button("new", "New flaw", self._again),
                ),
                *self._bought(),
            ),
            reading=(self._words(),),
            badges=("exact",),
            foot=("arrows move along the tokens; keys: b buy a re-roll, a accuse, w words",),
            shortcuts={"b": "reroll", "a": "accuse", "w": "words"},
        )

    def _chips(self) -> list[Chip]:
        """Return a chip for each token; its word is hidden until the learner asks for it or has found the flaw."""
        paid, scale = self.game.paid, max(map(abs, self.game.paid))
        return [
            Chip(
                text=visible(word) if self.shown else label(at),
                name=f"token {label(at)}, {word if self.shown else 'hidden'}, paid {fixed(pay, 2, signed=True)}",
                number=fixed(pay, 2, signed=True) if pay else "",
                tint=tint(pay, scale),
            )
            for at, (word, pay) in enumerate(zip(self.game.tokens, paid, strict=True))
        ]

    def _bought(self) -> tuple[Component, ...]:
        if not self.game.rerolls:
            return ()
        head = (Column("token"), Column("score with another token there", numeric=True), Column("change", numeric=True))
        rows: list[list[Span | str]] = []
        for reroll in self.game.rerolls[-SHOWN:]:
            change = reroll.score - self.game.score
            tone = "up" if change > 0 else "down" if change < 0 else "dim"
            rows.append([label(reroll.place), fixed(reroll.score), Span(fixed(change, 2, signed=True), tone=tone)])
        return (table("bought", f"{counted(len(self.game.rerolls), 're-roll')} bought, the latest last", head, rows),)

    def _words(self) -> str:
        if self.game.verdict is not None:
            return self.game.verdict.reason
        score, before = fixed(self.game.score), fixed(self.game.good_score)
        if self.game.timing == "end":
            whole = f"The text scores {score}, paid at its end. It scored {before} before"
            return f"{whole}: any of {len(self.game.tokens)} tokens may have spoilt it."
        return f"The same {score}, paid in {sum(1 for pay in self.game.paid if pay)} parts: look where it is low."

    def _choose_timing(self, timing: str) -> None:
        self.game.timing = next(known for known in TIMINGS if known == timing)
        self.game.verdict = None

    def _select(self, place: int) -> None:
        self.selected = place

    def _reroll(self) -> None:
        self.game.reroll(self.selected)
        self.game.verdict = None

    def _accuse(self) -> None:
        self.shown = self.game.accuse(self.selected).right or self.shown

    def _toggle(self) -> None:
        self.shown = not self.shown

    def _again(self) -> None:
        timing, self.seed = self.game.timing, self.seed + 1
        self.game = BlameGame(self.world, *self._text, judge=self.judge, seed=self.seed)
        self.game.timing, self.shown, self.selected = timing, False, 0


# ---- Progress ----

HEAD = (
    Column("exercise"),
    Column("started by", numeric=True),
    Column("solved by", numeric=True),
    Column("answers", numeric=True),
    Column("most frequent mistake"),
)


class ProgressPanel(Panel):
    """The learner's own progress with a reset; or, for the workshop leader, that of several learners.

    Nothing is sent anywhere: the answers are read from folders on this machine.

    Args:
        homes: The RLLAB_HOME folders of a room; by default the learner's own.
    """

    title = "Progress"

    def __init__(self, homes: Sequence[str | Path] = ()) -> None:
        self.learners = [Progress(Path(home) / "progress") for home in homes] or [Progress()]
        self.own = not homes
        self.notebook = ""
        self.asked = False
        super().__init__()

    def view(self) -> View:
        """Return a row for each exercise."""
        seen, rows = overview(exercises(self.notebook), self.learners), []
        for known in seen:
            answers = f"{known.answers:.1f}" if known.begun else "\u2013"
            mistake = known.stumbles[0][0] if known.stumbles else ""
            name = f"{known.exercise.id} {known.exercise.title}"
            rows.append([name, str(known.begun), str(known.solved), answers, mistake])
        words = f"{sum(known.solved > 0 for known in seen)} of {len(seen)} exercises are solved."
        if not self.own:
            begun, solved = sum(known.begun for known in seen), sum(known.solved for known in seen)
            words = f"{len(self.learners)} learners, {begun} exercises started, {solved} solved."
        if self.asked:
            words = "This deletes every answer. Press once more to do it."
        return View(body=(self._controls(), table("exercises", "Exercises", HEAD, rows)), reading=(words,))

    def _controls(self) -> Component:
        notebooks = dict.fromkeys(exercise.notebook for exercise in exercises())
        options = [Option("", "all notebooks"), *(Option(name, f"notebook {name}") for name in notebooks)]
        chosen = select("notebook", "Notebook", options, self.notebook, self._choose, show_label=True)
        reset = button("reset", "Forget everything: sure?" if self.asked else "Forget everything", self._reset)
        return row("controls", chosen, button("again", "Read again", self._read_again), *([reset] if self.own else []))

    def _choose(self, notebook: str) -> None:
        self.notebook, self.asked = notebook, False

    def _read_again(self) -> None:
        self.asked = False

    def _reset(self) -> None:
        """Delete on the second press, so that a slip of the mouse deletes nothing."""
        if self.asked:
            self.learners[0].reset()
        self.asked = not self.asked
