"""The value panel: V three ways along a response, what could follow any state, and what another token would bring."""

from __future__ import annotations

from dataclasses import dataclass

from rllab.core.jobs import Job
from rllab.truth import Tree
from rllab.truth.estimates import estimate_along
from rllab.truth.what_if import Continuations, WhatIf, continuations
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Estimate
from rllab.widgets.engine.components import (
    Component,
    button,
    columns,
    finding,
    note,
    number,
    progress,
    row,
    text,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.shared.known import small_tree
from rllab.widgets.shared.pace import usual_samples, with_time_left
from rllab.widgets.shared.what_if import (
    SEED,
    UNCHOSEN,
    Pair,
    check_different,
    chosen,
    compare,
    comparison,
    read_samples,
    what_if_words,
)
from rllab.widgets.shared.worlds import Worlds, called
from rllab.widgets.value.captions import Known, Words, badges_of, fan_words, value_words
from rllab.widgets.value.layout import fan_picture, response_strip, value_picture
from rllab.worlds import World
from rllab.worlds.stepper import Stepper


@dataclass(frozen=True)
class Sampled:
    """What was sampled for one line: V along it, the fan of a state, a comparison."""

    line: tuple[int, ...] = ()
    values: tuple[Estimate, ...] = ()
    continuations: Continuations | None = None
    what_if: WhatIf | None = None


class ValuePanel(Panel):
    """Hold V of one response against sampling and, in a small world, against the truth.

    The response is `panel.stepper`'s line; what was sampled for it is `panel.sampled`.
    """

    title = "Value"

    def __init__(self, source: World | Stepper, *, samples: int | None = None, seed: int = 0) -> None:
        self.stepper = source if isinstance(source, Stepper) else Stepper(source, seed=seed)
        self.samples = samples or usual_samples(self.stepper.world)
        self.selected = 0
        self.sampled = Sampled()
        self.pair = UNCHOSEN
        self.told = ""  # what the learner did last: "" (looked), "fan" or "what-if"
        self._worlds = Worlds(self.stepper.world)
        super().__init__()

    def view(self) -> View:
        """Draw the response, V along it, and what was sampled."""
        known, found = self._known(), self.sampled.continuations
        return View(
            aside=note("where", f"{called(self.stepper.world)} \u00b7 {len(self.stepper.steps)} tokens"),
            body=(
                self._prompt(),
                self._controls(),
                *self._stale(),
                response_strip(self.stepper, known, self.selected, self._select),
                columns("pictures", value_picture(self.stepper, known, self.selected), fan_picture(found, known)),
                *self._compare(),
                note("objective", f"V is the {self.stepper.world.objective.describe()}."),
            ),
            reading=self._words(known),
            badges=badges_of(known, sampled=found is not None or self.sampled.what_if is not None),
            foot=("keys: w writes a response, m samples V along it, c continues from here",),
            shortcuts={"w": "write", "m": "along", "c": "fan"},
        )

    def _prompt(self) -> Component:
        return row(
            "where-row",
            self._worlds.choice(self.stepper.world, self.choose_world, disabled=self.busy),
            text("prompt", "Prompt", self.stepper.prompt, self._set_prompt, disabled=self.busy),
        )

    def _controls(self) -> Component:
        busy, stale = self.busy, self.stepper.stale
        empty, over = not self.stepper.steps or stale, self._over or stale
        at = self.job.progress if self.job is not None and busy else None
        return row(
            "controls",
            button("write", "Write a response", self.write_response, main=True, disabled=busy),
            button("along", "Sample V along it", self.sample_along, disabled=busy or empty),
            button("fan", "Continue from here", self.continue_from_here, disabled=busy or over),
            number("samples", "continuations", str(self.samples), self._set_samples, disabled=busy),
            button("stop", "Stop", self.stop, disabled=not busy),
            progress("doing", "Progress", at.done if at else 0, at.total if at else 1, at.text if at else ""),
        )

    def _stale(self) -> tuple[Component, ...]:
        if not self.stepper.stale:
            return ()
        return (finding("stale", "The policy has learned since this was written; Write a response with the new one."),)

    def _compare(self) -> tuple[Component, ...]:
        if self._over or self.stepper.stale:
            return ()
        go = button("compare", "Compare", self.compare, disabled=self.busy)
        found = self.sampled.what_if
        return comparison(self.stepper, self.selected, self.pair, found, on_choose=self._choose, go=(go,))

    # What the learner can do.

    def write_response(self) -> None:
        """Let the policy write to the end, with a new seed if there is a response already."""
        if self.stepper.done:
            self.stepper.seed += 1
        self.stepper.reset(self.stepper.prompt)
        self._forget()
        self.start_job("writing", self._write)

    def sample_along(self) -> None:
        """Estimate V of every state of the response by continuations."""
        self.start_job("continuations of every state", self._sample_along)

    def continue_from_here(self) -> None:
        """Write the chosen state on many times."""
        self.start_job("continuations of one state", self._continue)

    def compare(self) -> None:
        """Compare two tokens in the chosen state."""
        pair = chosen(self.stepper, self.selected, self.pair)
        check_different(self.stepper, pair)
        self.start_job("two tokens", lambda job: self._what_if(pair, job))

    def stop(self) -> None:
        """End the sampling; what was there before stays."""
        if self.job is not None:
            self.job.stop()

    def choose_world(self, name: str) -> None:
        """Go to another world."""
        world = self._worlds.named(name)
        stepper = Stepper(world, seed=self.stepper.seed)
        self.stepper, self.samples = stepper, usual_samples(world)
        self._forget()

    # Inside.

    @property
    def _over(self) -> bool:
        return self.selected == len(self.stepper.steps) and self.stepper.done

    @property
    def _prefix(self) -> tuple[int, ...]:
        return self.stepper.prefix_ids[: self.selected]

    def _tree(self) -> Tree | None:
        return small_tree(self.stepper.world, self.stepper.prompt)

    def _known(self) -> Known:
        """Collect V of all states in every way that is known now."""
        stepper = self.stepper
        learned: tuple[float, ...] = ()
        if not isinstance(stepper.world.critic, ZeroCritic):
            last = float("nan") if stepper.done else stepper.state.value
            learned = (*(step.state.value for step in stepper.steps), last)
        tree = self._tree() if not stepper.stale else None
        states = [stepper.prefix_ids[:t] for t in range(len(stepper.steps) + 1)]
        exact = tuple(tree.V(state) for state in states) if tree is not None else ()
        fresh = self.sampled.line == stepper.prefix_ids
        return Known(learned, self.sampled.values if fresh else (), exact, over=stepper.done)

    def _words(self, known: Known) -> Words:
        found = self.sampled
        if self.told == "what-if" and found.what_if is not None:
            return what_if_words(self.stepper, self.selected, self.pair, found.what_if)
        if self.told == "fan" and found.continuations is not None:
            return fan_words(found.continuations, None if self.stepper.stale else self._tree())
        return value_words(self.stepper, known, self.selected)

    def _write(self, job: Job) -> None:
        while not self.stepper.done and not job.stopped:
            with self._lock:
                self.stepper.step()
                self.selected = len(self.stepper.steps)
            job.report(len(self.stepper.steps), 0, "writing")
        with self._lock:
            self.selected = 0  # where all is still to come: from there the response is worth looking at

    def _sample_along(self, job: Job) -> None:
        world, ids = self.stepper.world, self.stepper.prefix_ids
        found = estimate_along(
            world,
            self.stepper.prompt,
            ids,
            ["monte-carlo"],
            samples=self.samples,
            seed=SEED,
            job=with_time_left(job),
        )
        with self._lock:
            self.told = ""
            self.sampled = Sampled(ids, found.values["monte-carlo"], self.sampled.continuations, self.sampled.what_if)

    def _continue(self, job: Job) -> None:
        job.report(0, 0, "continuations")
        found = continuations(
            self.stepper.world, self.stepper.prompt, self._prefix, samples=self.samples, seed=SEED, job=job
        )
        with self._lock:
            self.told = "fan"
            self.sampled = Sampled(self.sampled.line, self.sampled.values, found, self.sampled.what_if)

    def _what_if(self, pair: Pair, job: Job) -> None:
        samples = self.samples
        found = compare(self.stepper, self.selected, pair, samples=samples, job=job)
        with self._lock:
            self.told = "what-if"
            self.sampled = Sampled(self.sampled.line, self.sampled.values, self.sampled.continuations, found)

    def _forget(self) -> None:
        self.selected, self.sampled, self.pair, self.told = len(self.stepper.steps), Sampled(), UNCHOSEN, ""

    def _select(self, at: int) -> None:
        """Look at another state; what was sampled for the one before goes."""
        if at != self.selected:
            self.selected, self.told, self.pair = at, "", UNCHOSEN
            self.sampled = Sampled(self.sampled.line, self.sampled.values)

    def _choose(self, pair: Pair) -> None:
        self.pair = pair
        self.sampled = Sampled(self.sampled.line, self.sampled.values, self.sampled.continuations)

    def _set_prompt(self, value: object) -> None:
        self.stepper.reset(str(value))
        self._forget()

    def _set_samples(self, value: object) -> None:
        self.samples = read_samples(value)
