"""One frozen batch through every algorithm: the weights that each gives the same texts, and where each would go."""

from __future__ import annotations

from rllab.core.jobs import Job
from rllab.maths.algorithms import get_algorithm
from rllab.plots.text import fixed, significant
from rllab.trainer.frozen_batch import AlgorithmView, BatchComparison, same_batch
from rllab.widgets.engine.charts import Chip, Column, chips, table, tint, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    radios,
    row,
    select,
    signed,
    term,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.worlds import WorldPanel, called, stale_notice
from rllab.worlds import World

QUANTITIES = {"policy_weights": "weight", "push": "push", "change": "\u0394 log \u03c0"}
MEANINGS = {
    "policy_weights": "what multiplies the token's log-prob in the loss: a positive weight makes the token more likely",
    "push": "the weight times the token's share of the mean over the batch, as the step begins",
    "change": "the token's log-prob after one step minus that before it, in nats",
}
SHOWN = 24  # tokens of a response
START = (
    "Press Write a batch: the policy writes some texts, and every algorithm takes its first step on these same texts "
    "and scores, from the same policy."
)


class SameBatchPanel(WorldPanel):
    """Compare the algorithms on one batch; `panel.compared` is the comparison.

    Args:
        world: Whose policy writes the batch and takes the steps, each on a copy.
        samples_per_prompt: Responses to each prompt.
        seed: Of the first batch; each further batch takes the next seed.
    """

    title = "One batch, every algorithm"

    def __init__(self, world: World, *, samples_per_prompt: int = 8, seed: int = 0) -> None:
        self.world, self.samples, self.seed = world, samples_per_prompt, seed
        self.compared: BatchComparison | None = None
        self.row, self.token, self.quantity, self.own = 0, 0, "policy_weights", "own"
        self._written_by: object = None  # the weights that wrote the batch
        super().__init__(world)

    def view(self) -> View:
        """Draw the same response as each algorithm sees it, and how far their gradients agree."""
        seen = self.compared
        if seen is None:
            return View(body=(self._controls(),), reading=(START,), shortcuts={"w": "write"})
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(seen.rollout)} responses"),
            body=(
                self._controls(),
                *stale_notice(
                    "this batch was written",
                    "Write another batch with the current policy",
                    stale=self._written_by is not self.world.policy.weights,
                ),
                self._lookup(seen),
                self._meaning(seen),
                *(self._strip(seen, view) for view in seen.views),
                columns("tables", self._directions(seen), self._effects(seen)),
            ),
            reading=self._words(seen),
            badges=("exact", "learned"),
            foot=("exact: gradients and changes; learned: the V in the weights of A2C and PPO \u00b7 key: w",),
            shortcuts={"w": "write"},
        )

    def _controls(self) -> Component:
        shared = Option("shared", "all with the same reducer, KL and lr")
        settings = [Option("own", "each with its own settings"), shared]
        label = "Write a batch" if self.compared is None else "Write another batch"
        return row(
            "controls",
            button("write", label, self.write, main=True, disabled=self.busy),
            self.world_choice(self.world),
            radios("own", "Settings", settings, self.own, self._set_own),
            *self.working(),
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
        """Return what is answered, how much of the answer is shown, and what the numbers are."""
        length = len(seen.rollout.response_ids(self.row))
        part = f", its first {SHOWN} of {length} tokens" if length > SHOWN else ""
        answered = f"Answer to \u201c{seen.rollout.prompts[self.row]}\u201d{part}"
        return note("meaning", f"{answered} \u00b7 {QUANTITIES[self.quantity]}: {MEANINGS[self.quantity]}")

    def _strip(self, seen: BatchComparison, view: AlgorithmView) -> Component:
        """Return the response with one algorithm's number under each token."""
        ids, policy = seen.rollout.response_ids(self.row)[:SHOWN], self.world.policy
        numbers = getattr(view, self.quantity)[self.row, : len(ids)].tolist()
        scale = max([1e-12, *(abs(number) for number in numbers)])
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
        cosine = term("Cosine", "1: the two gradients point the same way; 0: they are at right angles, unrelated.")
        body: list[list[Span | str]] = [
            [title, *(fixed(float(cosine)) for cosine in seen.cosines[at])] for at, title in enumerate(titles)
        ]
        heads = [Column(""), *(Column(title, numeric=True) for title in titles)]
        title = heading("directions-title", cosine, " of their gradients")
        return group("directions", title, table("cosines", "", heads, body))

    def _effects(self, seen: BatchComparison) -> Component:
        """Return what one optimizer step of each algorithm did."""
        body: list[list[Span | str]] = []
        for view in seen.views:
            this, all_ = float(view.change[self.row].sum()), float(view.change.sum(dim=1).mean())
            title = get_algorithm(view.algorithm).title
            body.append([title, significant(view.kl, 2), signed(this), signed(all_)])
        titles = ("KL(after\u2016before)", "this response", "all responses")
        steps = table("steps", "", [Column(""), *(Column(title, numeric=True) for title in titles)], body)
        words = "KL in nats per token; then \u0394 log \u03c0 of this response, and the mean over all."
        return group("effects", heading("effects-title", "What one step did"), steps, note("effects-note", words))

    # What the learner can do.

    def write(self) -> None:
        """Write a batch and put it through every algorithm."""
        self.start_job("one batch through every algorithm", self._compare)

    def enter(self, world: World) -> None:
        """Go to another world; the batch there is still to be written.

        Args:
            world: The world.
        """
        self.world, self.compared, self.row, self.token = world, None, 0, 0

    # Inside.

    def _compare(self, job: Job) -> None:
        weights, own = self.world.policy.weights, self.own == "own"
        made = same_batch(self.world, samples_per_prompt=self.samples, own_settings=own, seed=self.seed, job=job)
        with self._lock:
            self.compared, self.seed, self._written_by = made, self.seed + 1, weights
            self.row, self.token = int(made.scores.total.argmax()), 0

    def _words(self, seen: BatchComparison) -> Words:
        """Return the weight that each gives the chosen token, and which two differ most."""
        ids, names = seen.rollout.response_ids(self.row), [get_algorithm(view.algorithm).title for view in seen.views]
        token = visible(self.world.policy.token_text(ids[self.token]))
        given = ", ".join(
            f"{fixed(float(view.policy_weights[self.row, self.token]), signed=True)} from {name}"
            for name, view in zip(names, seen.views, strict=True)
        )
        first, second = divmod(int(seen.cosines.argmin()), len(names))
        return (
            bold(token),
            f" gets the weight {given}. {names[first]} and {names[second]} differ most: their gradients' cosine is ",
            bold(fixed(float(seen.cosines[first, second]))),
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
