"""What a learner can do with a run in the training panel: start, stop and steer it, go back, keep it, test it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.trainer.comparison import KeptRuns, Study, study
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.components import read_number, read_whole
from rllab.widgets.engine.panel import Panel
from rllab.widgets.shared.worlds import Worlds
from rllab.widgets.training.captions import PHASES
from rllab.worlds import World

SAMPLE_PROMPTS = 3
SAMPLE_EVERY = 10  # updates between two looks at the samples while a run goes on
ONE_RUN = 1  # what Runs is set to when Start trains the panel's own run


@dataclass(frozen=True)
class Undo:
    """A way back: what it undoes, and the run as it was; the run itself where only updates were added."""

    what: str
    trainer: Trainer
    update: int


class RunPanel(Panel):
    """A panel with one run, `trainer`, that its buttons drive; what it looks like is for a subclass to say.

    Pause ends a run after the present update, Stop at once (the unfinished update leaves no trace); Start
    goes on from there. Numbers changed during a run hold from the next update on.
    """

    def __init__(self, source: World | Trainer, *, algorithm: str = "ppo", updates: int = 60, seed: int = 0) -> None:
        self.trainer = source if isinstance(source, Trainer) else Trainer(source, algorithm, seed=seed)
        self.updates = _at_least_one(updates)
        self.seeds = ONE_RUN
        self.study: Study | None = None
        self.kept_runs = KeptRuns()
        self.before: Sequence[Mapping[str, Any]] = ()
        self.now: Sequence[Mapping[str, Any]] = ()
        self.sampled_at = 0
        self._worlds = Worlds(self.trainer.origin)
        self._pausing = False
        self._waiting: dict[str, float] = {}  # settings that a run takes over before its next update
        self._undo: Undo | None = None
        super().__init__()

    def start_or_pause(self) -> None:
        """Run to the chosen number of updates, or end after the present one; or test it over several seeds."""
        if self.busy:
            self._pausing = True
        elif self.seeds > ONE_RUN:
            self._start_study()
        elif self.trainer.index >= self.updates:
            raise LabError("updates", self.updates, "this run has done them all; raise the number or press Start over")
        else:
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
        config, past = self.trainer.config, self._past("start over")
        self.trainer.rewind(0)
        self.trainer.configure(kl_coef=config.kl_coef, lr=config.lr)
        self._undo = past
        self._forget_samples()

    def choose_algorithm(self, name: str) -> None:
        """Begin again with another algorithm and its own settings."""
        self._begin(self.trainer.origin, name)

    def choose_world(self, name: str) -> None:
        """Begin again in another world."""
        self.train_on(self._worlds.named(name))

    def train_on(self, world: World) -> None:
        """Begin again in a world of one's own making, with a reward from labels for example."""
        if self.busy:
            raise LabError("world", world.name, "a run is going on; stop it first")
        self._begin(world, self.trainer.algorithm.name)
        self._worlds.add(world)
        self.refresh()

    # Back, beside, and more than once.

    def rewind(self, value: object) -> None:
        """Go to the state after an update that is named, in the background; what came later can be had back."""
        k, trainer, past = read_whole("rewind", value), self.trainer, self._past("rewind")
        if not 0 <= k <= trainer.index:
            raise LabError("rewind", k, f"this run has done {trainer.index} updates; choose 0 to {trainer.index}")

        def work(job: Job) -> None:
            job.report(k, trainer.index, f"going back to update {k}")
            trainer.rewind(k, job=job)
            if trainer.index == k:
                self._undo, self.now, self.sampled_at = past, self._sample(job), k

        self.start_job(f"rewind of {trainer.algorithm.title}", work)

    def undo(self) -> None:
        """Take back what was done last: updates that were added, a rewind, or a run that was left."""
        last = self._undo
        if last is None:
            raise LabError("undo", "nothing", "nothing was done yet that could be taken back")
        if last.trainer is self.trainer:
            self.trainer.rewind(last.update)
        self.trainer, self._undo = last.trainer, None
        self._forget_samples()

    def keep(self) -> None:
        """Keep a fork of the run as it is now, to be seen beside whatever comes."""
        self.kept_runs.keep(self.trainer)

    def go_on_with(self, letter: str) -> None:
        """Make a run that was kept the one that goes on; the present one takes its place."""
        self.trainer, self._undo = self.kept_runs.swap(letter, self.trainer), None
        self._forget_samples()

    def drop(self, letter: str) -> None:
        """Give up a run that was kept."""
        self.kept_runs.drop(letter)

    def choose_seeds(self, value: str) -> None:
        """Let Start train this run, or several seeds with the control arms beside them."""
        self.seeds = int(value)

    # Inside.

    @property
    def _target(self) -> int:
        """Return the update at which the present or next run ends."""
        running = self.job.progress.total if self.job is not None and self.busy and self.seeds == ONE_RUN else 0
        return max(running, self.updates, self.trainer.index)

    def _begin(self, world: World, algorithm: str) -> None:
        begun, left = Trainer(world, algorithm, seed=self.trainer.seed), self.trainer
        self._undo = Undo("another run", left, left.index) if left.history else None
        self.trainer = begun
        self._forget_samples()

    def _past(self, what: str) -> Undo:
        """Return the way back from something that drops updates: a fork that keeps them."""
        return Undo(what, self.trainer.fork(), self.trainer.index)

    def _forget_samples(self) -> None:
        self.before, self.now, self.sampled_at = (), (), 0

    def _run(self, target: int) -> None:
        self._pausing = False
        began = Undo("updates", self.trainer, self.trainer.index)
        self.start_job(
            f"{self.trainer.algorithm.title} on {self.trainer.world.title}", lambda job: self._train(target, job)
        )
        self._undo = began

    def _start_study(self) -> None:
        """Train the run's settings anew on several seeds, with the control arms beside them."""
        world, config, seeds = self.trainer.origin, self.trainer.config, range(self.seeds)
        name = self.trainer.algorithm.name

        def work(job: Job) -> None:
            self.study = study(world, name, config, updates=self.updates, seeds=seeds, job=job)

        self._pausing = False
        self.start_job(f"{self.seeds} seeds of {self.trainer.algorithm.title}", work)

    def _train(self, target: int, job: Job) -> None:
        """Do updates up to `target`, with samples at the start, now and then, and at a quiet end."""
        with contextlib.suppress(Stopped), self.trainer.hold():  # Stop drops the unfinished update, and that is all
            if not self.before:
                job.report(self.trainer.index, target, "samples for later are written")
                self.before = self._sample(job)
            while self.trainer.index < target and not self._pausing:
                self._take_settings()
                self._update(target, job)
                if self.trainer.index % SAMPLE_EVERY == 0 or self.trainer.index == target or self._pausing:
                    self.now, self.sampled_at = self._sample(job), self.trainer.index

    def _update(self, target: int, job: Job) -> None:
        """Do one update, saying in which phase it is."""
        done = self.trainer.index
        job.report(done, target, "responses are being written")
        for phase in self.trainer.phases(job=job):
            job.report(done, target, PHASES[phase.name])
        job.report(done + 1, target, "done")

    def _sample(self, job: Job) -> Sequence[Mapping[str, Any]]:
        prompts = self.trainer.world.prompts[:SAMPLE_PROMPTS]
        return self.trainer.samples(prompts, self.trainer.seed, job=job)

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


def _at_least_one(updates: int) -> int:
    if updates < 1:
        raise LabError("updates", updates, "choose a whole number of at least 1")
    return updates
