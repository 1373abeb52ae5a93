"""What the reward panel draws of a response: its tokens with their payments, the curves, the parts of a score."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.plots.states import Line, payment_bars, prefix_lines
from rllab.plots.text import fixed
from rllab.widgets.engine.charts import Chip, Column, chart, chips, table, tint
from rllab.widgets.engine.components import Component, Set, Span, columns, group, heading, note, term
from rllab.widgets.reward.captions import WHEN, Paid
from rllab.worlds.reward_trace import RewardTrace

LEVEL = term("the level", "The whole score again at each payment: the sum then grows with their number.")
CHANGE = term("the change", "The score now less the score at the last payment: the sum is the whole score.")
UNASKED = note("unasked", "A reward model is fitted to whole responses: what it says of a beginning, nobody taught it.")


def strip(
    paid: Paid, tokens: Sequence[str], prompt: Sequence[str], on_set: Set, *, selected: int, stamp: str
) -> Component:
    """Return the tokens with what each is paid."""
    scale = max([0.1, *(abs(one) for one in paid.payments)])
    items = [
        Chip(
            token,
            name=f"token {at + 1}, {token}, paid {fixed(payment, signed=True)}",
            number=fixed(payment, signed=True) if paid.is_paid(at) else "\u2013",
            tint=tint(payment, scale),
        )
        for at, (token, payment) in enumerate(zip(tokens, paid.payments, strict=True))
    ]
    what = "Tokens with what they are paid; choosing one tells why"
    return chips("strip", what, items, on_set, prompt=prompt, selected=selected, stamp=stamp)


def pictures(paid: Paid, other: Paid | None, gold: Paid | None, tokens: Sequence[str], selected: int) -> Component:
    """Draw the score of every prefix and what each token is paid, of one reward or of several."""
    scores = [Line("reward", paid.scores, "reward")]
    bars = [Line("reward", paid.payments, "reward")]
    if other is not None:
        scores.append(Line(other.reading.name, other.scores, "policy"))
        bars.append(Line(other.reading.name, other.payments, "policy"))
    if gold is not None:
        scores.append(Line("gold", gold.scores, "reward", "dash"))
    left = chart("scores", prefix_lines(tokens, scores, selected=selected), "Scores of every prefix")
    right = chart("payments", payment_bars(tokens, bars, selected=selected), "What each token is paid")
    remark = [UNASKED] if paid.reading.kind == "learned" else []
    what = LEVEL if paid.how == "level" else CHANGE
    return columns(
        "pictures",
        group("left", heading("left-title", "What the text so far is worth"), left, *remark),
        group("right", heading("right-title", "Paid at ", WHEN[paid.timing], ": ", what), right),
    )


def parts_table(readings: Sequence[RewardTrace], at: int) -> tuple[Component, ...]:
    """Return the named parts of the rewards that have some, up to the chosen token and in all."""
    rows: list[list[Span | str]] = []
    for one in readings:
        rows += [
            [f"{one.name}: {part}", fixed(row[at], signed=True), fixed(row[-1], signed=True)]
            for part, row in one.parts.items()
        ]
    heads = [Column("part"), Column("up to this token", numeric=True), Column("whole response", numeric=True)]
    return (table("parts", "Parts of the score, each with its weight", heads, rows),) if rows else ()
