"""The sentences of the microscope: what one step did here, and how far the gradient's prediction held."""

from __future__ import annotations

from rllab.plots.text import fixed
from rllab.trainer.microscope import Examination
from rllab.widgets.engine.components import Span, bold
from rllab.widgets.microscope.layout import Text, candidates, written

Words = tuple[Span | str, ...]
ROOM = 8  # candidates that are drawn
STRAIGHT, BENT = 0.9, 0.5  # share of the change that was predicted

START = (
    "Take a step: a copy of the run writes its next batch and takes one optimiser step on it. You see what that did to "
    "every token, beside what the gradient predicted. The run itself stays where it is until you keep the step."
)


def reading(seen: Examination, text: Text, state: int, decided: str) -> Words:
    """Say what the step did in the chosen state, how often the batch was there, and how straight the way was."""
    shown = candidates(seen, state, limit=ROOM)
    most = max(shown, key=lambda one: abs(one.after - one.before))
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
    """Say how far the ratios have moved, and how many tokens the clip would hold back in a next epoch."""
    mask = seen.update.targets.loss_mask
    ratio, held, tokens = seen.batch.ratio[mask], int(seen.batch.clipped.sum()), int(mask.sum())
    span = f"ratios went from 1 to between {fixed(float(ratio.min()))} and {fixed(float(ratio.max()))}"
    if "clip_eps" not in seen.start.algorithm.fields:
        return f"Over the {tokens} tokens of the batch {span}; {seen.start.algorithm.title} has no clip."
    return f"Over the batch {span}; in a next epoch the clip would hold back {held} of {tokens} tokens (dashed chips)."


def value_words(seen: Examination, state: int) -> str:
    """Say how V moved in the chosen state."""
    before, after = float(seen.before.values[state]), float(seen.after.values[state])
    predicted = float(seen.predicted.values[state])
    return (
        f"V of this state went from {fixed(before, 3, signed=True)} to {fixed(after, 3, signed=True)}: measured "
        f"{written(after - before)}, predicted {written(predicted)}."
    )


def _own(seen: Examination, text: Text, state: int) -> Words:
    """Say what became of the token that the text has here."""
    if state >= len(text.ids) or text.row < 0:
        return ()
    weight = fixed(float(seen.update.targets.policy_weights[text.row, state]), signed=True)
    change = written(float(seen.measured.logprobs[state, text.ids[state]]))
    return (f"The token that was sampled here had the weight {weight}; its log-prob changed by {change} nats. ",)


def _straight(agreement: float) -> str:
    """Say how much of the change along the text the gradient predicted."""
    share = f"{max(agreement, 0.0):.0%}"
    if agreement >= STRAIGHT:
        return f"The gradient predicted {share} of what changed along this text."
    verdict = "the step is long for a straight line" if agreement >= BENT else "for a step this long it is no guide"
    return f"The gradient predicted only {share} of what changed along this text: {verdict}."


def _decision(decided: str, scale: float) -> Words:
    if decided == "kept":
        return ("The run has taken this step. ",)
    if decided == "half":
        return ("The run has taken half of this step; you still see the whole one. ",)
    return () if scale == 1 else (f"This step is {scale:g} times as long as the run's own. ",)
