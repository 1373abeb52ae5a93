"""The parts of the token stepper: its strip of tokens, its candidate bars, its curves over states."""

from __future__ import annotations

from collections.abc import Callable

from rllab.plots.numbers import plain
from rllab.policy.policy import Policy
from rllab.widgets.engine.components import Component, group, heading, note, term
from rllab.widgets.engine.marks import bars, chart, chips
from rllab.widgets.engine.text import visible
from rllab.widgets.stepper.marks import Show, bar_row, chip_row, curves
from rllab.widgets.stepper.words import Look, value_title

PICTURES = {
    "policy": ("How open is each state", "entropy of the next token, and how surprising the written one was"),
    "reward": ("What the reward says of the text so far", "score of the text up to and with each token"),
    "value": ("How promising is the text so far", "what the critic expects, and the score of the text as it stands"),
    "advantage": ("V of each state, and Q of the token written there", "the step from V to Q is the token's TD error"),
}


def strip(look: Look, show: Show, on_set: Callable[[int], object], *, stamp: str, over: bool) -> Component:
    """Return the line's tokens with the number that is shown under each."""
    return chips(
        "strip",
        "Tokens; choosing one shows the state before it",
        chip_row(look, show),
        on_set,
        prompt=[visible(token) for token in look.line.prompt],
        selected=look.at,
        next_name="the end of the line" if over else "the token that is not written yet",
        quantity=show.name,
        stamp=stamp,
    )


def line_picture(look: Look, *, lens: str, reward: str) -> Component:
    """Return what a lens shows over the states of the line."""
    title, alt = PICTURES[lens]
    drawn = curves(look, lens=lens, reward=reward)
    return group("right", heading("right-title", title), chart("curves", drawn, f"{title}: {alt}"))


def candidate_bars(look: Look, policy: Policy, on_write: Callable[[int], object], *, stamp: str) -> Component:
    """Return the bars of the tokens that could follow the chosen state, and what they are worth where that is known."""
    if look.state.done:
        return group("left", note("over", "Nothing can follow here. Click a token to look at the state before it."))
    items, rest, full = bar_row(look, policy)
    who = term("policy", "The policy gives every token a probability of coming next.")
    tick = term("\u03c0_ref", "The reference is the frozen policy that training started from.")
    past = "a new line starts there" if look.at < len(look.line.written) else "it is written as the next token"
    here = f" would write after \u201c{look.context()}\u201d"
    return group(
        "left",
        heading("left-title", "What the ", who, here),
        *((heading("left-value", *value_title(look.worth)),) if look.worth is not None else ()),
        bars("bars", "Candidates for the next token", items, on_write, rest=rest, stamp=stamp),
        note(
            "left-note",
            "bar: \u03c0 \u00b7 tick: ",
            tick,
            " \u00b7 thin: what is drawn from, after top-k and top-p"
            if any(one.inner is not None for one in items)
            else "",
            f" \u00b7 full width: {plain(full)} \u00b7 click a bar: {past}",
        ),
    )
