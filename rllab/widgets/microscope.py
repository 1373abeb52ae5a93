"""The update microscope: one real optimizer step on a copy of the run, measured, predicted, and kept or undone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.maths.algorithms import ALGORITHMS
from rllab.plots.changes import Candidate, before_and_after, change_bars
from rllab.plots.text import fixed, plain, probability, significant
from rllab.trainer.microscope import Examination, examine
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.charts import Chip, Column, chart, chips, table, tint, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    fold,
    group,
    heading,
    note,
    radios,
    row,
    select,
    slider,
    term,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.worlds import WorldPanel, called, stale_notice
from rllab.worlds import World

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # step lengths, in steps of the run
SHOWN = 8  # candidates with their own bars
LISTED = 50  # candidates in the table
OWN = "own"  # the learner's text, in place of a response of the batch
OTHERS = "others"
MARKS = {"change": "\u0394 log \u03c0", "ratio": "ratio", "weight": "weight", "value": "\u0394 V"}
STRAIGHT, BENT = 0.9, 0.5  # share of the change that was predicted
START = (
    "Take a step: a copy of the run writes its next batch and takes one optimizer step on it. You see what that does "
    "to every token, next to what the gradient predicted. The run itself does not change until you keep the step."
)


@dataclass(frozen=True)
class Text:
    """The text whose states are looked at: a response of the step's batch, or the learner's (row -1)."""

    prompt: str
    ids: tuple[int, ...]
    row: int = -1

    def states(self, limit: int) -> list[tuple[str, tuple[int, ...]]]:
        """Return the states in which its tokens are chosen, and for the learner's text the state at its end.

        Args:
            limit: The longest response of the run.
        """
        last = len(self.ids) if self.row >= 0 else min(len(self.ids) + 1, limit)
        return [(self.prompt, self.ids[:at]) for at in range(last)]


class MicroscopePanel(WorldPanel):
    """Look at one optimizer step of a run; `panel.trainer` is the run, `panel.seen` the examination.

    The step is taken on a copy. Keep and Half make the run take it, Undo returns the run to where it was.

    Args:
        source: A run, or a world to begin one in.
        algorithm: The algorithm of a new run.
        seed: The seed of a new run.
    """

    title = "Update microscope"

    def __init__(self, source: World | Trainer, *, algorithm: str = "ppo", seed: int = 0) -> None:
        self.trainer = source if isinstance(source, Trainer) else Trainer(source, algorithm, seed=seed)
        self.scale = 1.0
        self.seen: Examination | None = None
        self.text = Text(self.trainer.world.prompts[0], ())
        self.state, self.mark, self.decided = 0, "change", ""
        super().__init__(self.trainer.origin)

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
                *stale_notice("this step was taken", "Take the next step", stale=self._is_stale(seen)),
                self._lookup(seen),
                *self._own_text(),
                self._strip(seen),
                pictures(seen, self.state),
                *value,
                note("clip", clip_words(seen)),
                side_effects(seen, self.state),
                every_candidate(seen, self.state),
            ),
            reading=reading(seen, self.text, self.state, self.decided),
            badges=("exact", "learned") if trainer.algorithm.uses_critic else ("exact",),
            foot=("exact: changes of \u03c0 by this step \u00b7 keys: s step, k keep, h half, u undo",),
            shortcuts={"s": "step", "k": "keep", "h": "half", "u": "undo"},
        )

    def _choices(self) -> Component:
        algorithms = [Option(name, algorithm.title) for name, algorithm in ALGORITHMS.items()]
        lengths = [Option(str(at), f"{plain(scale)} \u00d7 the run's step") for at, scale in enumerate(SCALES)]
        return row(
            "choices",
            self.world_choice(self.trainer.origin),
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
        again = self.seen is not None and not self.decided and not self._is_stale(self.seen)
        label = "Take a step" if self.seen is None else f"Take the {'step again' if again else 'next step'}"
        rest, taken = self.busy or self.seen is None, bool(self.decided)
        return row(
            "controls",
            button("step", label, self.take_step, main=True, disabled=self.busy),
            button("keep", "Keep the step", self.keep, disabled=rest or taken),
            button("half", "Keep half of it", self.half, disabled=rest or taken),
            button("undo", "Undo", self.undo, disabled=rest),
            *self.working(),
        )

    def _lookup(self, seen: Examination) -> Component:
        rows, scores = seen.update.rollout, seen.update.scores.total.tolist()
        texts = [
            Option(str(at), f"response {at + 1} ({fixed(scores[at], signed=True)}): {_short(rows.responses[at])}")
            for at in range(len(rows))
        ]
        options, shown = [*texts, Option(OWN, "a text of yours")], OWN if self.text.row < 0 else str(self.text.row)
        marks = [Option(name, label) for name, label in MARKS.items() if name != "value" or self._has_critic]
        return row(
            "lookup",
            select("text", "look at", options, shown, self.choose_text, show_label=True, disabled=self.busy),
            radios("mark", "Chips show", marks, self.mark, self._set_mark),
        )

    def _own_text(self) -> tuple[Component, ...]:
        if self.text.row >= 0:
            return ()
        policy = self.trainer.world.policy
        prompt = text("prompt", "Prompt", self.text.prompt, self._set_prompt, show_label=True)
        words = text("response", "Response so far", policy.decode(self.text.ids), self._set_words, show_label=True)
        return (row("own", prompt, words),)

    def _strip(self, seen: Examination) -> Component:
        """Return the text's tokens with what the step did to each."""
        policy, chosen = seen.start.world.policy, self.text
        return chips(
            "strip",
            "Tokens with what the step did to them; choosing one shows the state before it",
            token_chips(seen, chosen, self.mark),
            self._select,
            prompt=[visible(policy.token_text(token)) for token in policy.encode(chosen.prompt)],
            selected=self.state,
            next_name="the end of your text" if len(seen.states) > len(chosen.ids) else "",
            stamp=f"{id(seen.update)}.{chosen.row}.{len(seen.states)}",
        )

    # What the learner can do.

    def take_step(self) -> None:
        """Take the next step of the run on a copy of it."""
        self.start_job("one optimizer step", self._examine)

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
        """Return the run to before the step, or put the step away if it was not kept."""
        seen = self._present()
        if self.decided:
            self.trainer.adopt(seen.undo())
        else:
            self.seen = None
        self.decided = ""

    def choose_text(self, which: str) -> None:
        """Look at another response of the batch, or at your text.

        Args:
            which: The response's row in the batch, or "own".
        """
        seen = self._present()
        self._look(self._own(self.text.prompt, self.text.ids) if which == OWN else text_of(seen, int(which)))

    def enter(self, world: World) -> None:
        """Begin a run in another world.

        Args:
            world: The world.
        """
        self._begin(Trainer(world, self.trainer.algorithm.name, seed=self.trainer.seed))

    def choose_algorithm(self, name: str) -> None:
        """Begin a run with another algorithm.

        Args:
            name: The algorithm.
        """
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
        first = (self.trainer.world.prompts[0], ())
        seen = examine(self.trainer, [first], scale=self.scale, job=job)
        chosen = text_of(seen, int(seen.update.targets.policy_weights.abs().sum(dim=1).argmax()))
        seen = seen.at(chosen.states(seen.start.config.max_new_tokens))
        with self._lock:
            self.seen, self.text, self.decided = seen, chosen, ""
            self.state = int(seen.kl.argmax())  # where most has changed

    def _is_stale(self, seen: Examination) -> bool:
        """Return whether the run has moved on without this panel since the step was taken."""
        return self.trainer.index != seen.start.index + (1 if self.decided else 0)

    def _present(self) -> Examination:
        """Return the step on the screen; raise LabError if there is none or the run has moved on without it."""
        if self.seen is None:
            raise LabError("step", "none", "take one first")
        if self._is_stale(self.seen):
            remedy = f"the run is at update {self.trainer.index} by now; take the next step"
            raise LabError("step of update", self.seen.start.index + 1, remedy)
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
        ids = self.trainer.world.policy.encode_response(words) if words.strip() else ()
        self._look(self._own(self.text.prompt, ids))

    def _own(self, prompt: str, ids: Sequence[int]) -> Text:
        """Return the learner's text: without an end token, so that it has a state at its end."""
        open_ids = [token for token in ids if token != self.trainer.world.policy.eos_id]
        return Text(prompt, tuple(open_ids[: self.trainer.config.max_new_tokens]))


