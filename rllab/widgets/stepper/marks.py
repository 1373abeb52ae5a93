"""The pictures of the token stepper: its strip of chips, its candidate bars, its curves over states."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rllab.core.records import State
from rllab.plots.numbers import fixed, probability
from rllab.plots.steps import openness, promise, steps_of_v
from rllab.plots.theme import Drawing
from rllab.policy.policy import Policy
from rllab.widgets.engine.components import Span
from rllab.widgets.engine.marks import Bar, Chip, tint
from rllab.widgets.engine.text import visible
from rllab.widgets.pieces.backup import written
from rllab.widgets.pieces.line import Written, candidates
from rllab.widgets.stepper.words import Look
from rllab.widgets.stepper.worth import sampled_value, worth_of, worth_of_others

SHOWN_BARS = 8
FULL_WIDTHS = (0.1, 0.2, 0.5, 1.0)  # probabilities that a bar of full width may stand for
SAME = 1e-5  # probabilities that differ by less differ by rounding
LEAST_TINT = 0.1  # nats or reward units: smaller numbers stay pale even if they are the largest


@dataclass(frozen=True)
class Show:
    """One number that a chip can carry: its name, since which lens, and whether its sign is its meaning."""

    name: str
    lens: str
    number: Callable[[Look, int], float]
    signed: bool = True


def _score_change(look: Look, at: int) -> float:
    before = look.line.written[at - 1].prefix_score if at else 0.0
    return written(written(look.line.written[at].prefix_score) - written(before))


def _value_change(look: Look, at: int) -> float:
    before, after = look.line.values[at : at + 2]
    return written(written(after) - written(before))


def _td_error(look: Look, at: int) -> float:
    values, q = look.outlook.values, look.outlook.q
    return written(written(q[at]) - written(values[at])) if values else math.nan


SHOWS: dict[str, Show] = {
    "probability": Show(
        "\u03c0, the probability", "policy", lambda look, at: math.exp(look.line.written[at].logprob), signed=False
    ),
    "logprob": Show("log \u03c0 (nats)", "policy", lambda look, at: look.line.written[at].logprob, signed=False),
    "kl": Show("log \u03c0/\u03c0_ref (nats)", "policy", lambda look, at: look.line.written[at].kl),
    "change": Show("change of the score", "reward", _score_change),
    "score": Show("score so far", "reward", lambda look, at: look.line.written[at].prefix_score),
    "reward": Show("reward r", "reward", lambda look, at: look.line.written[at].reward),
    "dv": Show("change of V", "value", _value_change),
    "value": Show("V after it", "value", lambda look, at: look.line.values[at + 1]),
    "delta": Show("TD error \u03b4", "advantage", _td_error),
}
FIRST_SHOWN = {"policy": "probability", "reward": "change", "value": "dv", "advantage": "delta"}


def chip_row(look: Look, show: Show) -> list[Chip]:
    """Return a chip per written token with the chosen number under it."""
    line = look.line
    numbers = [show.number(look, at) for at in range(len(line.written))]
    scale = max([LEAST_TINT, *(abs(number) for number in numbers if math.isfinite(number))])
    return [
        Chip(
            text=visible(one.token),
            number=_short(numbers[at], signed=show.signed),
            tint=tint(numbers[at], scale) if show.signed else 0,
            forced=not one.sampled,
        )
        for at, one in enumerate(line.written)
    ]


@dataclass(frozen=True)
class Candidate:
    """One possible next token with what policy, sampler and reference make of it."""

    token_id: int
    text: str
    pi: float
    sampling: float
    reference: float


def bar_row(look: Look, policy: Policy) -> tuple[list[Bar], Bar | None, float]:
    """Return the bars of the likeliest candidates, that of all others, and what a full bar stands for.

    The token that was written here is always among them, however unlikely it was.
    """
    shown, others = _candidates(look, policy)
    full = next(width for width in FULL_WIDTHS if width >= min(1.0, max(max(one.pi, one.reference) for one in shown)))
    filtered = any(abs(one.pi - one.sampling) > SAME for one in shown)
    bars = [_bar(one, full, filtered=filtered, look=look) for one in shown]
    if len(shown) == policy.vocabulary:
        return bars, None, full
    fits = max(others.pi, others.reference) <= full  # a bar that is cut off would say something untrue
    width, tick = (others.pi / full, others.reference / full) if fits else (0.0, None)
    inner = others.sampling / full if filtered and others.sampling <= full else None
    extra = worth_of_others(look.worth) if look.worth is not None else ()
    return bars, Bar(others.text, width, probability(others.pi), tick=tick, inner=inner, extra=extra), full


def bar_tokens(state: State, token: Written | None) -> tuple[int, ...]:
    """Return the tokens that get a bar of their own in a state."""
    also = () if token is None else (token.token_id,)
    ids = tuple(state.candidate_ids[place] for place in candidates(state, count=SHOWN_BARS, also=also)[0])
    return ids if token is None or token.token_id in ids else (*ids, token.token_id)


def _candidates(look: Look, policy: Policy) -> tuple[list[Candidate], Candidate]:
    """Return the candidates with a bar of their own, and all others as one."""
    state, token = look.state, look.token
    also = () if token is None else (token.token_id,)
    places, rest = candidates(state, count=SHOWN_BARS, also=also)
    probs, sampling, reference = (one[places].tolist() for one in (state.probs, state.sampling_probs, state.ref_probs))
    shown = [
        Candidate(state.candidate_ids[place], visible(policy.token_text(state.candidate_ids[place])), p, q, r)
        for place, p, q, r in zip(places, probs, sampling, reference, strict=True)
    ]
    if token is not None and token.token_id not in state.candidate_ids:
        p, r = math.exp(token.logprob), math.exp(token.ref_logprob)
        kept = sampling[0] / probs[0]  # what the filters let through they raise by one factor
        drawn = p * kept if token.sampled else 0.0
        shown.append(Candidate(token.token_id, visible(token.token), p, drawn, r))
        rest = [max(0.0, rest[0] - p), max(0.0, rest[1] - drawn), max(0.0, rest[2] - r)]
    return shown, Candidate(-1, "all others", *rest)


def _bar(one: Candidate, full: float, *, filtered: bool, look: Look) -> Bar:
    here = look.token is not None and look.token.token_id == one.token_id
    extra = worth_of(look.worth, one.token_id) if look.worth is not None else ()
    said = "".join(f", {span.text}" for span in extra)
    return Bar(
        label=one.text,
        width=one.pi / full,
        number=probability(one.pi),
        value=one.token_id,
        tick=one.reference / full,
        inner=one.sampling / full if filtered else None,
        extra=(*extra, Span("written here", tone="dim")) if here else extra,
        name=f"write {one.text}: policy {probability(one.pi)}, reference {probability(one.reference)}{said}",
    )


def curves(look: Look, *, lens: str, reward: str) -> Drawing:
    """Return the picture beside the bars: how open the states are, or how promising the text is."""
    line, tokens = look.line, [visible(token) for token in look.line.tokens]
    if lens == "advantage":
        return steps_of_v(tokens, look.outlook, sampled=sampled_value(look.worth), selected=look.at)
    if lens == "policy":
        surprises = [-one.logprob for one in line.written]
        return openness(tokens, entropies=line.entropies, surprises=surprises, selected=look.at)
    scores = [one.prefix_score for one in line.written]
    values = line.values if lens == "value" else ()
    return promise(tokens, prefix_scores=scores, reward=reward, values=values, selected=look.at)


def _short(number: float, *, signed: bool) -> str:
    """Write a chip's number; where there is none (V after the end) a dash stands for it."""
    if not math.isfinite(number):
        return "\u2013"
    return fixed(number, signed=True) if signed else probability(number)
