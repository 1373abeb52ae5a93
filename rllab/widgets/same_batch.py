"""One frozen batch through every algorithm: what each makes of the same texts, and where each would go."""

from __future__ import annotations

import contextlib

from torch import Tensor

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.maths.algorithms import get_algorithm
from rllab.plots.text import fixed, significant
from rllab.trainer.frozen_batch import AlgorithmView, BatchComparison, same_batch
from rllab.widgets.engine.charts import Chip, Column, chips, table, tint, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    progress,
    radios,
    row,
    select,
    term,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World

QUANTITIES = {"weights": "weight", "push": "push", "change": "\u0394 log \u03c0"}
MEANINGS = {
    "weights": "what multiplies the token's log-prob in the loss: up makes it likelier",
    "push": "the weight with the token's share of the mean over the batch, as the step begins",
    "change": "the token's log-prob after one step, less that before it, in nats",
}
SHOWN = 24  # tokens of a response
START = (
    "Press Write a batch: the policy writes some texts, and every algorithm takes its first step on these same texts "
    "and scores, from the same policy."
)


class SameBatchPanel(Panel):
    """Compare the algorithms on one batch; `panel.compared` is the comparison."""

    title = "One batch, every algorithm"

    def __init__(self, world: World, *, samples_per_prompt: int = 8, seed: int = 0) -> None:
        self.world, self.samples, self.seed = world, samples_per_prompt, seed
        self.compared: BatchComparison | None = None
        self.row, self.token, self.quantity, self.own = 0, 0, "weights", "own"
        self._worlds = Worlds(world)
        super().__init__()

    def view(self) -> View:
        """Draw the same response as each algorithm sees it, and how far their gradients agree."""
        seen = self.compared
        if seen is None:
            return View(body=(self._controls(),), reading=(START,), shortcuts={"w": "write"})
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(seen.rollout)} responses"),
            body=(
                self._controls(),
                self._lookup(seen),
                self._meaning(seen),
                *(self._strip(seen, view) for view in seen.views),
                columns("tables", self._directions(seen), self._effects(seen)),
            ),
            reading=self._words(seen),
            badges=("exact", "learned"),
            foot=("exact: gradients and changes; learned: the V behind the weights of A2C and PPO \u00b7 key: w",),
            shortcuts={"w": "write"},
        )

    def _controls(self) -> Component:
        shared = Option("shared", "all with the same reducer, KL and lr")
        settings = [Option("own", "each with its own settings"), shared]
        at = self.job.progress if self.job is not None and self.busy else None
        label = "Stop" if self.busy else "Write a batch" if self.compared is None else "Write another batch"
        return row(
            "controls",
            button("write", label, self.write_or_stop, main=True),
            self._worlds.choice(self.world, self.choose_world, disabled=self.busy),
            radios("own", "Settings", settings, self.own, self._set_own),
            progress("comparing", "The batch", at.done if at else 0, at.total if at else 1, at.text if at else ""),
        )

    def _lookup(self, seen: BatchComparison) -> Component:
        scores, texts = seen.scores.total.tolist(), seen.rollout.responses
        options = [
            Option(str(at), f"response {at + 1} ({fixed(scores[at], signed=True)}): {text[:40]}")
            for at, text in enumerate(texts)
        ]
        kinds = [Option(name, label) for name, label in QUANTITIES.items()]
        return row(
            "lookup",
            select("row", "show", options, str(self.row), self._set_row, show_label=True),
            radios("quantity", "Chips show", kinds, self.quantity, self._set_quantity),
        )

    def _meaning(self, seen: BatchComparison) -> Component:
        """Say what is answered, how much of the answer is shown, and what the numbers are."""
        length = len(seen.rollout.response_ids(self.row))
        part = f", its first {SHOWN} of {length} tokens" if length > SHOWN else ""
        answered = f"Answer to \u201c{seen.rollout.prompts[self.row]}\u201d{part}"
        return note("meaning", f"{answered} \u00b7 {QUANTITIES[self.quantity]}: {MEANINGS[self.quantity]}")

    def _strip(self, seen: BatchComparison, view: AlgorithmView) -> Component:
        """Return the response with one algorithm's number under each token."""
        ids, policy = seen.rollout.response_ids(self.row)[:SHOWN], self.world.policy
        numbers = self._numbers(view)[self.row, : len(ids)].tolist()
        scale = max([1e-12, *(abs(one) for one in numbers)])
        title, digits = get_algorithm(view.algorithm).title, 4 if self.quantity == "push" else 2
        items = [
            Chip(
                visible(policy.token_text(token)),
                name=f"token {at + 1}, {title}, {fixed(numbers[at], digits, signed=True)}",
                number=fixed(numbers[at], digits, signed=True),
                tint=tint(numbers[at], scale),
            )
            for at, token in enumerate(ids)
        ]
        label = f"{title}: tokens with their {QUANTITIES[self.quantity]}"
        strip = chips(f"strip-{view.algorithm}", label, items, self._select, selected=self.token)
        return group(f"of-{view.algorithm}", heading(f"name-{view.algorithm}", title), strip)

    def _directions(self, seen: BatchComparison) -> Component:
        """Return the cosines of the gradients."""
        titles = [get_algorithm(view.algorithm).title for view in seen.views]
        cosine = term("Cosine", "1: the two gradients point the same way; 0: they have nothing to do with each other.")
        body: list[list[Span | str]] = [
            [title, *(fixed(float(one)) for one in seen.cosines[at])] for at, title in enumerate(titles)
        ]
        heads = [Column(""), *(Column(title, numeric=True) for title in titles)]
        title = heading("directions-title", cosine, " of their gradients")
        return group("directions", title, table("cosines", "", heads, body))

    def _effects(self, seen: BatchComparison) -> Component:
        """Return what one optimizer step of each did."""
        heads = [
            Column(""),
            Column("KL(after\u2016before)", numeric=True),
            Column("this response", numeric=True),
            Column("all responses", numeric=True),
        ]
        body: list[list[Span | str]] = []
        for view in seen.views:
            mine, every = float(view.change[self.row].sum()), float(view.change.sum(dim=1).mean())
            numbers: list[Span | str] = [_signed(mine), _signed(every)]
            body.append([get_algorithm(view.algorithm).title, significant(view.kl, 2), *numbers])
        said = note(
            "effects-note", "KL in nats per token; then \u0394 log \u03c0 of this response, and the mean over all."
        )
        return group("effects", heading("effects-title", "What one step did"), table("steps", "", heads, body), said)

    # What the learner can do.

    def write_or_stop(self) -> None:
        """Write a batch and put it through every algorithm, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.start_job("one batch through every algorithm", self._compare)

    def choose_world(self, name: str) -> None:
        """Go to another world."""
        world = self._worlds.named(name)
        self.world, self.compared, self.row, self.token = world, None, 0, 0

    # Inside.

    def _compare(self, job: Job) -> None:
        with contextlib.suppress(Stopped):  # what was there before stays
            made = same_batch(
                self.world,
                samples_per_prompt=self.samples,
                own_settings=self.own == "own",
                seed=self.seed,
                job=job,
            )
            with self._lock:
                self.compared, self.seed = made, self.seed + 1
                self.row, self.token = int(made.scores.total.argmax()), 0

    def _numbers(self, view: AlgorithmView) -> Tensor:
        return {"weights": view.policy_weights, "push": view.push, "change": view.change}[self.quantity]

    def _words(self, seen: BatchComparison) -> tuple[Span | str, ...]:
        """Say what each gives the chosen token, and which two differ most."""
        ids, names = seen.rollout.response_ids(self.row), [get_algorithm(view.algorithm).title for view in seen.views]
        token = visible(self.world.policy.token_text(ids[self.token]))
        given = ", ".join(
            f"{fixed(float(view.policy_weights[self.row, self.token]), signed=True)} from {name}"
            for name, view in zip(names, seen.views, strict=True)
        )
        flat = int(seen.cosines.argmin())
        one, other = divmod(flat, len(names))
        return (
            bold(token),
            f" gets the weight {given}. The gradients of {names[one]} and {names[other]} differ most: their cosine is ",
            bold(fixed(float(seen.cosines[one, other]))),
            ".",
        )

    def _select(self, at: int) -> None:
        self.token = at

    def _set_row(self, at: str) -> None:
        self.row, self.token = int(at), 0

    def _set_quantity(self, name: str) -> None:
        self.quantity = name

    def _set_own(self, which: str) -> None:
        self.own = which


def _signed(value: float) -> Span:
    return Span(fixed(value, signed=True), tone="up" if value > 0 else "down")
