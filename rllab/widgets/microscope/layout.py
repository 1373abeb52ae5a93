"""What stands on the microscope's screen: the text, the candidates of one state, where else the step leaked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from rllab.plots.changes import Candidate, before_and_after, change_bars
from rllab.plots.text import fixed, probability, significant
from rllab.trainer.microscope import Examination, Spill
from rllab.widgets.engine.charts import Chip, Column, chart, chips, table, tint, visible
from rllab.widgets.engine.components import Component, Option, Set, Span, columns, fold, group, heading, note, term

SHOWN = 8  # candidates with bars of their own
LISTED = 50  # candidates in the table
OWN = "own"  # the text that the learner wrote, in place of a row of the batch
OTHERS = "others"
MARKS = {"change": "\u0394 log \u03c0", "ratio": "ratio", "weight": "weight", "value": "\u0394 V"}


@dataclass(frozen=True)
class Text:
    """The text whose states are looked at: a row of the step's batch, or one of the learner's own (row -1)."""

    prompt: str
    ids: tuple[int, ...]
    row: int = -1

    def states(self, limit: int) -> list[tuple[str, tuple[int, ...]]]:
        """Return the states in which its tokens are chosen, and for one's own text the state at its end."""
        last = len(self.ids) if self.row >= 0 else min(len(self.ids) + 1, limit)
        return [(self.prompt, self.ids[:at]) for at in range(last)]


def text_of(seen: Examination, row: int) -> Text:
    """Return one response of the batch."""
    rows = seen.update.rollout
    return Text(rows.prompts[row], tuple(rows.response_ids(row)), row)


def rows_of(seen: Examination) -> list[Option]:
    """Return the responses of the batch by number, each with its score, and the learner's own text."""
    rows, scores = seen.update.rollout, seen.update.scores.total.tolist()
    known = [
        Option(str(at), f"response {at + 1} ({fixed(scores[at], signed=True)}): {_short(rows.responses[at])}")
        for at in range(len(rows))
    ]
    return [*known, Option(OWN, "a text of your own")]


def strip(seen: Examination, text: Text, mark: str, selected: int, on_set: Set) -> Component:
    """Return the text's tokens with what the step did to each."""
    policy = seen.start.world.policy
    return chips(
        "strip",
        "Tokens with what the step did to them; choosing one shows the state before it",
        _chips(seen, text, mark),
        on_set,
        prompt=[visible(policy.token_text(token)) for token in policy.encode(text.prompt)],
        selected=selected,
        next_name="the end of your text" if len(seen.states) > len(text.ids) else "",
        stamp=f"{id(seen.update)}.{text.row}.{len(seen.states)}",
    )


