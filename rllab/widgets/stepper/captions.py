"""The sentence below the token stepper: made from the line, quoting the numbers that are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rllab.core.records import State
from rllab.plots.drawing import Drawing
from rllab.plots.states import Outlook, openness, promise, steps_of_v
from rllab.plots.text import MINUS, fixed, plain, probability
from rllab.policy.policy import Policy
from rllab.truth.estimates import Candidates
from rllab.value.objective import Objective
from rllab.widgets.engine.charts import Bar, Chip, bars, chart, chips, tint
from rllab.widgets.engine.components import Component, Span, bold, group, heading, note, term
from rllab.widgets.engine.text import visible
from rllab.widgets.shared.backup import written
from rllab.widgets.shared.line import Line, ScoredToken, candidates
from rllab.widgets.stepper.worth import sampled_value, worth_of, worth_of_others

# ---- The sentence below the token stepper: made from the line, quoting the numbers that are drawn ----

Words = tuple[Span | str, ...]
UNTAUGHT = "The critic has not learned yet: it says 0 everywhere"
KINDS = {"exact": "exact", "monte-carlo": "Monte-Carlo", "learned": "learned"}


@dataclass(frozen=True)
class StepperView:
    """What the learner looks at: a line, one of its states, and what its rewards and values mean."""

    line: Line
    at: int  # the selected state, 0..T
    state: State  # that state
    names: Mapping[int, str]  # its candidates as text
    objective: Objective
    temperature: float  # that its bars are drawn at
    worth: Candidates | None  # of the candidates with a bar; nothing where nobody knows
    outlook: Outlook  # V along the line

    @property
    def token(self) -> ScoredToken | None:
        """Return the token that was written in the selected state, if any was."""
        return self.line.written[self.at] if self.at < len(self.line.written) else None

    def context(self, words: int = 3) -> str:
        """Return the end of the text that the selected state consists of."""
        tokens = [*self.line.prompt, *self.line.tokens[: self.at]]
        shown = " ".join(visible(token).strip("\u2423") for token in tokens[-words:])
        return f"\u2026 {shown}" if len(tokens) > words else shown


def policy_words(look: StepperView) -> Words:
    """Say what the policy would write here, or what was written and how likely that was."""
    token = look.token
    if token is None and look.state.done:
        total = math.fsum(one.logprob for one in look.line.written)
        return (
            f"{_over(look.line)} after {len(look.line.written)} tokens. The policy gave the whole of it a log-prob of ",
            bold(fixed(total)),
            " nats, the sum over its tokens. Press Reset to write it again, or click a token and choose another one.",
        )
    if token is None:
        return (*_likeliest(look), *_openness(look.state.entropy))
    reference = probability(math.exp(token.ref_logprob))
    same = " and so did the reference" if reference == _pi(token) else f", the reference {reference}"
    return (
        "Here " if token.sampled else "You wrote ",
        bold(visible(token.token)),
        " was drawn: the policy gave it " if token.sampled else " here: the policy gave it ",
        bold(_pi(token)),
        f"{same}. Its surprise is {fixed(-token.logprob)} nats, in a state whose entropy is {fixed(token.entropy)}.",
    )


def reward_words(look: StepperView) -> Words:
    """Say what the reward makes of the text, and what has been paid."""
    token, line = look.token, look.line
    if not line.written:
        return ("Nothing is written yet, so there is nothing to judge. Press Step.",)
    if token is not None:
        before = line.written[look.at - 1].prefix_score if look.at else math.nan
        moved = f" moved the score from {fixed(before)} to " if look.at else " opened with a score of "
        return (bold(visible(token.token)), moved, bold(fixed(token.prefix_score)), f". {_payment(look, token)}")
    if look.state.done:
        earned = math.fsum(one.reward for one in line.written)
        return (
            "The whole text scores ",
            bold(fixed(line.score)),
            f". {_cost(look)}, the line has earned {fixed(earned, signed=True)}.",
        )
    return ("If it ended here, the text would score ", bold(fixed(line.score)), f". {_unpaid(look)}")


def value_words(look: StepperView) -> Words:
    """Say what the critic expects here, and how a token changed that."""
    token, values = look.token, look.line.values
    if token is None and look.line.ended:
        return ("The line has ended: nothing more is to come, so there is no V to learn here. ", _meaning(look))
    here = fixed(values[look.at], signed=True)
    if not any(one for one in values if math.isfinite(one)):
        return (f"{UNTAUGHT}. ", _meaning(look))
    if token is None:
        return ("V = ", bold(here), " here: what the critic expects the rest of this text to earn. ", _meaning(look))
    after = values[look.at + 1]
    paid = fixed(token.paid, signed=True)
    words: Words = (bold(visible(token.token)),)
    if math.isnan(after):
        words += (f" ended the line: V was {here}, and {paid} was paid.",)
    else:
        nothing = "no reward was paid for it" if token.paid == 0 else f"{paid} was paid for it"
        words += (f" moved V from {here} to ", bold(fixed(after, signed=True)), f", and {nothing}.")
    forced = () if token.sampled else (f" You wrote it; the policy gave it {_pi(token)}.",)
    return (*words, *forced, " ", _meaning(look))


def advantage_words(look: StepperView) -> Words:
    """Say what the state is worth, and by how much a token was, or would be, better than usual there."""
    found, token = look.worth, look.token
    if token is None and look.state.done:
        return _account(look)
    usual = look.objective.temperature
    if look.temperature != usual:
        here = plain(look.temperature)
        return (f"Values speak of temperature {plain(usual)}, these bars of {here}. Set it back under Sampling.",)
    if found is None:
        return ("Nobody knows yet what the tokens are worth here. Press Sample Q: each is continued to its end.",)
    if found.value.kind == "learned" and not any(one.mean for one in found.q):
        return (f"{UNTAUGHT}, so no token is better than another. Press Sample Q: each is continued to its end.",)
    return _best_words(look, found) if token is None else _token_words(look, found, token)


def _account(look: StepperView) -> Words:
    """Say what the tokens of a line that is over earned together."""
    values, gamma = look.outlook.values, look.objective.gamma
    over = f"{_over(look.line)}: nothing more is to come. "
    if not values or gamma != 1:
        return (over, "Choose a token to see the state that it was written in.")
    earned, usual = written(math.fsum(one.reward for one in look.line.written)), written(values[0])
    total = written(earned - usual)
    shown = written(sum(written(written(q) - written(v)) for q, v in zip(look.outlook.q, values, strict=False)))
    rounded = "" if shown == total else f" (rounded one by one, {fixed(shown, signed=True)})"
    return (
        f"{over}All its TD errors together are what it earned minus V of the prompt: ",
        f"{fixed(earned, signed=True)} {MINUS} ({fixed(usual, signed=True)}) = ",
        bold(fixed(total, signed=True)),
        f"{rounded}. Choose a token to see where that came from.",
    )


def _best_words(look: StepperView, found: Candidates) -> Words:
    """Say what a state is worth and which token would be worth most in it."""
    value = written(found.value.mean)
    at = max(range(len(found.q)), key=lambda place: found.q[place].mean)
    best = written(found.q[at].mean)
    return (
        "V = ",
        bold(fixed(value, signed=True)),
        " is the average of Q over what the policy writes here. ",
        bold(look.names[found.token_ids[at]]),
        f" is worth most: Q {fixed(best, signed=True)}, A {fixed(written(best - value), signed=True)}, ",
        f"and the policy gives it {probability(found.probs[at])}. {_asked(look, found, at)}",
    )


def _token_words(look: StepperView, found: Candidates, token: ScoredToken) -> Words:
    """Say by how much a written token was better than usual."""
    value, at = written(found.value.mean), found.token_ids.index(token.token_id)
    q = written(found.q[at].mean)
    step = written(q - value)
    direction = "better than usual" if step > 0 else "worse than usual" if step < 0 else "as good as usual"
    return (
        bold(visible(token.token)),
        f" was {direction} here: Q {fixed(q, signed=True)} against V {fixed(value, signed=True)} makes A ",
        bold(fixed(step, signed=True)),
        f". {_asked(look, found, at)}",
    )


def value_title(found: Candidates) -> Words:
    """Return V of a state with its kind, and what the numbers beside the bars are."""
    value = found.value
    error = f" \u00b1 {fixed(value.standard_error)}" if value.kind == "monte-carlo" else ""
    return (
        f"V = {fixed(written(value.mean), signed=True)}{error}, {KINDS[value.kind]} \u00b7 ",
        Span("Q", tip="What can be expected from here on if this token is written now."),
        ", ",
        Span("A", tip="The advantage: Q minus V, better or worse than what the policy writes here on average."),
    )


def _asked(look: StepperView, found: Candidates, at: int) -> str:
    """Say who was asked and, of what was sampled, whether the advantage of one candidate can be chance."""
    if found.value.kind == "monte-carlo":
        n, error = found.value.samples, fixed(found.errors[at])
        verdict = "is more than chance explains" if found.is_sure(at) else "can be chance; draw more to tell"
        return f"After {n} continuations of each token that A is known to \u00b1 {error}, so it {verdict}."
    if found.value.kind == "exact":
        return "All A, each as often as the policy writes it, add up to 0."
    itself = fixed(look.outlook.values[look.at], signed=True)
    return f"The critic was asked one token ahead; of the state itself it says {itself}."


def _likeliest(look: StepperView) -> Words:
    """Name the two likeliest tokens of the selected state with their probabilities."""
    state = look.state
    tokens = [look.names[token] for token in state.candidate_ids[:2]]
    shares = [probability(float(share)) for share in state.probs[:2]]
    first: Words = (f"After \u201c{look.context()}\u201d the policy gives ", bold(tokens[0]), f" {shares[0]}")
    return first if len(shares) == 1 else (*first, " and ", bold(tokens[1]), f" {shares[1]}")


def _openness(entropy: float) -> Words:
    return (
        f". The entropy is {fixed(entropy)} nats, as open as a fair draw among {fixed(math.exp(entropy), 1)} tokens.",
    )


def _over(line: Line) -> str:
    return "The line has ended" if line.ended else "The line has reached its limit"


def _pi(token: ScoredToken) -> str:
    return probability(math.exp(token.logprob))


def _payment(look: StepperView, token: ScoredToken) -> str:
    """Say what was paid for one token, and what its divergence cost."""
    if token.paid == 0:
        return f"{_unpaid(look)} The token's r is {fixed(token.reward, signed=True)}{_kl_share(look, token)}."
    paid, r = fixed(token.paid, signed=True), fixed(token.reward, signed=True)
    return f"Paid for it: {paid}; r is {r}{_kl_share(look, token)}."


def _kl_share(look: StepperView, token: ScoredToken) -> str:
    beta = look.objective.kl_coef
    if not beta or not written(token.kl):
        return ""
    return f" (minus {plain(beta)} \u00d7 {fixed(token.kl)} nats of divergence from the reference)"


def _unpaid(look: StepperView) -> str:
    why = {
        "end": "this reward pays at the end",
        "sentence": "this reward pays at the end of a sentence",
        "token": "the score has not moved",
    }
    return f"Nothing is paid here: {why[look.objective.timing]}."


def _cost(look: StepperView) -> str:
    beta, kl = look.objective.kl_coef, math.fsum(one.kl for one in look.line.written)
    if not beta or not written(kl):
        return "All in all"
    return f"With {plain(beta)} \u00d7 {fixed(kl)} nats of divergence from the reference taken off"


def _meaning(look: StepperView) -> str:
    return f"V is the {look.objective.describe()}."


# ---- The pictures of the token stepper: its strip of chips, its candidate bars, its curves over states ----

SHOWN_BARS = 8
FULL_WIDTHS = (0.1, 0.2, 0.5, 1.0)  # probabilities that a bar of full width may stand for
SAME = 1e-5  # probabilities that differ by less differ by rounding
LEAST_TINT = 0.1  # nats or reward units: smaller numbers stay pale even if they are the largest


@dataclass(frozen=True)
class Show:
    """One number that a chip can carry: its name, since which lens, and whether its sign is its meaning."""

    name: str
    lens: str
    number: Callable[[StepperView, int], float]
    signed: bool = True


def _score_change(look: StepperView, at: int) -> float:
    before = look.line.written[at - 1].prefix_score if at else 0.0
    return written(written(look.line.written[at].prefix_score) - written(before))


def _value_change(look: StepperView, at: int) -> float:
    before, after = look.line.values[at : at + 2]
    return written(written(after) - written(before))


def _td_error(look: StepperView, at: int) -> float:
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


def chip_row(look: StepperView, show: Show) -> list[Chip]:
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


def bar_row(look: StepperView, policy: Policy) -> tuple[list[Bar], Bar | None, float]:
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


def bar_tokens(state: State, token: ScoredToken | None) -> tuple[int, ...]:
    """Return the tokens that get a bar of their own in a state."""
    also = () if token is None else (token.token_id,)
    ids = tuple(state.candidate_ids[place] for place in candidates(state, count=SHOWN_BARS, also=also)[0])
    return ids if token is None or token.token_id in ids else (*ids, token.token_id)


def _candidates(look: StepperView, policy: Policy) -> tuple[list[Candidate], Candidate]:
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


def _bar(one: Candidate, full: float, *, filtered: bool, look: StepperView) -> Bar:
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


def curves(look: StepperView, *, lens: str, reward: str) -> Drawing:
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


# ---- The parts of the token stepper: its strip of tokens, its candidate bars, its curves over states ----

PICTURES = {
    "policy": ("How open is each state", "entropy of the next token, and how surprising the written one was"),
    "reward": ("What the reward says of the text so far", "score of the text up to and with each token"),
    "value": ("How promising is the text so far", "what the critic expects, and the score of the text as it stands"),
    "advantage": ("V of each state, and Q of the token written there", "the step from V to Q is the token's TD error"),
}


def strip(look: StepperView, show: Show, on_set: Callable[[int], object], *, stamp: str, over: bool) -> Component:
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


def line_picture(look: StepperView, *, lens: str, reward: str) -> Component:
    """Return what a lens shows over the states of the line."""
    title, alt = PICTURES[lens]
    drawn = curves(look, lens=lens, reward=reward)
    return group("right", heading("right-title", title), chart("curves", drawn, f"{title}: {alt}"))


def candidate_bars(look: StepperView, policy: Policy, on_write: Callable[[int], object], *, stamp: str) -> Component:
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