def text_of(seen: Examination, row: int) -> Text:
    """Return one response of the batch."""
    rows = seen.update.rollout
    return Text(rows.prompts[row], tuple(rows.response_ids(row)), row)


def token_chips(seen: Examination, text: Text, mark: str) -> list[Chip]:
    """Return a chip for each token, tinted by its number, dashed where the clip would hold it back."""
    numbers = marked(seen, text, mark)
    held = seen.batch.clipped[text.row].tolist() if text.row >= 0 else [False] * len(text.ids)
    middle = 1.0 if mark == "ratio" else 0.0
    scale = max([1e-9, *(abs(number - middle) for number in numbers if math.isfinite(number))])
    made = []
    for at, (token, number) in enumerate(zip(text.ids, numbers, strict=True)):
        shown = visible(seen.start.world.policy.token_text(token))
        name = f"token {at + 1}, {shown}, {MARKS[mark]} {written(number)}"
        made.append(
            Chip(
                shown,
                name=name + (", held back by the clip" if held[at] else ""),
                number=written(number, signed=mark != "ratio"),
                tint=tint(number - middle, scale),
                forced=held[at],
            )
        )
    return made


def marked(seen: Examination, text: Text, mark: str) -> list[float]:
    """Return one number for each token of the text."""
    size, row = len(text.ids), text.row
    change = [float(seen.measured.logprobs[at, token]) for at, token in enumerate(text.ids[: len(seen.states)])]
    change += [math.nan] * (size - len(change))
    if mark == "ratio":
        return [math.exp(delta) for delta in change]
    if mark == "value":
        return [*seen.measured.values.tolist(), *([math.nan] * size)][:size]
    if mark == "weight":
        return [math.nan] * size if row < 0 else seen.update.targets.policy_weights[row, :size].tolist()
    return change


