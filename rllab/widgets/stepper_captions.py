"""What the token stepper says and draws: its sentences quote the numbers that are drawn next to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rllab.core.records import State
from rllab.plots.states import Outlook, Sampled, openness, promise, steps_of_v
from rllab.plots.text import MINUS, fixed, plain, probability
from rllab.policy.policy import Policy
from rllab.truth.estimates import SURE, Candidates, difference
from rllab.value.objective import Estimate, Objective
from rllab.widgets.engine.charts import Bar, bars, chart, chips, visible
from rllab.widgets.engine.components import Component, Span, Words, bold, group, heading, note, term
from rllab.widgets.shared.line import Line, ScoredToken, candidates
from rllab.widgets.shared.tokens import number_chips
from rllab.widgets.shared.truth import worth, written

UNTRAINED = "The critic has not learned yet: it predicts 0 everywhere"
KINDS = {"exact": "exact", "monte-carlo": "Monte-Carlo", "learned": "learned"}
SHOWN_BARS = 8
FULL_WIDTHS = (0.1, 0.2, 0.5, 1.0)  # probabilities that a full bar may represent
SAME = 1e-5  # probabilities that differ by less differ by rounding
PICTURES = {  # by lens: the title of the curves, and what they are
    "policy": ("How undecided is each state", "entropy of the next token, and the surprise of the token written there"),
    "reward": ("How the reward scores the text so far", "score of the text up to and including each token"),
    "value": ("How promising is the text so far", "what the critic expects, and the score of the text so far"),
    "advantage": ("V of each state, and Q of the token written there", "the step from V to Q is the token's TD error"),
}


@dataclass(frozen=True)
class StepperView:
    """What the learner looks at: a line, one of its states, and what its rewards and values mean."""

    line: Line
    at: int  # the selected state, 0..T
    state: State  # that state
    names: Mapping[int, str]  # its candidates as text
    objective: Objective
    temperature: float  # of its bars
    worth: Candidates | None  # values of the candidates with a bar; None where they are not known
    outlook: Outlook  # V along the line

    @property
    def token(self) -> ScoredToken | None:
        """Return the token that was written in the selected state, if any was."""
        return self.line.written[self.at] if self.at < len(self.line.written) else None

    def context(self, words: int = 3) -> str:
        """Return the end of the text that the selected state consists of.

        Args:
            words: At most so many tokens of it.
        """
        tokens = [*self.line.prompt, *self.line.tokens[: self.at]]
        shown = " ".join(visible(token).strip("\u2423") for token in tokens[-words:])
        return f"\u2026 {shown}" if len(tokens) > words else shown


# ---- Sentences, one for each lens ----


def _policy_words(view: StepperView) -> Words:
    """Return what the policy would write here, or what was written and how probable it was."""
    token, state = view.token, view.state
    if token is None and state.done:
        total = math.fsum(scored.logprob for scored in view.line.written)
        return (
            f"{_over(view.line)} after {len(view.line.written)} tokens. Its log-probability under the policy is ",
            bold(fixed(total)),
            " nats, the sum over its tokens. Press Reset to start again, or click a token and choose another one.",
        )
    if token is None:
        names = [view.names[candidate] for candidate in state.candidate_ids[:2]]
        shares = [probability(float(share)) for share in state.probs[:2]]
        most_likely: Words = (f"After \u201c{view.context()}\u201d the policy gives ", bold(names[0]), f" {shares[0]}")
        if len(names) > 1:
            most_likely = (*most_likely, " and ", bold(names[1]), f" {shares[1]}")
        undecided = f"as undecided as a fair draw among {fixed(math.exp(state.entropy), 1)} tokens"
        return (*most_likely, f". The entropy is {fixed(state.entropy)} nats, {undecided}.")
    policy, reference = _pi(token), probability(math.exp(token.ref_logprob))
    same = " and so did the reference" if reference == policy else f", the reference {reference}"
    return (
        "Here " if token.sampled else "You wrote ",
        bold(visible(token.token)),
        " was sampled: the policy gave it " if token.sampled else " here: the policy gave it ",
        bold(policy),
        f"{same}. Its surprise is {fixed(-token.logprob)} nats, in a state whose entropy is {fixed(token.entropy)}.",
    )


def _reward_words(view: StepperView) -> Words:
    """Return how the reward scores the text, and what has been paid."""
    token, line = view.token, view.line
    if not line.written:
        return ("Nothing is written yet, so there is nothing to score. Press Step.",)
    if token is not None:
        before = line.written[view.at - 1].prefix_score if view.at else math.nan
        moved = f" moved the score from {fixed(before)} to " if view.at else " opened with a score of "
        return (bold(visible(token.token)), moved, bold(fixed(token.prefix_score)), f". {_payment(view, token)}")
    if view.state.done:
        earned = fixed(math.fsum(scored.reward for scored in line.written), signed=True)
        beta, kl = view.objective.kl_coef, math.fsum(scored.kl for scored in line.written)
        cost = f"After {plain(beta)} \u00d7 {fixed(kl)} nats of divergence from the reference are subtracted"
        total = cost if beta and written(kl) else "All in all"
        return ("The whole text scores ", bold(fixed(line.score)), f". {total}, the line has earned {earned}.")
    return ("If the text ended here, it would score ", bold(fixed(line.score)), f". {_unpaid(view)}")


def _value_words(view: StepperView) -> Words:
    """Return what the critic expects here, and how a token changed that."""
    token, values = view.token, view.line.values
    meaning = f"V is the {view.objective.describe()}."
    if token is None and view.line.ended:
        return ("The line has ended: nothing follows, so there is no V to learn here. ", meaning)
    here = fixed(values[view.at], signed=True)
    if not any(value for value in values if math.isfinite(value)):
        return (f"{UNTRAINED}. ", meaning)
    if token is None:
        return ("V = ", bold(here), " here: what the critic expects the rest of this text to earn. ", meaning)
    after, paid = values[view.at + 1], fixed(token.paid, signed=True)
    words: Words = (bold(visible(token.token)),)
    if math.isnan(after):
        words += (f" ended the line: V was {here}, and {paid} was paid.",)
    else:
        nothing = "no reward was paid for it" if token.paid == 0 else f"{paid} was paid for it"
        words += (f" moved V from {here} to ", bold(fixed(after, signed=True)), f", and {nothing}.")
    forced = () if token.sampled else (f" You wrote it; the policy gave it {_pi(token)}.",)
    return (*words, *forced, " ", meaning)


def _advantage_words(view: StepperView) -> Words:
    """Return what the state is worth, and how much better or worse than usual a token is there."""
    found, token, usual = view.worth, view.token, view.objective.temperature
    if token is None and view.state.done:
        return _account(view)
    if view.temperature != usual:
        values = f"Values are defined at temperature {plain(usual)}"
        return (f"{values}, but these bars are for {plain(view.temperature)}. Set it back under Sampling.",)
    sample = "Press Sample Q: each token is continued to the end of the text."
    if found is None:
        return (f"It is not known yet what the tokens are worth here. {sample}",)
    if found.value.kind == "learned" and not any(q.mean for q in found.q):
        return (f"{UNTRAINED}, so no token is better than another. {sample}",)
    value = written(found.value.mean)
    if token is None:
        at = max(range(len(found.q)), key=lambda place: found.q[place].mean)
        best = written(found.q[at].mean)
        return (
            "V = ",
            bold(fixed(value, signed=True)),
            " is the average of Q over what the policy writes here. ",
            bold(view.names[found.token_ids[at]]),
            f" is worth the most: Q {fixed(best, signed=True)}, A {fixed(written(best - value), signed=True)}, ",
            f"and the policy gives it {probability(found.probs[at])}. {_source(view, found, at)}",
        )
    at = found.token_ids.index(token.token_id)
    q = written(found.q[at].mean)
    step = written(q - value)
    usually = "better than usual" if step > 0 else "worse than usual" if step < 0 else "as good as usual"
    return (
        bold(visible(token.token)),
        f" was {usually} here: Q {fixed(q, signed=True)} minus V {fixed(value, signed=True)} gives A ",
        bold(fixed(step, signed=True)),
        f". {_source(view, found, at)}",
    )


READINGS = {"policy": _policy_words, "reward": _reward_words, "value": _value_words, "advantage": _advantage_words}


def _account(view: StepperView) -> Words:
    """Return what the tokens of a finished line earned together."""
    values, gamma = view.outlook.values, view.objective.gamma
    over = f"{_over(view.line)}: nothing follows. "
    if not values or gamma != 1:
        return (over, "Click a token to see the state it was written in.")
    earned = written(math.fsum(scored.reward for scored in view.line.written))
    usual = written(values[0])
    total = written(earned - usual)
    shown = written(sum(written(written(q) - written(v)) for q, v in zip(view.outlook.q, values, strict=False)))
    rounded = "" if shown == total else f" (the rounded ones add up to {fixed(shown, signed=True)})"
    return (
        f"{over}Its TD errors add up to what it earned minus V of the prompt: ",
        f"{fixed(earned, signed=True)} {MINUS} ({fixed(usual, signed=True)}) = ",
        bold(fixed(total, signed=True)),
        f"{rounded}. Click a token to see where that came from.",
    )


def _source(view: StepperView, found: Candidates, at: int) -> str:
    """Return where the values come from and, if they were sampled, whether one advantage may be chance."""
    if found.value.kind == "monte-carlo":
        verdict = "more than chance explains" if found.is_sure(at) else "it may be chance; sample more to tell"
        continued = f"With {found.value.samples} continuations of each token"
        return f"{continued}, A is known to \u00b1 {fixed(found.errors[at])}: {verdict}."
    if found.value.kind == "exact":
        return "Weighted by how often the policy writes them, all A add up to 0."
    itself = fixed(view.outlook.values[view.at], signed=True)
    return f"These are the critic's values one token ahead; for the state itself it predicts {itself}."


def _payment(view: StepperView, token: ScoredToken) -> str:
    """Return what was paid for one token, and what its divergence cost."""
    beta, cost = view.objective.kl_coef, ""
    if beta and written(token.kl):
        cost = f" (minus {plain(beta)} \u00d7 {fixed(token.kl)} nats of divergence from the reference)"
    paid, reward = fixed(token.paid, signed=True), fixed(token.reward, signed=True)
    if token.paid == 0:
        return f"{_unpaid(view)} The token's r is {reward}{cost}."
    return f"It was paid {paid}; its r is {reward}{cost}."


def _unpaid(view: StepperView) -> str:
    why = {
        "end": "this reward pays at the end",
        "sentence": "this reward pays at the end of a sentence",
        "token": "the score did not change",
    }
    return f"Nothing is paid here: {why[view.objective.timing]}."


def _over(line: Line) -> str:
    return "The line has ended" if line.ended else "The line has reached its limit"


def _pi(token: ScoredToken) -> str:
    return probability(math.exp(token.logprob))


# ---- The strip of tokens ----


@dataclass(frozen=True)
class Show:
    """One number that a chip can carry: its name, the first lens that has it, and whether its sign matters."""

    name: str
    lens: str
    number: Callable[[StepperView, int], float]
    signed: bool = True


def _score_change(view: StepperView, at: int) -> float:
    before = view.line.written[at - 1].prefix_score if at else 0.0
    return written(written(view.line.written[at].prefix_score) - written(before))


def _value_change(view: StepperView, at: int) -> float:
    before, after = view.line.values[at : at + 2]
    return written(written(after) - written(before))


def _td_error(view: StepperView, at: int) -> float:
    values, q = view.outlook.values, view.outlook.q
    return written(written(q[at]) - written(values[at])) if values else math.nan


SHOWS: dict[str, Show] = {
    "probability": Show(
        "\u03c0, the probability", "policy", lambda view, at: math.exp(view.line.written[at].logprob), signed=False
    ),
    "logprob": Show("log \u03c0 (nats)", "policy", lambda view, at: view.line.written[at].logprob, signed=False),
    "kl": Show("log \u03c0/\u03c0_ref (nats)", "policy", lambda view, at: view.line.written[at].kl),
    "change": Show("change of the score", "reward", _score_change),
    "score": Show("score so far", "reward", lambda view, at: view.line.written[at].prefix_score),
    "reward": Show("reward r", "reward", lambda view, at: view.line.written[at].reward),
    "dv": Show("change of V", "value", _value_change),
    "value": Show("V after it", "value", lambda view, at: view.line.values[at + 1]),
    "delta": Show("TD error \u03b4", "advantage", _td_error),
}
FIRST_SHOWN = {"policy": "probability", "reward": "change", "value": "dv", "advantage": "delta"}


def strip(view: StepperView, show: Show, on_set: Callable[[int], object], *, stamp: str, over: bool) -> Component:
    """Return the line's tokens with the number that is shown under each.

    Args:
        view: What the learner looks at.
        show: The number.
        on_set: Receives the chosen place.
        stamp: Names this picture.
        over: Whether nothing can follow.
    """
    line = view.line
    numbers = [show.number(view, at) for at in range(len(line.written))]
    items = number_chips(
        [visible(token) for token in line.tokens], numbers, forced=[not token.sampled for token in line.written]
    )
    if not show.signed:  # a size has no direction, so no colour
        items = [replace(item, number=probability(at), tint=0) for item, at in zip(items, numbers, strict=True)]
    return chips(
        "strip",
        "Tokens; choosing one shows the state before it",
        items,
        on_set,
        prompt=[visible(token) for token in line.prompt],
        selected=view.at,
        next_name="the end of the line" if over else "the next token, not written yet",
        quantity=show.name,
        stamp=stamp,
    )


# ---- The candidate bars ----


@dataclass(frozen=True)
class Candidate:
    """One possible next token and its probabilities under policy, sampler and reference."""

    token_id: int
    text: str
    pi: float
    sampling: float
    reference: float


def candidate_bars(view: StepperView, policy: Policy, on_write: Callable[[int], object], *, stamp: str) -> Component:
    """Return the bars of the tokens that could follow the chosen state, and what they are worth where that is known.

    Args:
        view: What the learner looks at.
        policy: The policy whose tokens they are.
        on_write: Receives the token of the bar that is pressed.
        stamp: Names this picture.
    """
    if view.state.done:
        return group("left", note("over", "Nothing can follow here. Click a token to look at the state before it."))
    items, rest, full = bar_row(view, policy)
    who = term("policy", "The policy gives every token a probability of coming next.")
    tick = term("\u03c0_ref", "The reference is the frozen policy that training started from.")
    thin = " \u00b7 thin: what is sampled from, after top-k and top-p" if items[0].inner is not None else ""
    past = "a new line starts there" if view.at < len(view.line.written) else "it is written as the next token"
    return group(
        "left",
        heading("left-title", "What the ", who, f" would write after \u201c{view.context()}\u201d"),
        *((heading("left-value", *_value_title(view.worth)),) if view.worth is not None else ()),
        bars("bars", "Candidates for the next token", items, on_write, rest=rest, stamp=stamp),
        note(
            "left-note",
            "bar: \u03c0 \u00b7 tick: ",
            tick,
            f"{thin} \u00b7 full width: {plain(full)} \u00b7 click a bar: {past}",
        ),
    )


def bar_row(view: StepperView, policy: Policy) -> tuple[list[Bar], Bar | None, float]:
    """Return the bars of the most probable candidates, that of all others, and the probability of a full bar.

    The token that was written here is always among them, however unlikely it was.

    Args:
        view: What the learner looks at.
        policy: The policy whose tokens they are.
    """
    shown, others = _candidates(view, policy)
    widest = min(1.0, max(max(candidate.pi, candidate.reference) for candidate in shown))
    full = next(width for width in FULL_WIDTHS if width >= widest)
    filtered = any(abs(candidate.pi - candidate.sampling) > SAME for candidate in shown)
    items = [_bar(candidate, full, filtered=filtered, view=view) for candidate in shown]
    if len(shown) == policy.vocabulary:
        return items, None, full
    fits = max(others.pi, others.reference) <= full  # a bar that is cut off would show something untrue
    width, tick = (others.pi / full, others.reference / full) if fits else (0.0, None)
    inner = others.sampling / full if filtered and others.sampling <= full else None
    extra: tuple[Span, ...] = ()
    if view.worth is not None:
        error = difference(view.worth.others, view.worth.value).standard_error
        extra = _q_and_a(view.worth, view.worth.others, error)
    return items, Bar(others.text, width, probability(others.pi), tick=tick, inner=inner, extra=extra), full


def bar_tokens(state: State, token: ScoredToken | None) -> tuple[int, ...]:
    """Return the tokens that get a bar of their own in a state.

    Args:
        state: The state.
        token: The token that was written there, if any.
    """
    also = () if token is None else (token.token_id,)
    ids = tuple(state.candidate_ids[place] for place in candidates(state, count=SHOWN_BARS, also=also)[0])
    return ids if token is None or token.token_id in ids else (*ids, token.token_id)


def _candidates(view: StepperView, policy: Policy) -> tuple[list[Candidate], Candidate]:
    """Return the candidates with a bar of their own, and all others together."""
    state, token = view.state, view.token
    also = () if token is None else (token.token_id,)
    places, rest = candidates(state, count=SHOWN_BARS, also=also)
    probs, sampling, reference = (
        column[places].tolist() for column in (state.probs, state.sampling_probs, state.ref_probs)
    )
    shown = [
        Candidate(state.candidate_ids[place], visible(policy.token_text(state.candidate_ids[place])), p, q, r)
        for place, p, q, r in zip(places, probs, sampling, reference, strict=True)
    ]
    if token is not None and token.token_id not in state.candidate_ids:
        p, r = math.exp(token.logprob), math.exp(token.ref_logprob)
        kept = sampling[0] / probs[0]  # the filters raise what they let through by one common factor
        sampled = p * kept if token.sampled else 0.0
        shown.append(Candidate(token.token_id, visible(token.token), p, sampled, r))
        rest = [max(0.0, rest[0] - p), max(0.0, rest[1] - sampled), max(0.0, rest[2] - r)]
    return shown, Candidate(-1, "all others", *rest)


def _bar(candidate: Candidate, full: float, *, filtered: bool, view: StepperView) -> Bar:
    extra: tuple[Span, ...] = ()
    if view.worth is not None:
        at = view.worth.token_ids.index(candidate.token_id)
        extra = _q_and_a(view.worth, view.worth.q[at], view.worth.errors[at])
    values = "".join(f", {span.text}" for span in extra)
    policy, reference = probability(candidate.pi), probability(candidate.reference)
    here = view.token is not None and view.token.token_id == candidate.token_id
    return Bar(
        label=candidate.text,
        width=candidate.pi / full,
        number=policy,
        value=candidate.token_id,
        tick=candidate.reference / full,
        inner=candidate.sampling / full if filtered else None,
        extra=(*extra, Span("written here", tone="dim")) if here else extra,
        name=f"write {candidate.text}: policy {policy}, reference {reference}{values}",
    )


def _q_and_a(found: Candidates, q: Estimate, error: float) -> tuple[Span, ...]:
    """Return Q and A as they appear next to a bar: as written, Q - A = V. An A that may be chance stays pale."""
    shown = written(q.mean)
    value, step = worth(shown, written(shown - written(found.value.mean)))
    if q.kind != "monte-carlo":
        return value, step
    tone = step.tone if abs(q.mean - found.value.mean) > SURE * error else "dim"
    sampled = replace(value, text=f"{value.text} \u00b1 {fixed(q.standard_error)}")
    return sampled, replace(step, text=f"{step.text} \u00b1 {fixed(error)}", tone=tone)


def _value_title(found: Candidates) -> Words:
    """Return V of a state with its kind, and what the numbers next to the bars are."""
    value = found.value
    error = f" \u00b1 {fixed(value.standard_error)}" if value.kind == "monte-carlo" else ""
    return (
        f"V = {fixed(written(value.mean), signed=True)}{error}, {KINDS[value.kind]} \u00b7 ",
        term("Q", "The return to expect from here on if this token is written now."),
        ", ",
        term("A", "The advantage, Q minus V: how much better or worse this is than what the policy writes on average."),
    )


# ---- The curves over the states ----


def line_picture(view: StepperView, *, lens: str, reward: str) -> Component:
    """Return what a lens shows over the states of the line.

    Args:
        view: What the learner looks at.
        lens: policy, reward, value or advantage.
        reward: The name of the world's reward.
    """
    line, tokens = view.line, [visible(token) for token in view.line.tokens]
    if lens == "advantage":
        found, sampled = view.worth, None
        if found is not None and found.value.kind == "monte-carlo":
            sampled = Sampled(len(found.prefix), found.value.mean, found.value.standard_error)
        drawn = steps_of_v(tokens, view.outlook, sampled=sampled, selected=view.at)
    elif lens == "policy":
        surprises = [-scored.logprob for scored in line.written]
        drawn = openness(tokens, entropies=line.entropies, surprises=surprises, selected=view.at)
    else:
        scores = [scored.prefix_score for scored in line.written]
        values = line.values if lens == "value" else ()
        drawn = promise(tokens, prefix_scores=scores, reward=reward, values=values, selected=view.at)
    title, alt = PICTURES[lens]
    return group("right", heading("right-title", title), chart("curves", drawn, f"{title}: {alt}"))
