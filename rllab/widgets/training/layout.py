"""The training panel's further parts: what the checkup finds, runs beside the run, and the test over several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.core.records import UpdateRecord
from rllab.plots.charts import BANDS_HEIGHT, banded_curves
from rllab.plots.text import counted, fixed
from rllab.trainer.comparison import Band, Study
from rllab.trainer.diagnostics import diagnose, summary
from rllab.trainer.signals import Finding
from rllab.trainer.trainer import Trainer
from rllab.value.critic import ZeroCritic
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import Component, bold, button, finding, fold, group, heading, note, number, row
from rllab.widgets.training.captions import GOLD, KL, SCORE
from rllab.widgets.training.run import RunPanel

ARM_ROLES = ("policy", "down", "reward", "edge")  # the run itself, then the control arms


def learns_v(trainer: Trainer) -> bool:
    """Tell whether there is a critic that learns beside the policy."""
    return trainer.algorithm.uses_critic and not isinstance(trainer.world.critic, ZeroCritic)


def critic_parts(trainer: Trainer) -> tuple[Component, ...]:
    """Say so where an algorithm that wants a critic has none: it trains all the same."""
    if learns_v(trainer) or not trainer.algorithm.uses_critic:
        return ()
    words = f"{trainer.algorithm.title} wants a critic and this world has none: V is 0 in every state, so nothing is"
    return (finding("no-critic", f"{words} taken off what a token brings. RLOO and GRPO need no critic."),)


def checkup_parts(history: Sequence[UpdateRecord]) -> tuple[Component, ...]:
    """Say in one sentence how the run stands, and behind a fold everything that was found, the gravest first."""
    if not history:
        return ()
    found = diagnose(history)
    grave = any(one.severity != "note" for one in found)
    head = finding("checkup", f"Checkup: {summary(found)}", good=not grave)
    if not found:
        return (head,)
    lines = [_finding(place, one) for place, one in enumerate(found)]
    return (head, fold("checkup-fold", f"What the checkup sees ({len(found)})", *lines))


def _finding(place: int, one: Finding) -> Component:
    threads = f" Asked about in {', '.join(one.threads)}." if one.threads else ""
    words = (bold(one.name), f", from update {one.since} on. {one.seen} {one.meaning}{threads}")
    return finding(f"checkup-{place}", *words, good=one.severity == "note")


def beside_parts(panel: RunPanel) -> tuple[Component, ...]:
    """Offer the way back to any update, and runs kept beside this one with what tells them apart."""
    trainer, busy = panel.trainer, panel.busy
    if not trainer.history and not len(panel.kept_runs):
        return ()
    controls = row(
        "history-controls",
        number("rewind", f"back to update (0 to {trainer.index})", "", panel.rewind, disabled=busy),
        button("keep", "Keep a copy to compare", panel.keep, disabled=busy or not trainer.history),
    )
    words = "Back drops what came later, and Undo returns it. A copy stays as it is; its curves are the dotted lines."
    rows = [_kept(panel, letter) for letter in panel.kept_runs]
    parts = [controls, note("history-note", words), *(part for one in rows for part in one)]
    return (fold("history", "History and comparison", *parts),)


def _kept(panel: RunPanel, letter: str) -> tuple[Component, ...]:
    kept, busy = panel.kept_runs.run(letter), panel.busy
    key = letter.lower()
    said = f" {kept.algorithm.title}, {counted(len(kept.history), 'update')}: {_ends(kept)}."
    return (
        row(
            f"kept-{key}",
            note(f"kept-{key}-words", bold(letter), said, f" It {panel.kept_runs.difference(letter, panel.trainer)}."),
            button(f"go-{key}", f"Go on with {letter}", lambda: panel.go_on_with(letter), disabled=busy),
            button(f"drop-{key}", f"Drop {letter}", lambda: panel.drop(letter), disabled=busy),
        ),
    )


def _ends(trainer: Trainer) -> str:
    """Say where a run stands, in the numbers of its last update."""
    if not trainer.history:
        return "at its start"
    last = trainer.history[-1].metrics
    gold = f", gold {fixed(last[GOLD], signed=True)}" if GOLD in last else ""
    return f"score {fixed(last[SCORE], signed=True)}{gold}, KL {fixed(last[KL])} nats"


def study_parts(panel: RunPanel) -> tuple[Component, ...]:
    """Show the last test over several seeds: the run and its control arms as bands, and whether it did more."""
    return () if panel.study is None else (_study(panel.study),)


def _study(study: Study) -> Component:
    bands = study.bands()
    drawn = banded_curves(bands, ARM_ROLES, y="reward")
    name = "gold" if study.metric == GOLD else "score"
    title = heading("study-title", f"{name}: mean of {len(study.seeds)} seeds, and where it lies with 95% confidence")
    alt = f"{name} by update with bands: {', '.join(bands)}"
    lines = [note(f"verdict-{place}", words) for place, words in enumerate(study.verdict())]
    head = [Column("arm"), Column("ends at", numeric=True), Column("95% interval", numeric=True)]
    ends = table("study-ends", "Where each arm ends", head, [_end(arm, band) for arm, band in bands.items()])
    return group("study", title, chart("study-chart", drawn, alt, height=BANDS_HEIGHT), *lines, ends)


def _end(arm: str, band: Band) -> list[str]:
    low, high = fixed(band.low[-1], signed=True), fixed(band.high[-1], signed=True)
    return [arm, fixed(band.mean[-1], signed=True), f"{low} to {high}"]
