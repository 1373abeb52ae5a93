"""The training panel: start, watch, pause, stop and steer one run, and read what it changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rllab.algorithms import ALGORITHMS
from rllab.errors import LabError, Stopped
from rllab.jobs import ProgressFunction
from rllab.plots.numbers import plain
from rllab.trainer import Trainer
from rllab.widgets.components import (
    Component,
    Option,
    button,
    columns,
    finding,
    fold,
    group,
    heading,
    note,
    number,
    progress,
    row,
    select,
)
from rllab.widgets.fields import read_number, read_whole
from rllab.widgets.marks import Column, chart, table
from rllab.widgets.panel import Panel, View
from rllab.widgets.training_words import (
    PHASES,
    Picture,
    draw,
    pictures,
    ratio_finding,
    reading,
    sample_rows,
    seconds_left,
    settings,
)
from rllab.worlds import LOADERS, World, load_world

SAMPLE_PROMPTS = 3
SAMPLE_EVERY = 10  # updates between two looks at the samples while a run goes on


class TrainingPanel(Panel):
    """Train a copy of a world's policy and watch it change; the run itself is `panel.trainer`.

    Pause ends a run after the present update, Stop at once (the unfinished update leaves no trace); Start
    goes on from there. Numbers changed during a run hold from the next update on.
    """

    title = "Training"

    def __init__(self, source: World | Trainer, *, algorithm: str = "ppo", updates: int = 60, seed: int = 0) -> None:
        self.trainer = source if isinstance(source, Trainer) else Trainer(source, algorithm, seed=seed)
        self.updates = _at_least_one(updates)
        self.before: Sequence[Mapping[str, Any]] = ()
        self.now: Sequence[Mapping[str, Any]] = ()
        self.sampled_at = 0
        self._worlds = {} if isinstance(source, Trainer) else {source.name: source}
        self._pausing = False
        self._waiting: dict[str, float] = {}  # settings that a run takes over before its next update
        self._charts: tuple[object, dict[str, Component]] = (None, {})
        super().__init__()

    def view(self) -> View:
        """Draw the run as it stands."""
        trainer, history = self.trainer, [record.metrics for record in self.trainer.history]
        where = f"{trainer.algorithm.title} \u00b7 {trainer.world.name} \u00b7 update {len(history)} of {self._target}"
        return View(
            aside=note("where", where),
            body=(self._choices(), self._controls(), self._progress(), *self._pictures(history), *self._samples()),
            reading=reading(trainer, history),
            badges=("learned",) if trainer.algorithm.uses_critic else (),
            foot=("keys: space starts and pauses, u one update, s stops",),
            shortcuts={" ": "start", "u": "one", "s": "stop"},
        )

    def _choices(self) -> Component:
        busy, config = self.busy, self.trainer.config
        worlds = [Option(name, name) for name in dict.fromkeys([self.trainer.world.name, *self._worlds, *LOADERS])]
        algorithms = [Option(name, algorithm.title) for name, algorithm in ALGORITHMS.items()]
        kl, lr = self._waiting.get("kl_coef", config.kl_coef), self._waiting.get("lr", config.lr)
        more = fold(
            "more",
            "Settings",
            note("settings", settings(config)),
            note("objective", f"A value here is the {self.trainer.world.objective.describe()}."),
        )
        return row(
            "choices",
            select("world", "World", worlds, self.trainer.world.name, self.choose_world, disabled=busy),
            select(
                "algorithm", "Algorithm", algorithms, self.trainer.algorithm.name, self.choose_algorithm, disabled=busy
            ),
            number(
                "kl-coef", "KL coefficient", plain(kl), lambda value: self._steer("kl_coef", "KL coefficient", value)
            ),
            number("lr", "learning rate", plain(lr), lambda value: self._steer("lr", "learning rate", value)),
            number("updates", "updates", str(self.updates), self._set_updates, disabled=busy),
            more,
        )

    def _controls(self) -> Component:
        busy, begun = self.busy, bool(self.trainer.history)
        label = "Pause" if busy else "Go on" if begun else "Start"
        return row(
            "controls",
            button("start", label, self.start_or_pause, main=True, disabled=busy and self._pausing),
            button("one", "One update", self.one_update, disabled=busy),
            button("stop", "Stop", self.stop, disabled=not busy),
            button("again", "Start over", self.start_over, disabled=busy or not begun),
        )

    def _progress(self) -> Component:
        if not self.busy or self.job is None:
            return progress("progress", "Progress of the run", 0, 1, "")
        at = self.job.progress
        seconds = [sum(record.seconds.values()) for record in self.trainer.history[-10:]]
        words = (
            f"update {min(at.done + 1, at.total)} of {at.total}: {at.text}{seconds_left(seconds, at.total - at.done)}"
        )
        ending = "; pauses after this update" if self._pausing else ""
        return progress("progress", "Progress of the run", at.done, at.total, words + ending)

    def _pictures(self, history: Sequence[Mapping[str, float]]) -> tuple[Component, ...]:
        """Draw the charts, new only when an update has been added."""
        stamp = (id(self.trainer), len(history))
        if self._charts[0] != stamp:
            self._charts = (stamp, {one.key: _chart(one, history) for one in pictures(self.trainer)})
        parts = self._charts[1]
        shown = [parts[one.key] for one in pictures(self.trainer) if not one.folded]
        folded = [parts[one.key] for one in pictures(self.trainer) if one.folded]
        found = ratio_finding(history)
        remark = () if found is None else (finding("ratio", found[0], good=found[1]),)
        return (
            columns("pictures", *shown, three=True),
            fold("folded", "More curves", columns("rest", *folded)),
            *remark,
        )

    def _samples(self) -> tuple[Component, ...]:
        if not self.before:
            return ()
        gold = self.trainer.world.gold is not None
        head = [Column("when"), Column("same prompt, same dice"), Column("score", numeric=True)]
        rows = sample_rows(self.before, self.now, update=self.sampled_at, gold=gold)
        columns_ = [*head, Column("gold", numeric=True)] if gold else head
        return (table("samples", "Responses before training and now", columns_, rows),)

    # What the learner can do.

    def start_or_pause(self) -> None:
        """Run to the chosen number of updates, or end after the present one."""
        if self.busy:
            self._pausing = True
            return
        if self.trainer.index >= self.updates:
            raise LabError("updates", self.updates, "this run has done them all; raise the number or press Start over")
        self._run(self.updates)

    def one_update(self) -> None:
        """Do one update more."""
        self._run(self.trainer.index + 1)

    def stop(self) -> None:
        """End the run at once; the unfinished update is dropped."""
        if self.job is not None:
            self.job.stop()

    def start_over(self) -> None:
        """Put the run back to where it began, with the present settings."""
        config = self.trainer.config
        self.trainer.rewind(0)
        self.trainer.configure(kl_coef=config.kl_coef, lr=config.lr)
        self._forget_samples()

    def choose_algorithm(self, name: str) -> None:
        """Begin again with another algorithm and its own settings."""
        world = self._worlds.get(self.trainer.world.name) or self._world_at_start()
        self._begin(world, name)

    def choose_world(self, name: str) -> None:
        """Begin again in another world."""
        world = self._worlds.get(name) or load_world(name)
        self.train_on(world)

    def train_on(self, world: World) -> None:
        """Begin again in a world of one's own making, with a reward from labels for example."""
        if self.busy:
            raise LabError("world", world.name, "a run is going on; stop it first")
        self._begin(world, self.trainer.algorithm.name)
        self._worlds[world.name] = world
        self.refresh()

    # Inside.

    @property
    def _target(self) -> int:
        """Return the update at which the present or next run ends."""
        running = self.job.progress.total if self.job is not None and self.busy else 0
        return max(running, self.updates, self.trainer.index)

    def _begin(self, world: World, algorithm: str) -> None:
        self.trainer = Trainer(world, algorithm, seed=self.trainer.seed)
        self._forget_samples()

    def _world_at_start(self) -> World:
        """Return the world of a run that the panel was given, as it was before the first update."""
        twin = self.trainer.fork()
        twin.rewind(0)
        return twin.world

    def _forget_samples(self) -> None:
        self.before, self.now, self.sampled_at = (), (), 0

    def _run(self, target: int) -> None:
        self._pausing = False
        self.start_job(
            f"{self.trainer.algorithm.title} on {self.trainer.world.name}", lambda s, p: self._train(target, s, p)
        )

    def _train(self, target: int, stop: threading.Event, progress: ProgressFunction) -> None:
        """Do updates up to `target`, with samples at the start, now and then, and at a quiet end."""
        try:
            if not self.before:
                progress(self.trainer.index, target, "samples for later are written")
                self.before = self._sample(stop)
            while self.trainer.index < target and not self._pausing:
                self._take_settings()
                self._update(target, stop, progress)
                if self.trainer.index % SAMPLE_EVERY == 0 or self.trainer.index == target or self._pausing:
                    self.now, self.sampled_at = self._sample(stop), self.trainer.index
        except Stopped:
            pass  # the unfinished update is gone, and that is what Stop means

    def _update(self, target: int, stop: threading.Event, progress: ProgressFunction) -> None:
        """Do one update, saying in which phase it is."""
        done = self.trainer.index
        progress(done, target, "responses are being written")
        for phase in self.trainer.phases(stop=stop):
            progress(done, target, PHASES[phase.name])
        progress(done + 1, target, "done")

    def _sample(self, stop: threading.Event) -> Sequence[Mapping[str, Any]]:
        prompts = self.trainer.world.prompts[:SAMPLE_PROMPTS]
        return self.trainer.samples(prompts, self.trainer.seed, stop=stop)

    def _steer(self, name: str, label: str, value: object) -> None:
        """Change a setting: at once while the run rests, before its next update while it goes on."""
        wanted = {name: read_number(label, value)}
        self.trainer.config.replace(**wanted)  # says now what is wrong with it
        with self._lock:
            self._waiting |= wanted
            if not self.busy:
                self._take_settings()

    def _take_settings(self) -> None:
        with self._lock:
            if self._waiting:
                self.trainer.configure(**self._waiting)
                self._waiting = {}

    def _set_updates(self, value: object) -> None:
        self.updates = _at_least_one(read_whole("updates", value))


def _chart(picture: Picture, history: Sequence[Mapping[str, float]]) -> Component:
    figure = draw(picture, history)
    names = ", ".join(curve.label for curve in picture.curves)
    alt = f"{picture.title} by update: {names}"
    title = heading(f"{picture.key}-title", picture.title)
    return group(f"{picture.key}-group", title, chart(picture.key, figure, alt, height=180))


def _at_least_one(updates: int) -> int:
    if updates < 1:
        raise LabError("updates", updates, "choose a whole number of at least 1")
    return updates
