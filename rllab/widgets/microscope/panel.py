"""The update microscope: one real optimizer step on a copy of the run, measured, predicted, and kept or undone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.maths.algorithms import ALGORITHMS
from rllab.plots.text import plain
from rllab.trainer.microscope import Examination, examine
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.components import (
    Component,
    Option,
    button,
    note,
    progress,
    radios,
    row,
    select,
    slider,
    text,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.microscope.captions import START, clip_words, reading, value_words
from rllab.widgets.microscope.layout import (
    MARKS,
    OWN,
    Text,
    every_candidate,
    leak,
    pictures,
    rows_of,
    strip,
    text_of,
)
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class MicroscopePanel(Panel):
    """Look at one optimizer step of a run; `panel.trainer` is the run, `panel.seen` the examination.

    The step is taken on a copy. Keep and Half make the run take it, Undo puts the run back.
    """

    title = "Update microscope"

    def __init__(self, source: World | Trainer, *, algorithm: str = "ppo", seed: int = 0) -> None:
        self.trainer = source if isinstance(source, Trainer) else Trainer(source, algorithm, seed=seed)
        self.scale = 1.0
        self.seen: Examination | None = None
        self.text = Text(self.trainer.world.prompts[0], ())
        self.state, self.mark, self.decided = 0, "change", ""
        self._worlds = Worlds(self.trainer.origin)
        super().__init__()

    def view(self) -> View:
        """Draw the run, and the step if there is one."""
        trainer, seen = self.trainer, self.seen
        where = f"{trainer.algorithm.title} \u00b7 {called(trainer.origin)} \u00b7 update {trainer.index}"
        top = (self._choices(), self._controls())
        if seen is None:
            return View(aside=note("where", where), body=top, reading=(START,), shortcuts={"s": "step"})
        value = (note("value", value_words(seen, self.state)),) if trainer.algorithm.uses_critic else ()
        return View(
            aside=note("where", where),
            body=(
                *top,
                self._lookup(seen),
                *self._own_text(),
                strip(seen, self.text, self.mark, self.state, self._select),
                pictures(seen, self.state),
                *value,
                note("clip", clip_words(seen)),
                leak(seen, self.state),
                every_candidate(seen, self.state),
            ),
            reading=reading(seen, self.text, self.state, self.decided),
            badges=("exact", "learned") if trainer.algorithm.uses_critic else ("exact",),
            foot=("exact: changes of \u03c0 by this very step \u00b7 keys: s step, k keep, h half, u undo",),
            shortcuts={"s": "step", "k": "keep", "h": "half", "u": "undo"},
        )

    def _choices(self) -> Component:
        algorithms = [Option(name, algorithm.title) for name, algorithm in ALGORITHMS.items()]
        lengths = [Option(str(at), f"{plain(one)} \u00d7 the run's step") for at, one in enumerate(SCALES)]
        return row(
            "choices",
            self._worlds.choice(self.trainer.origin, self.choose_world, disabled=self.busy),
            select(
                "algorithm",
                "Algorithm",
                algorithms,
                self.trainer.algorithm.name,
                self.choose_algorithm,
                disabled=self.busy,
            ),
            slider("scale", "step length", lengths, SCALES.index(self.scale), self._set_scale, disabled=self.busy),
        )

    def _controls(self) -> Component:
        label = "Stop" if self.busy else "Take a step" if self.seen is None else "Take the step again"
        label = "Take the next step" if self.decided and not self.busy else label
        words = self.job.progress.text if self.job is not None and self.busy else ""
        rest, taken = self.busy or self.seen is None, bool(self.decided)
        return row(
            "controls",
            button("step", label, self.step_or_stop, main=True),
            button("keep", "Keep the step", self.keep, disabled=rest or taken),
            button("half", "Keep half of it", self.half, disabled=rest or taken),
            button("undo", "Undo", self.undo, disabled=rest),
            progress("stepping", "The step", 0, 0, words),
        )

    def _lookup(self, seen: Examination) -> Component:
        shown = OWN if self.text.row < 0 else str(self.text.row)
        marks = [Option(name, label) for name, label in MARKS.items() if name != "value" or self._has_critic]
        return row(
            "lookup",
            select("text", "look at", rows_of(seen), shown, self.choose_text, show_label=True, disabled=self.busy),
            radios("mark", "Chips show", marks, self.mark, self._set_mark),
        )

    def _own_text(self) -> tuple[Component, ...]:
        if self.text.row >= 0:
            return ()
        policy = self.trainer.world.policy
        prompt = text("prompt", "Prompt", self.text.prompt, self._set_prompt, show_label=True)
        words = text("response", "Response so far", policy.decode(self.text.ids), self._set_words, show_label=True)
        return (row("own", prompt, words),)

    # What the learner can do.

    def step_or_stop(self) -> None:
        """Take the next step of the run on a copy of it, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.start_job("one optimiser step", self._examine)

    def keep(self) -> None:
        """Let the run take the step."""
        seen = self._present()
        self.trainer.adopt(seen.keep())
        self.decided = "kept"

    def half(self) -> None:
        """Let the run take half the step."""
        seen = self._present()
        self.trainer.adopt(seen.half())
        self.decided = "half"

    def undo(self) -> None:
        """Put the run back to before the step, or put the step away if it was not kept."""
        seen = self._present()
        if self.decided:
            self.trainer.adopt(seen.undo())
        else:
            self.seen = None
        self.decided = ""

    def choose_text(self, which: str) -> None:
        """Look at another response of the batch, or at a text of one's own."""
        seen = self._present()
        self._look(self._own(self.text.prompt, self.text.ids) if which == OWN else text_of(seen, int(which)))

    def choose_world(self, name: str) -> None:
        """Begin a run in another world."""
        world = self._worlds.named(name)
        self._begin(Trainer(world, self.trainer.algorithm.name, seed=self.trainer.seed))

    def choose_algorithm(self, name: str) -> None:
        """Begin a run with another algorithm."""
        self._begin(Trainer(self.trainer.origin, name, seed=self.trainer.seed))

    # Inside.

    @property
    def _has_critic(self) -> bool:
        return self.trainer.algorithm.uses_critic

    def _begin(self, trainer: Trainer) -> None:
        self.trainer, self.seen, self.decided = trainer, None, ""
        self.text, self.state = Text(trainer.world.prompts[0], ()), 0
        self.mark = self.mark if self._has_critic or self.mark != "value" else "change"

    def _examine(self, job: Job) -> None:
        job.report(0, 0, "a copy of the run takes its next step")
        with contextlib.suppress(Stopped):  # what was there before stays
            first = (self.trainer.world.prompts[0], ())
            seen = examine(self.trainer, [first], scale=self.scale, job=job)
            chosen = text_of(seen, int(seen.update.targets.policy_weights.abs().sum(dim=1).argmax()))
            seen = seen.at(chosen.states(seen.start.config.max_new_tokens))
            with self._lock:
                self.seen, self.text, self.decided = seen, chosen, ""
                self.state = int(seen.kl.argmax())  # where most has changed

    def _present(self) -> Examination:
        """Return the step on the screen; refuse to act on it once the run has gone on without it."""
        if self.seen is None:
            raise LabError("step", "none", "take one first")
        expected = (self.seen.start.index + 1) - (0 if self.decided else 1)
        if self.trainer.index != expected:
            remedy = f"the run is at update {self.trainer.index} by now; take the next step"
            raise LabError("step of update", (self.seen.start.index + 1), remedy)
        return self.seen

    def _look(self, chosen: Text) -> None:
        seen = self._present()
        self.seen = seen.at(chosen.states(seen.start.config.max_new_tokens))
        self.text, self.state = chosen, 0

    def _select(self, at: int) -> None:
        if self.seen is not None:
            self.state = min(at, len(self.seen.states) - 1)

    def _set_mark(self, mark: str) -> None:
        self.mark = mark

    def _set_scale(self, at: str) -> None:
        self.scale = SCALES[int(at)]

    def _set_prompt(self, value: object) -> None:
        prompt = str(value)
        self.trainer.world.policy.encode(prompt)
        self._look(self._own(prompt, self.text.ids))

    def _set_words(self, value: object) -> None:
        words = str(value)
        self._look(
            self._own(self.text.prompt, self.trainer.world.policy.encode_response(words) if words.strip() else ())
        )

    def _own(self, prompt: str, ids: Sequence[int]) -> Text:
        """Return a text of one's own: without an end token it has a state at its end."""
        open_ids = [token for token in ids if token != self.trainer.world.policy.eos_id]
        return Text(prompt, tuple(open_ids[: self.trainer.config.max_new_tokens]))
