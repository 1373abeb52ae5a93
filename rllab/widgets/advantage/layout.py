"""The parts of the advantage panel: one response token by token, and its group response by response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rllab.plots.states import credit_bars
from rllab.plots.text import apportioned, fixed, plain
from rllab.truth.groups import Credit, Group
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import Component, Option, Span, bold, group, heading, note, term
from rllab.widgets.shared.backup import written


@dataclass(frozen=True)
class Token:
    """One token's numbers as they are written: delta + later = advantage."""

    text: str
    reward: float
    delta: float
    later: float
    advantage: float


def read_tokens(made: Group, credits_: Credit, row: int, name: Callable[[int], str]) -> list[Token]:
    """Return the tokens of the response that is looked at, their numbers as they are written."""
    mask = made.rollout.response_mask[row]
    ids = made.rollout.response_ids(row)
    rewards, deltas, advantages = (
        one[row][mask].tolist() for one in (made.rewards, credits_.deltas, credits_.advantages)
    )
    tokens = []
    for at, token in enumerate(ids):
        delta, later = apportioned([deltas[at], advantages[at] - deltas[at]], advantages[at])
        text = name(token)
        tokens.append(Token(text, written(rewards[at]), delta, later, written(advantages[at])))
    return tokens


def credit_picture(tokens: Sequence[Token], selected: int, *, exact: Sequence[float]) -> Component:
    """Draw one response, with its two terms explained."""
    delta = term("TD error \u03b4", "\u03b4 = r + \u03b3 V(next state) \u2212 V(this state): what this token changed.")
    gae = term("GAE", "Its own TD error, and those of later tokens, each weighed by \u03b3\u03bb once more per token.")
    drawn = credit_bars(
        [one.text for one in tokens],
        rewards=[one.reward for one in tokens],
        deltas=[one.delta for one in tokens],
        advantages=[one.advantage for one in tokens],
        exact=exact,
        selected=selected,
    )
    title = heading("left-title", "bars: ", delta, " \u00b7 line: ", gae)
    return group("left", title, chart("credit", drawn, "Reward, TD error and advantage of each token"))


def comparison(made: Group, *, shown: int) -> Component:
    """Return the group as the methods without a critic see it."""
    texts = made.rollout.responses
    columns_ = (made.totals, made.leave_one_out, made.relative(scale=False), made.relative(scale=True))
    heads = [Column("response"), *(Column(name, numeric=True) for name in ("earned", "RLOO", "Dr. GRPO", "GRPO"))]
    rows = [
        [
            Span(_short(texts[at]), bold=at == shown),
            *(Span(fixed(float(column[at]), signed=True), bold=at == shown) for column in columns_),
        ]
        for at in range(len(texts))
    ]
    title = heading("right-title", "Without a critic: each response compared with the others of its group")
    size = len(texts)
    said = (
        f"RLOO: minus the mean of the other {size - 1}; Dr. GRPO: minus the mean of all, "
        f"which is {size - 1}/{size} of it; GRPO: that in units of the group's spread."
    )
    return group("right", title, table("group", "The same group, compared", heads, rows), note("right-note", said))


def token_words(tokens: Sequence[Token], selected: int, *, gamma: float, lam: float) -> tuple[Span | str, ...]:
    """Say of what the selected token's advantage is made."""
    one = tokens[selected]
    decay = plain(gamma * lam)
    paid = "nothing was paid for it" if one.reward == 0 else f"it was paid {fixed(one.reward, signed=True)}"
    later = f"and {fixed(one.later, signed=True)} comes from the tokens after it, by \u03b3\u03bb = {decay} a token"
    if lam == 0:
        later = "and \u03bb = 0 looks no further"
    if selected == len(tokens) - 1:
        later = "and nothing comes after it"
    return (
        bold(one.text),
        " has the advantage ",
        bold(fixed(one.advantage, signed=True)),
        f": its own TD error is {fixed(one.delta, signed=True)} ({paid}), {later}.",
    )


def stops(numbers: tuple[float, ...]) -> list[Option]:
    """Return numbers as the stops of a slider."""
    return [Option(str(at), plain(one)) for at, one in enumerate(numbers)]


def nearest_stop(numbers: tuple[float, ...], wanted: float) -> int:
    """Return the stop next to a number."""
    return min(range(len(numbers)), key=lambda at: abs(numbers[at] - wanted))


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"