def _chips(seen: Examination, text: Text, mark: str) -> list[Chip]:
    """Return a chip for each token, tinted by its number, dashed where the clip would hold it back."""
    numbers, held = marked(seen, text, mark), _held_back(seen, text)
    middle = 1.0 if mark == "ratio" else 0.0
    scale = max([1e-9, *(abs(one - middle) for one in numbers if math.isfinite(one))])
    made = []
    for at, (token, number) in enumerate(zip(text.ids, numbers, strict=True)):
        shown = visible(seen.start.world.policy.token_text(token))
        said = f"token {at + 1}, {shown}, {MARKS[mark]} {written(number)}"
        made.append(
            Chip(
                shown,
                name=said + (", held back by the clip" if held[at] else ""),
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
        return [math.exp(one) for one in change]
    if mark == "value":
        return [*seen.measured.values.tolist(), *([math.nan] * size)][:size]
    if mark == "weight":
        return [math.nan] * size if row < 0 else seen.update.targets.policy_weights[row, :size].tolist()
    return change


def candidates(seen: Examination, state: int, *, limit: int) -> list[Candidate]:
    """Return the tokens whose probability moved most in a state, likeliest first, and all others as one."""
    before, after = (reading.logprobs[state].exp() for reading in (seen.before, seen.after))
    measured, predicted = (reading.logprobs[state] for reading in (seen.measured, seen.predicted))
    count = len(before) if len(before) <= limit + 1 else limit
    chosen = (after - before).abs().topk(count).indices.tolist()
    policy = seen.start.world.policy
    found = [
        Candidate(
            visible(policy.token_text(token)), *(float(one[token]) for one in (before, after, measured, predicted))
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
    """Draw what the step did in one state: probabilities beside changes of log-probs."""
    shown = candidates(seen, state, limit=SHOWN)
    predicted = term(
        "line: predicted",
        "By the gradient: each weight's move times how much log \u03c0 changes with that weight, added up.",
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
    """Return the table of all candidates (the fifty that moved most where there are more)."""
    heads = [Column("token"), *(Column(name, numeric=True) for name in ("before", "after", "measured", "predicted"))]
    rows: list[list[Span | str]] = [
        [
            one.token,
            probability(one.before),
            probability(one.after),
            signed_span(one.measured),
            signed_span(one.predicted),
        ]
        for one in candidates(seen, state, limit=LISTED)
    ]
    caption = "\u03c0 before and after; change of log \u03c0 in nats, as measured and as predicted"
    return fold("every", "Every candidate of this state", table("candidates", caption, heads, rows))


def leak(seen: Examination, state: int) -> Component:
    """Return where else the step was felt: the states of this text, and texts to other prompts."""
    heads = [
        Column("where"),
        Column("in the batch", numeric=True),
        Column("KL(after\u2016before)", numeric=True),
        Column("\u0394V", numeric=True),
    ]
    rows = [*_rows_of_this_text(seen, state), *(_row_elsewhere(one) for one in seen.spill)]
    said = (
        "in the batch: how many of its responses passed through the state, or answered the prompt. The texts behind "
        "the arrows are not of the batch: the policy wrote them aside, before the step."
    )
    return group("leak", table("spill", "Side effects of the step", heads, rows), note("leak-note", said))


def _rows_of_this_text(seen: Examination, state: int) -> list[list[Span | str]]:
    """Return the rows of the chosen state and of the text's other states together."""
    kl, values = seen.kl.tolist(), seen.measured.values.tolist()
    here: list[Span | str] = [
        "this state",
        str(seen.visits[state]),
        significant(kl[state], 2),
        signed_span(values[state]),
    ]
    others = [at for at in range(len(kl)) if at != state]
    if not others:
        return [here]
    mean = [sum(column[at] for at in others) / len(others) for column in (kl, values)]
    visits = sum(seen.visits[at] for at in others) / len(others)
    where, kl_mean = "other states of this text, mean", significant(mean[0], 2)
    there: list[Span | str] = [where, fixed(visits, 1), kl_mean, signed_span(mean[1])]
    return [here, there]


def _row_elsewhere(spill: Spill) -> list[Span | str]:
    """Return the row of a text to another prompt."""
    where = f"{spill.prompt} \u2192 {_short(spill.response)}"
    return [where, str(spill.rows), significant(spill.kl, 2), signed_span(spill.value)]


def signed_span(value: float) -> Span:
    """Return a number with its sign and its colour."""
    return Span(written(value), tone="up" if value > 0 else "down" if value < 0 else "dim")


def written(value: float, *, signed: bool = True) -> str:
    """Write a change: two decimals, three where it is small.

    >>> written(0.214), written(-0.0998), written(-0.0213), written(0.00012), written(float("nan"))
    ('+0.21', '−0.10', '−0.021', '0.000', '')
    """
    return fixed(value, 2 if round(abs(value), 3) >= 0.1 else 3, signed=signed) if math.isfinite(value) else ""


def _held_back(seen: Examination, text: Text) -> list[bool]:
    if text.row < 0:
        return [False] * len(text.ids)
    return [bool(one) for one in seen.batch.clipped[text.row, : len(text.ids)]]


def _short(text: str, limit: int = 48) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"
