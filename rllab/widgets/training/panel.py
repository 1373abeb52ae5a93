"""The training panel: start, watch, pause, stop and steer one run, and read what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rllab.maths.algorithms import ALGORITHMS
from rllab.plots.charts import Beside
from rllab.plots.text import plain
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import (
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
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.metric import explained
from rllab.widgets.shared.pace import seconds_left
from rllab.widgets.shared.worlds import called
from rllab.widgets.training.captions import (
    Picture,
    draw,
    pictures,
    ratio_finding,
    reading,
    sample_rows,
    settings,
)
from rllab.widgets.training.layout import beside_parts, checkup_parts, critic_parts, learns_v, study_parts
from rllab.widgets.training.run import ONE_RUN, RunPanel

SEEDS = (
    Option(str(ONE_RUN), "this run"),
    Option("3", "3 seeds and control arms"),
    Option("5", "5 seeds and control arms"),
)


class TrainingPanel(RunPanel):
    """Train a copy of a world's policy and watch it change; the run itself is `panel.trainer`."""

    title = "Training"
    _charts: tuple[object, dict[str, Component]] = (None, {})
    _checkup: tuple[object, tuple[Component, ...]] = (None, ())

    def view(self) -> View:
        """Draw the run as it stands."""
        trainer, history = self.trainer, [record.metrics for record in self.trainer.history]
        where = (
            f"{trainer.algorithm.title} \u00b7 {called(trainer.origin)} \u00b7 update {len(history)} of {self._target}"
        )
        return View(
            aside=note("where", where),
            body=(
                self._choices(),
                self._controls(),
                self._progress(),
                *self._pictures(history),
                *critic_parts(trainer),
                *self._found(),
                *self._samples(),
                *beside_parts(self),
                *study_parts(self),
            ),
            reading=reading(trainer, history),
            badges=("average", "learned") if learns_v(trainer) else ("average",),
            foot=("keys: space starts and pauses, u one update, s stops",),
            shortcuts={" ": "start", "u": "one", "s": "stop"},
        )

    def _choices(self) -> Component:
        busy, config = self.busy, self.trainer.config
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
            self._worlds.choice(self.trainer.origin, self.choose_world, disabled=busy),
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
        several = self.seeds > ONE_RUN
        label = "Pause" if busy else "Start the seeds" if several else "Go on" if begun else "Start"
        waits = busy and (self._pausing or several)
        back = self._undo
        return row(
            "controls",
            button("start", label, self.start_or_pause, main=True, disabled=waits),
            button("one", "One update", self.one_update, disabled=busy),
            button("stop", "Stop", self.stop, disabled=not busy),
            button("again", "Start over", self.start_over, disabled=busy or not begun),
            button("undo", f"Undo {back.what}" if back else "Undo", self.undo, disabled=busy or back is None),
            select("seeds", "Runs", SEEDS, str(self.seeds), self.choose_seeds, show_label=True, disabled=busy),
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
        """Draw the charts, new only when an update or a run beside has been added."""
        stamp = (id(self.trainer), len(history), *((one, id(self.kept_runs.run(one))) for one in self.kept_runs))
        if self._charts[0] != stamp:
            kept = self.kept_runs
            beside = [Beside(name, [record.metrics for record in kept.run(name).history]) for name in kept]
            self._charts = (stamp, {one.key: _chart(one, history, beside) for one in pictures(self.trainer)})
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

    def _found(self) -> tuple[Component, ...]:
        """Say what the checkup finds, worked out anew only when an update has been added."""
        stamp = (id(self.trainer), self.trainer.index)
        if self._checkup[0] != stamp:
            self._checkup = (stamp, checkup_parts(self.trainer.history))
        return self._checkup[1]

    def _samples(self) -> tuple[Component, ...]:
        if not self.before:
            return ()
        gold = self.trainer.world.gold is not None
        head = [Column("when"), Column("same prompt, same seed"), Column("score", numeric=True)]
        rows = sample_rows(self.before, self.now, update=self.sampled_at, gold=gold)
        columns_ = [*head, Column("gold", numeric=True)] if gold else head
        return (table("samples", "Responses before training and now", columns_, rows),)


def _chart(picture: Picture, history: Sequence[Mapping[str, float]], beside: Sequence[Beside]) -> Component:
    drawn = draw(picture, history, beside)
    names = ", ".join(curve.label for curve in picture.curves)
    alt = f"{picture.title} by update: {names}"
    also = [part for curve in picture.curves[1:] for part in (", ", explained(curve.label, curve.metric))]
    title = heading(f"{picture.key}-title", explained(picture.title, picture.curves[0].metric), *also)
    return group(f"{picture.key}-group", title, chart(picture.key, drawn, alt, height=180))
