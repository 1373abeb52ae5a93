"""The pictures of the value panel: the response, V along it, and the fan of one of its states."""

from __future__ import annotations

import math

from rllab.plots.states import MOST_LINES, Ways, fan_of, three_ways
from rllab.truth.what_if import Continuations
from rllab.widgets.engine.charts import Chip, chart, chips, tint
from rllab.widgets.engine.components import Component, Set, group, heading, note, term
from rllab.widgets.engine.text import visible
from rllab.widgets.value.captions import Known, change_words
from rllab.worlds.stepper import Stepper


def response_strip(stepper: Stepper, known: Known, selected: int, on_set: Set) -> Component:
    """Return the response's tokens with what each did to V."""
    scale = max([0.1, *(abs(change) for change in known.changes if math.isfinite(change))])
    items = [
        Chip(
            visible(step.token),
            name=f"token {at + 1}, {visible(step.token)}, {change_words(known, at)}",
            number=known.written_change(at),
            tint=tint(known.change(at), scale),
            forced=not step.sampled,
        )
        for at, step in enumerate(stepper.steps)
    ]
    policy = stepper.world.policy
    return chips(
        "strip",
        "Tokens with the change of V; choosing one shows the state before it",
        items,
        on_set,
        prompt=[visible(policy.token_text(token)) for token in stepper.prompt_ids],
        selected=selected,
        next_name="the end of the response",
        stamp=str(len(stepper.steps)),
    )


def value_picture(stepper: Stepper, known: Known, selected: int) -> Component:
    """Draw V along the response in every way that is known."""
    critic = term("learned", "What the critic expects; it is a network that may be wrong.")
    sampled = term("Monte-Carlo", "The mean of many continuations, with one standard error on each side.")
    title = heading("left-title", "V of each state: ", critic, ", ", sampled, *known.exact_title)
    ways = Ways(known.learned, known.means, known.errors, known.exact)
    drawn = three_ways([visible(step.token) for step in stepper.steps], ways, selected=selected)
    return group("left", title, chart("values", drawn, "V of each state in every way that is known"))


def fan_picture(found: Continuations | None, known: Known) -> Component:
    """Draw the continuations of a state, or say how to get them."""
    if found is None:
        return group("right", note("no-fan", "Press Continue from here to see what could follow the chosen state."))
    title = heading("right-title", f"{len(found.returns)} continuations of state {len(found.prefix)}")
    exact = known.exact[len(found.prefix)] if known.exact else None
    drawn = fan_of(found.forecasts, found.returns, start=len(found.prefix), exact=exact)
    what = "each line: paid so far plus V of what follows; it ends at its return; dashed: the mean"
    what += ", dotted: exact" * bool(known.exact)
    what += f"; {MOST_LINES} lines are drawn" * (len(found.returns) > MOST_LINES)
    return group("right", title, chart("rays", drawn, f"Continuations: {what}"), note("fan-note", what))
