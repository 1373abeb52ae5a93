"""The value panel: V three ways along a response, what could follow any state, and what another token would bring."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from rllab.core.jobs import Job
from rllab.plots.states import MOST_LINES, Ways, fan_of, three_ways
from rllab.plots.text import fixed
from rllab.truth import Tree
from rllab.truth.estimates import estimate_along
from rllab.truth.what_if import Continuations, WhatIf, continuations
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Estimate
from rllab.widgets.engine.charts import chart, chips, visible
from rllab.widgets.engine.components import (
    Component,
    Words,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    number,
    row,
    term,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.tokens import number_chips, token_names
from rllab.widgets.shared.truth import (
    SEED,
    UNCHOSEN,
    Pair,
    check_different,
    chosen,
    compare,
    comparison,
    read_samples,
    small_tree,
    what_if_words,
    written,
)
from rllab.widgets.shared.worlds import WorldPanel, called, stale_notice, usual_samples
from rllab.worlds import World
from rllab.worlds.stepper import Stepper

CONTINUING = "continuations of one state"  # the names of two jobs: the sentence is about what was done last
COMPARING = "comparing two tokens"


@dataclass(frozen=True)
class Known:
    """V of the states 0..T, learned, sampled and exact; empty where that way is not known."""

    learned: tuple[float, ...]
    sampled: tuple[Estimate, ...]
    exact: tuple[float, ...]
    over: bool  # the last of the states comes after the end

    @property
    def best(self) -> tuple[str, tuple[float, ...]]:
        """Return the most certain way that is known, and its values."""
        means = tuple(estimate.mean for estimate in self.sampled)
        ways = (("exact", self.exact), ("sampled", means), ("learned", self.learned))
        return next(((name, values) for name, values in ways if values), ("", ()))

    @property
    def changes(self) -> list[float]:
        """Return by how much each token moved V, as written; NaN where V is not known.

        NaN also for a token that ends the response: after it V is 0 whatever was earned, and that fall is no fault
        of the token.
        """
        moved = [
            written(written(after) - written(before)) if math.isfinite(before) and math.isfinite(after) else math.nan
            for before, after in itertools.pairwise(self.best[1])
        ]
        return [*moved[:-1], math.nan] if self.over and moved else moved


@dataclass(frozen=True)
class Sampled:
    """What was sampled for one line: V along it, the continuations of a state, a comparison."""

    line: tuple[int, ...] = ()
    values: tuple[Estimate, ...] = ()
    continuations: Continuations | None = None
    what_if: WhatIf | None = None


class ValuePanel(WorldPanel):
    """Compare the critic's V of one response with sampling and, in a small world, with the truth.

    The response is `panel.stepper`'s line; what was sampled for it is `panel.sampled`.

    Args:
        source: A world, or a stepper whose line is looked at.
        samples: Continuations of a state; by default as many as take about a second.
        seed: Of the random numbers that write the response.
    """

    title = "Value"

    def __init__(self, source: World | Stepper, *, samples: int | None = None, seed: int = 0) -> None:
        self.stepper = source if isinstance(source, Stepper) else Stepper(source, seed=seed)
        self.samples = samples or usual_samples(self.stepper.world)
        self.selected = 0
        self.sampled = Sampled()
        self.pair = UNCHOSEN
        super().__init__(self.stepper.world)

    def view(self) -> View:
        """Return the response, V along it, and what was sampled."""
        stepper, known, found = self.stepper, self._known_values(), self.sampled
        shown = (
            ("exact", known.exact),
            ("monte-carlo", known.sampled or found.continuations or found.what_if),
            ("learned", known.learned),
        )
        what, remedy = "this was written", "Write a response with the current policy"
        return View(
            aside=note("where", f"{called(stepper.world)} \u00b7 {len(stepper.steps)} tokens"),
            body=(
                row(
                    "where-row",
                    self.world_choice(stepper.world),
                    text("prompt", "Prompt", stepper.prompt, self._set_prompt, disabled=self.busy),
                ),
                self._controls(),
                *stale_notice(what, remedy, stale=stepper.stale),
                self._strip(known),
                columns("pictures", self._values(known), self._fan(known)),
                *self._comparison(),
                note("objective", f"V is the {stepper.world.objective.describe()}."),
            ),
            reading=self._reading(known),
            badges=tuple(kind for kind, there in shown if there),
            foot=("keys: w writes a response, m samples V along it, c continues from here",),
            shortcuts={"w": "write", "m": "along", "c": "fan"},
        )

    def _controls(self) -> Component:
        busy, stale = self.busy, self.stepper.stale
        return row(
            "controls",
            button("write", "Write a response", self.write_response, main=True, disabled=busy),
            button("along", "Sample V along it", self.sample_along, disabled=busy or stale or not self.stepper.steps),
            button("fan", "Continue from here", self.continue_from_here, disabled=busy or stale or self._over),
            number("samples", "continuations", str(self.samples), self._set_samples, disabled=busy),
            *self.working(),
        )

    def _strip(self, known: Known) -> Component:
        """Return the response's tokens with the change of V that each made."""
        policy, steps, kind = self.stepper.world.policy, self.stepper.steps, known.best[0]
        changes = known.changes or [math.nan] * len(steps)
        forced = [not step.sampled for step in steps]
        return chips(
            "strip",
            "Tokens with the change of V; choosing one shows the state before it",
            number_chips(token_names(policy, self.stepper.prefix_ids), changes, forced=forced),
            self._select,
            prompt=token_names(policy, self.stepper.prompt_ids),
            selected=self.selected,
            next_name="the end of the response",
            quantity=f"change of V ({kind})" if kind else "change of V, not known yet",
            stamp=str(len(steps)),
        )

    def _values(self, known: Known) -> Component:
        """Return the picture of V along the response in every way that is known."""
        critic = term("learned", "What the critic expects; the critic is a network and may be wrong.")
        sampled = term("Monte-Carlo", "The mean of many continuations, with one standard error on each side.")
        exact = (", exact (dotted)",) if known.exact else ()
        means = tuple(estimate.mean for estimate in known.sampled)
        errors = tuple(estimate.standard_error for estimate in known.sampled)  # unknown for a single sample: not drawn
        errors = tuple(error if math.isfinite(error) else 0.0 for error in errors)
        ways = Ways(known.learned, means, errors, known.exact)
        drawn = three_ways([visible(step.token) for step in self.stepper.steps], ways, selected=self.selected)
        return group(
            "left",
            heading("left-title", "V of each state: ", critic, ", ", sampled, *exact),
            chart("values", drawn, "V of each state in every way that is known"),
        )

    def _fan(self, known: Known) -> Component:
        """Return the picture of the continuations of a state, or how to get them."""
        found = self.sampled.continuations
        if found is None:
            return group("right", note("no-fan", "Press Continue from here to see what could follow the chosen state."))
        start = len(found.prefix)
        exact = known.exact[start] if known.exact else None
        drawn = fan_of(found.forecasts, found.returns, start=start, exact=exact)
        what = "each line: reward so far plus V of what follows; it ends at its return; dashed: the mean"
        what += ", dotted: exact" * bool(known.exact)
        what += f"; {MOST_LINES} lines are drawn" * (len(found.returns) > MOST_LINES)
        return group(
            "right",
            heading("right-title", f"{len(found.returns)} continuations of state {start}"),
            chart("rays", drawn, f"Continuations: {what}"),
            note("fan-note", what),
        )

    def _comparison(self) -> tuple[Component, ...]:
        if self._over or self.stepper.stale:
            return ()
        go = button("compare", "Compare", self.compare, disabled=self.busy)
        found = self.sampled.what_if
        return comparison(self.stepper, self.selected, self.pair, found, on_choose=self._choose, go=(go,))

    def _reading(self, known: Known) -> Words:
        found, last = self.sampled, self.job.name if self.job is not None else ""
        if last == COMPARING and found.what_if is not None:
            return what_if_words(self.stepper, self.selected, self.pair, found.what_if)
        if last == CONTINUING and found.continuations is not None:
            return _continuation_words(found.continuations, None if self.stepper.stale else self._tree())
        return _value_words(self.stepper, known, self.selected)

    # What the learner can do.

    def write_response(self) -> None:
        """Let the policy write to the end, with a new seed if there is a response already."""
        if self.stepper.done:
            self.stepper.seed += 1
        self.stepper.reset(self.stepper.prompt)
        self._forget()

        def work(job: Job) -> None:
            while not self.stepper.done and not job.stopped:
                with self._lock:
                    self.stepper.step()
                    self.selected = len(self.stepper.steps)
                job.report(len(self.stepper.steps), 0, "writing")
            with self._lock:
                self.selected = 0  # where everything is still to come: from there the response is worth a look

        self.start_job("writing", work)

    def sample_along(self) -> None:
        """Estimate V of every state of the response by continuations."""
        stepper, samples = self.stepper, self.samples
        ids = stepper.prefix_ids

        def work(job: Job) -> None:
            found = estimate_along(
                stepper.world, stepper.prompt, ids, ["monte-carlo"], samples=samples, seed=SEED, job=job
            )
            with self._lock:
                self.sampled = replace(self.sampled, line=ids, values=found.values["monte-carlo"])

        self.start_job("continuations of every state", work)

    def continue_from_here(self) -> None:
        """Continue the chosen state many times."""
        stepper, samples = self.stepper, self.samples
        prefix = stepper.prefix_ids[: self.selected]

        def work(job: Job) -> None:
            job.report(0, 0, "continuations")
            found = continuations(stepper.world, stepper.prompt, prefix, samples=samples, seed=SEED, job=job)
            with self._lock:
                self.sampled = replace(self.sampled, continuations=found)

        self.start_job(CONTINUING, work)

    def compare(self) -> None:
        """Compare two tokens in the chosen state."""
        stepper, at, samples = self.stepper, self.selected, self.samples
        pair = chosen(stepper, at, self.pair)
        check_different(stepper, pair)

        def work(job: Job) -> None:
            found = compare(stepper, at, pair, samples=samples, job=job)
            with self._lock:
                self.sampled = replace(self.sampled, what_if=found)

        self.start_job(COMPARING, work)

    def enter(self, world: World) -> None:
        """Begin with an empty response in a world.

        Args:
            world: The world.
        """
        self.stepper, self.samples = Stepper(world, seed=self.stepper.seed), usual_samples(world)
        self._forget()

    @property
    def _over(self) -> bool:
        return self.selected == len(self.stepper.steps) and self.stepper.done

    def _tree(self) -> Tree | None:
        return small_tree(self.stepper.world, self.stepper.prompt)

    def _known_values(self) -> Known:
        """Return V of all states in every way that is known now."""
        stepper = self.stepper
        learned: tuple[float, ...] = ()
        if not isinstance(stepper.world.critic, ZeroCritic):
            last = math.nan if stepper.done else stepper.state.value
            learned = (*(step.state.value for step in stepper.steps), last)
        tree = self._tree() if not stepper.stale else None
        states = [stepper.prefix_ids[:t] for t in range(len(stepper.steps) + 1)]
        exact = tuple(tree.V(state) for state in states) if tree is not None else ()
        fresh = self.sampled.line == stepper.prefix_ids
        return Known(learned, self.sampled.values if fresh else (), exact, over=stepper.done)

    def _forget(self) -> None:
        self.selected, self.sampled, self.pair = len(self.stepper.steps), Sampled(), UNCHOSEN

    def _select(self, at: int) -> None:
        """Look at another state; what was sampled for the one before goes."""
        if at != self.selected:
            self.selected, self.pair = at, UNCHOSEN
            self.sampled = Sampled(self.sampled.line, self.sampled.values)

    def _choose(self, pair: Pair) -> None:
        self.pair, self.sampled = pair, replace(self.sampled, what_if=None)

    def _set_prompt(self, value: object) -> None:
        self.stepper.reset(str(value))
        self._forget()

    def _set_samples(self, value: object) -> None:
        self.samples = read_samples(value)