def candidates(seen: Examination, state: int, *, limit: int) -> list[Candidate]:
    """Return the tokens whose probability moved most in a state, most likely first, and all others as one."""
    before, after = (reading.logprobs[state].exp() for reading in (seen.before, seen.after))
    measured, predicted = (reading.logprobs[state] for reading in (seen.measured, seen.predicted))
    count = len(before) if len(before) <= limit + 1 else limit
    chosen = (after - before).abs().topk(count).indices.tolist()
    policy = seen.start.world.policy
    found = [
        Candidate(
            visible(policy.token_text(token)),
            *(float(numbers[token]) for numbers in (before, after, measured, predicted)),
        )
        for token in sorted(chosen, key=lambda token: -float(before[token]))
    ]
    if count == len(before):
        return found
    rest = torch.ones_like(before, dtype=torch.bool)
    rest[chosen] = False
    mass, later = float(before[rest].sum()), float(after[rest].sum())
    slope = float((before[rest] * predicted[rest]).sum()) / mass
    return [*found, Candidate(OTHERS, mass, later, math.log(later / mass), slope)]


def pictures(seen: Examination, state: int) -> Component:
    """Return what the step did in one state: probabilities and changes of log-probs."""
    shown = candidates(seen, state, limit=SHOWN)
    predicted = term(
        "line: predicted",
        "By the gradient: the change of each weight times the derivative of log \u03c0 by that weight, added up.",
    )
    left = group(
        "left",
        heading("left-title", "\u03c0 before (pale) and after \u00b7 ", predicted),
        chart("probabilities", before_and_after(shown), "Probability of each candidate before and after", height=230),
    )
    right = group(
        "right",
        heading("right-title", "Change of log \u03c0: measured (bar), predicted (line)"),
        chart("changes", change_bars(shown), "Change of each candidate's log-prob", height=230),
    )
    return columns("pictures", left, right)


def every_candidate(seen: Examination, state: int) -> Component:
    """Return the table of all candidates (where there are more, the fifty that moved most)."""
    heads = [Column("token"), *(Column(name, numeric=True) for name in ("before", "after", "measured", "predicted"))]
    rows: list[list[Span | str]] = [
        [
            candidate.token,
            probability(candidate.before),
            probability(candidate.after),
            signed_span(candidate.measured),
            signed_span(candidate.predicted),
        ]
        for candidate in candidates(seen, state, limit=LISTED)
    ]
    caption = "\u03c0 before and after; change of log \u03c0 in nats, as measured and as predicted"
    return fold("every", "Every candidate of this state", table("candidates", caption, heads, rows))


def side_effects(seen: Examination, state: int) -> Component:
    """Return where else the step had an effect: the other states of this text, and texts to other prompts."""
    kl, values = seen.kl.tolist(), seen.measured.values.tolist()
    rows: list[list[Span | str]] = [
        ["this state", str(seen.visits[state]), significant(kl[state], 2), signed_span(values[state])]
    ]
    others = [at for at in range(len(kl)) if at != state]
    if others:
        kl_mean, value_mean, visits = (sum(of[at] for at in others) / len(others) for of in (kl, values, seen.visits))
        mean = "other states of this text, mean"
        rows.append([mean, fixed(visits, 1), significant(kl_mean, 2), signed_span(value_mean)])
    for spill in seen.spill:
        where = f"{spill.prompt} \u2192 {_short(spill.response)}"
        rows.append([where, str(spill.rows), significant(spill.kl, 2), signed_span(spill.value)])
    titles = ("in the batch", "KL(after\u2016before)", "\u0394V")
    words = (
        "in the batch: how many of its responses passed through the state, or answered the prompt. The texts after the "
        "arrows are not in the batch: the policy wrote them before the step."
    )
    heads = [Column("where"), *(Column(title, numeric=True) for title in titles)]
    return group("leak", table("spill", "Side effects of the step", heads, rows), note("leak-note", words))


