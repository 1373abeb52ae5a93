"""The training panel: start, watch, pause, stop and steer one run, go back, compare it, and read what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.core.config import check_count
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.maths.algorithms import ALGORITHMS
from rllab.plots.charts import Beside
from rllab.plots.text import counted, fixed, plain
from rllab.trainer.comparison import KeptRuns, Study, study
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.components import (
    Component,
    Option,
    bold,
    button,
    columns,
    fold,
    note,
    number,
    read_number,
    read_whole,
    row,
    select,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.worlds import WorldPanel, called
from rllab.widgets.training_captions import (
    Metrics,
    checkup,
    critic_finding,
    learns_v,
    pictures,
    ratio_finding,
    reading,
    samples_table,
    settings,
    state_of,
    study_group,
)
from rllab.worlds import World

SAMPLE_PROMPTS = 3
SAMPLE_EVERY = 10  # updates between two looks at the samples during a run
ONE_RUN = 1  # the value of Runs with which Start trains the panel's own run
RUNS = (
    Option(str(ONE_RUN), "this run"),
    Option("3", "3 seeds and control arms"),
    Option("5", "5 seeds and control arms"),
)
STEERED = {"kl_coef": ("kl-coef", "KL coefficient"), "lr": ("lr", "learning rate")}
NEXT = {  # what follows a phase of an update
    "rollout": "scoring",
    "score": "computing advantages",
    "targets": "computing the loss",
    "loss": "changing the weights",
    "step": "changing the weights",
}


@dataclass(frozen=True)
class Undo:
    """A way back: what it undoes, and the run as it was; the run itself where only updates were added."""

    what: str
    trainer: Trainer
    update: int


class TrainingPanel(WorldPanel):
    """Train a copy of a world's policy and watch it change; the run itself is `panel.trainer`.

    Pause ends a run after the current update, Stop at once (the unfinished update leaves no trace); Start
    continues from there. Numbers changed during a run take effect from the next update on.

    Args:
        source: A world to train in, or a run to go on with.
        algorithm: The algorithm of a new run.
        updates: The update at which Start ends.
        seed: The seed of a new run.

    Raises:
        LabError: `updates` is not a whole number of at least 1, or there is no such algorithm.
    """

    title = "Training"

    def __init__(self, source: World | Trainer, *, algorithm: str = "ppo", updates: int = 60, seed: int = 0) -> None:
        check_count("updates", updates)
        self.trainer = source if isinstance(source, Trainer) else Trainer(source, algorithm, seed=seed)
        self.updates = updates
        self.seeds = ONE_RUN
        self.study: Study | None = None
        self.kept_runs = KeptRuns()
        self.before: Sequence[Mapping[str, Any]] = ()
        self.now: Sequence[Mapping[str, Any]] = ()
        self.sampled_at = 0
        self.pausing = False
        self._waiting: dict[str, float] = {}  # settings for the next update of a run that is under way
        self._undo: Undo | None = None
        self._charts: tuple[object, dict[str, Component]] = (None, {})
        self._checkup: tuple[object, tuple[Component, ...]] = (None, ())
        super().__init__(self.trainer.origin)

    def view(self) -> View:
        """Draw the run in its present state."""
        trainer, history = self.trainer, [record.metrics for record in self.trainer.history]
        running = self.job.progress.total if self.job is not None and self.busy and self.seeds == ONE_RUN else 0
        target = max(running, self.updates, trainer.index)
        name = f"{trainer.algorithm.title} \u00b7 {called(trainer.origin)}"
        return View(
            aside=note("where", f"{name} \u00b7 update {len(history)} of {target}"),
            body=(
                self._choices(),
                self._controls(),
                *self._pictures(history),
                *ratio_finding(history),
                *critic_finding(trainer),
                *self._findings(),
                *samples_table(self.before, self.now, update=self.sampled_at, gold=trainer.world.gold is not None),
                *self._history(),
                *([study_group(self.study)] if self.study is not None else []),
            ),
            reading=reading(trainer, history),
            badges=("average", "learned") if learns_v(trainer) else ("average",),
            foot=("keys: space starts and pauses, u one update",),
            shortcuts={" ": "start", "u": "one"},
        )

    def _choices(self) -> Component:
        busy, trainer = self.busy, self.trainer
        algorithms = [Option(name, algorithm.title) for name, algorithm in ALGORITHMS.items()]
        steered = [
            number(key, label, plain(self._waiting.get(field, getattr(trainer.config, field))), self._steering(field))
            for field, (key, label) in STEERED.items()
        ]
        return row(
            "choices",
            self.world_choice(trainer.origin),
            select("algorithm", "Algorithm", algorithms, trainer.algorithm.name, self.choose_algorithm, disabled=busy),
            *steered,
            number("updates", "updates", str(self.updates), self._set_updates, disabled=busy),
            fold(
                "more",
                "Settings",
                note("settings", settings(trainer.config)),
                note("objective", f"A value here is the {trainer.world.objective.describe()}."),
            ),
        )

    def _controls(self) -> Component:
        busy, begun, several, back = self.busy, bool(self.trainer.history), self.seeds > ONE_RUN, self._undo
        label = "Pause" if busy else "Start the seeds" if several else "Go on" if begun else "Start"
        waits = busy and (self.pausing or several)
        return row(
            "controls",
            button("start", label, self.start_or_pause, main=True, disabled=waits),
            button("one", "One update", self.one_update, disabled=busy),
            button("again", "Start over", self.start_over, disabled=busy or not begun),
            button("undo", f"Undo {back.what}" if back else "Undo", self.undo, disabled=busy or back is None),
            select("seeds", "Runs", RUNS, str(self.seeds), self.choose_seeds, show_label=True, disabled=busy),
            *self.working(),
        )

    def _pictures(self, history: Sequence[Metrics]) -> tuple[Component, ...]:
        """Draw the charts, new only when an update or a kept run has been added."""
        kept, drawn = self.kept_runs, pictures(self.trainer)
        stamp = (id(self.trainer), len(history), *((letter, id(kept.run(letter))) for letter in kept))
        if self._charts[0] != stamp:
            beside = [Beside(letter, [record.metrics for record in kept.run(letter).history]) for letter in kept]
            self._charts = (stamp, {picture.key: picture.draw(history, beside=beside) for picture in drawn})
        parts = self._charts[1]
        shown = [parts[picture.key] for picture in drawn if not picture.folded]
        folded = [parts[picture.key] for picture in drawn if picture.folded]
        return (columns("pictures", *shown, three=True), fold("folded", "More curves", columns("rest", *folded)))

    def _findings(self) -> tuple[Component, ...]:
        """Return what the checkup finds, computed anew only when an update has been added."""
        stamp = (id(self.trainer), self.trainer.index)
        if self._checkup[0] != stamp:
            self._checkup = (stamp, checkup(self.trainer.history))
        return self._checkup[1]

    def _history(self) -> tuple[Component, ...]:
        """Return the way back to any update, and the kept runs with what tells them from this run."""
        trainer, busy, begun = self.trainer, self.busy, bool(self.trainer.history)
        if not begun and not len(self.kept_runs):
            return ()
        controls = row(
            "history-controls",
            number("rewind", f"back to update (0 to {trainer.index})", "", self.rewind, disabled=busy),
            button("keep", "Keep a copy to compare", self.keep, disabled=busy or not begun),
        )
        words = "Back drops what came later, and Undo returns it. A copy does not change; its curves are dotted."
        kept = [self._kept(letter) for letter in self.kept_runs]
        return (fold("history", "History and comparison", controls, note("history-note", words), *kept),)

    def _kept(self, letter: str) -> Component:
        kept, key, busy = self.kept_runs.run(letter), letter.lower(), self.busy
        state = f" {kept.algorithm.title}, {counted(len(kept.history), 'update')}: {state_of(kept)}."
        difference = f" It {self.kept_runs.difference(letter, self.trainer)}."
        return row(
            f"kept-{key}",
            note(f"kept-{key}-words", bold(letter), state, difference),
            button(f"go-{key}", f"Go on with {letter}", lambda: self.go_on_with(letter), disabled=busy),
            button(f"drop-{key}", f"Drop {letter}", lambda: self.drop(letter), disabled=busy),
        )

    # What the learner can do.

    def start_or_pause(self) -> None:
        """Run to the chosen number of updates, or end after the current one; or test the run over several seeds."""
        if self.busy:
            self.pausing = True
        elif self.seeds > ONE_RUN:
            self._start_study()
        elif self.trainer.index >= self.updates:
            raise LabError("updates", self.updates, "this run has done them all; raise the number or press Start over")
        else:
            self._run(self.updates)

    def one_update(self) -> None:
        """Run one more update."""
        self._run(self.trainer.index + 1)

    def start_over(self) -> None:
        """Return the run to its start, with the present settings."""
        config, past = self.trainer.config, self._past("start over")
        self.trainer.rewind(0)
        self.trainer.configure(kl_coef=config.kl_coef, lr=config.lr)
        self._go_to(self.trainer, past)

    def choose_algorithm(self, name: str) -> None:
        """Begin again with another algorithm and its settings.

        Args:
            name: The algorithm.
        """
        self._begin(self.trainer.origin, name)

    def train_on(self, world: World) -> None:
        """Begin again in a world that you made, such as one with a reward from labels.

        Args:
            world: The world; the panel offers it from now on.

        Raises:
            LabError: A run is under way.
        """
        self.check_idle(world.name)
        self._begin(world, self.trainer.algorithm.name)
        self.offer(world)
        self.refresh()

    def enter(self, world: World) -> None:
        """Begin again in another world.

        Args:
            world: The world.
        """
        self._begin(world, self.trainer.algorithm.name)

    def rewind(self, value: object) -> None:
        """Go back to the state after an update, in the background; Undo returns what came later.

        Args:
            value: The update, 0 for the start.

        Raises:
            LabError: The run has no such update.
        """
        trainer = self.trainer
        k, past = read_whole("rewind", value, low=0, high=trainer.index), self._past("rewind")

        def work(job: Job) -> None:
            job.report(0, 0, f"going back to update {k}")
            trainer.rewind(k, job=job)
            if trainer.index == k:
                self._undo, self.now, self.sampled_at = past, self._sample(job), k

        self.start_job(f"rewind of {trainer.algorithm.title}", work)

    def undo(self) -> None:
        """Undo the last action: updates that were added, a rewind, or leaving a run."""
        last = self._undo
        if last is None:
            raise LabError("undo", "nothing", "there is nothing to undo yet")
        if last.trainer is self.trainer:
            self.trainer.rewind(last.update)
        self._go_to(last.trainer, None)

    def keep(self) -> None:
        """Keep a copy of the run as it is now, to compare with later runs."""
        self.kept_runs.keep(self.trainer)

    def go_on_with(self, letter: str) -> None:
        """Go on with a kept run; the present one is kept in its place.

        Args:
            letter: The kept run.
        """
        self._go_to(self.kept_runs.swap(letter, self.trainer), None)

    def drop(self, letter: str) -> None:
        """Give up a kept run.

        Args:
            letter: The kept run.
        """
        self.kept_runs.drop(letter)

    def choose_seeds(self, value: str) -> None:
        """Choose whether Start trains this run, or several seeds together with the control arms.

        Args:
            value: How many seeds; 1 is this run.
        """
        self.seeds = int(value)

    # Inside.

    def _go_to(self, trainer: Trainer, undo: Undo | None) -> None:
        """Show another run, or this one in another state."""
        self.trainer, self._undo = trainer, undo
        self.before, self.now, self.sampled_at = (), (), 0

    def _begin(self, world: World, algorithm: str) -> None:
        begun, left = Trainer(world, algorithm, seed=self.trainer.seed), self.trainer
        self._go_to(begun, Undo("another run", left, left.index) if left.history else None)

    def _past(self, what: str) -> Undo:
        """Return the way back from an action that drops updates: a fork that keeps them."""
        return Undo(what, self.trainer.fork(), self.trainer.index)

    def _run(self, target: int) -> None:
        trainer = self.trainer
        self.pausing = False
        self.start_job(f"{trainer.algorithm.title} on {trainer.world.title}", lambda job: self._train(target, job))
        self._undo = Undo("updates", trainer, trainer.index)

    def _start_study(self) -> None:
        """Train the run's settings anew on several seeds, together with the control arms."""
        world, config, seeds = self.trainer.origin, self.trainer.config, range(self.seeds)
        name = self.trainer.algorithm.name

        def work(job: Job) -> None:
            self.study = study(world, name, config, updates=self.updates, seeds=seeds, job=job)

        self.pausing = False
        self.start_job(f"{self.seeds} seeds of {self.trainer.algorithm.title}", work)

    def _train(self, target: int, job: Job) -> None:
        """Do updates up to `target`, with samples at the start, now and then, and at an end that was not forced."""
        trainer = self.trainer
        with trainer.hold():
            if not self.before:
                job.report(trainer.index, target, "sampling before training")
                self.before = self._sample(job)
            while trainer.index < target and not self.pausing:
                self._take_settings()
                self._update(target, job)
                if trainer.index % SAMPLE_EVERY == 0 or trainer.index == target or self.pausing:
                    self.now, self.sampled_at = self._sample(job), trainer.index

    def _update(self, target: int, job: Job) -> None:
        """Do one update and report its phases."""
        done, last = self.trainer.index, self.trainer.history[-10:]
        pace = sum(sum(record.seconds.values()) for record in last) / max(len(last), 1)
        speed = f", {fixed(pace, 1)} s per update" if last else ""

        def report(phase: str) -> None:
            ending = "; pauses after this update" if self.pausing else ""
            job.report(done, target, f"update {done + 1} of {target}: {phase}{ending}{speed}")

        report("writing responses")
        for phase in self.trainer.phases(job=job):
            report(NEXT[phase.name])
        job.report(done + 1, target, f"update {done + 1} of {target} is done{speed}")

    def _sample(self, job: Job) -> Sequence[Mapping[str, Any]]:
        prompts = self.trainer.world.prompts[:SAMPLE_PROMPTS]
        return self.trainer.samples(prompts, self.trainer.seed, job=job)

    def _steering(self, name: str) -> Any:
        """Return what a box does: change a setting at once, or before the next update of a run that is under way."""

        def steer(value: object) -> None:
            wanted = {name: read_number(STEERED[name][1], value)}
            self.trainer.config.replace(**wanted)  # raises now if a value is wrong
            with self._lock:
                self._waiting |= wanted
                if not self.busy:
                    self._take_settings()

        return steer

    def _take_settings(self) -> None:
        with self._lock:
            if self._waiting:
                self.trainer.configure(**self._waiting)
                self._waiting = {}

    def _set_updates(self, value: object) -> None:
        self.updates = read_whole("updates", value, low=1)