def _value_words(stepper: Stepper, known: Known, at: int) -> Words:
    """Return V of the chosen state in each way that is known, and how far the critic is off."""
    if not stepper.steps and not known.exact:
        return ("Press Write a response, then compare V of its states with what really follows.",)
    if at == len(stepper.steps) and stepper.done:
        return ("The response is over: nothing follows, so V = 0. Click a token to see the state before it.",)
    ways = []
    if known.learned:
        ways.append(f"the critic expects {fixed(known.learned[at], signed=True)}")
    if known.sampled:
        estimate = known.sampled[at]
        shown = f"{fixed(estimate.mean, signed=True)} \u00b1 {fixed(estimate.standard_error)}"
        ways.append(f"{estimate.samples} continuations returned {shown} on average")
    if known.exact:
        ways.append(f"the exact value is {fixed(known.exact[at], signed=True)}")
    words = "; ".join(ways) or "V is not known, because this world has no critic. Press Sample V along it"
    values = [value for value in known.learned if math.isfinite(value)]
    untrained = (" The critic predicts 0 everywhere: it has not learned yet.",) if values and not any(values) else ()
    return (f"In state {at} {words}.", *_judgement(known, at), *untrained)


def _judgement(known: Known, at: int) -> Words:
    """Return how far the critic is from the most certain value that is known besides its own."""
    if not known.learned or not (known.exact or known.sampled):
        return ()
    best = known.exact[at] if known.exact else known.sampled[at].mean
    gap = written(written(known.learned[at]) - written(best))
    verdict = "."
    if not known.exact:
        far = abs(gap) > 3 * known.sampled[at].standard_error
        verdict = ", more than chance explains." if far else ", which chance can explain."
    return (" The critic is off by ", bold(fixed(gap, signed=True)), verdict)


def _continuation_words(found: Continuations, tree: Tree | None) -> Words:
    """Return what the continuations of a state returned, and how much they vary."""
    estimate = found.estimate
    words: Words = (
        f"{estimate.samples} continuations of state {len(found.prefix)} returned ",
        bold(f"{fixed(estimate.mean, signed=True)} \u00b1 {fixed(estimate.standard_error)}"),
        f" on average, from {fixed(min(found.returns), signed=True)} to {fixed(max(found.returns), signed=True)}",
    )
    if tree is None:
        return (*words, ". A single one tells little; their mean estimates V.")
    return (*words, f"; exactly, V = {fixed(tree.V(found.prefix), signed=True)}.")