def signed_span(value: float) -> Span:
    """Return a change with its sign, coloured by it."""
    return Span(written(value), tone="up" if value > 0 else "down" if value < 0 else "dim")


def written(value: float, *, signed: bool = True) -> str:
    """Return a change as text: two decimals, three where it is small.

    >>> written(0.214), written(-0.0998), written(-0.0213), written(0.00012), written(float("nan"))
    ('+0.21', '−0.10', '−0.021', '0.000', '')
    """
    return fixed(value, 2 if round(abs(value), 3) >= 0.1 else 3, signed=signed) if math.isfinite(value) else ""


def _short(text: str, limit: int = 48) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"


def reading(seen: Examination, text: Text, state: int, decided: str) -> Words:
    """Return what the step did in the chosen state, how often the batch was there, and how well it was predicted."""
    shown = candidates(seen, state, limit=SHOWN)
    most = max(shown, key=lambda candidate: abs(candidate.after - candidate.before))
    raised = "raised" if most.after > most.before else "lowered"
    where = "at the prompt" if state == 0 else f"after token {state}"
    rows, visits = len(seen.update.rollout), seen.visits[state]
    passed = f"{visits} of {rows} responses passed here" if visits else "no response of the batch passed here"
    return (
        *_decision(decided, seen.scale),
        f"Here, {where}, the step {raised} ",
        bold(most.token),
        f" most: from {fixed(most.before, 3)} to ",
        bold(fixed(most.after, 3)),
        f", where the gradient predicted {fixed(most.predicted_prob, 3)}; {passed}. ",
        *_own(seen, text, state),
        _straight(seen.agreement()),
    )


def clip_words(seen: Examination) -> str:
    """Return how far the ratios have moved, and how many tokens the clip would hold back in another epoch."""
    mask = seen.update.targets.loss_mask
    ratio, held, tokens = seen.batch.ratio[mask], int(seen.batch.clipped.sum()), int(mask.sum())
    span = f"ratios went from 1 to between {fixed(float(ratio.min()))} and {fixed(float(ratio.max()))}"
    if "clip_eps" not in seen.start.algorithm.fields:
        return f"Over the {tokens} tokens of the batch {span}; {seen.start.algorithm.title} has no clip."
    return f"Over the batch {span}; in another epoch the clip would hold back {held} of {tokens} tokens (dashed chips)."


def value_words(seen: Examination, state: int) -> str:
    """Return how V moved in the chosen state."""
    before, after = float(seen.before.values[state]), float(seen.after.values[state])
    predicted = float(seen.predicted.values[state])
    return (
        f"V of this state went from {fixed(before, 3, signed=True)} to {fixed(after, 3, signed=True)}: measured "
        f"{written(after - before)}, predicted {written(predicted)}."
    )


def _own(seen: Examination, text: Text, state: int) -> Words:
    """Return what happened to the token that the text has here."""
    if state >= len(text.ids) or text.row < 0:
        return ()
    weight = fixed(float(seen.update.targets.policy_weights[text.row, state]), signed=True)
    change = written(float(seen.measured.logprobs[state, text.ids[state]]))
    return (f"The token that was sampled here had the weight {weight}; its log-prob changed by {change} nats. ",)


def _straight(agreement: float) -> str:
    """Return how much of the change along the text the gradient predicted."""
    share = f"{max(agreement, 0.0):.0%}"
    if agreement >= STRAIGHT:
        return f"The gradient predicted {share} of what changed along this text."
    verdict = "the step is long for a straight line" if agreement >= BENT else "a step this long cannot be predicted"
    return f"The gradient predicted only {share} of what changed along this text: {verdict}."


def _decision(decided: str, scale: float) -> Words:
    if decided == "kept":
        return ("The run has taken this step. ",)
    if decided == "half":
        return ("The run has taken half of this step; you still see the whole one. ",)
    return () if scale == 1 else (f"This step is {scale:g} times as long as a step of the run. ",)
