"""What the label panel says of labels and of the reward made of them: in counts where they are few."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rllab.plots.agreement import Point, accuracy_curve, calibration_curve
from rllab.plots.text import counted, fixed
from rllab.preferences.agreement import AgainstJudge, Agreement
from rllab.preferences.labels import Imported, LabelSession, Report, Revealed
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import Component, Span, bold, columns, group, heading, term

LN2 = math.log(2)
Words = tuple[Span | str, ...]


def count_words(session: LabelSession) -> str:
    """Return how many labels there are, and how many pairs wait."""
    store = session.store
    ties = f", {counted(len(store.ties), 'tie')}" if store.ties else ""
    return f"{counted(len(store), 'label')}{ties} \u00b7 {counted(len(session.questions), 'pair')} queued"


def label_words(session: LabelSession, told: Words | None, *, carried: int) -> Words:
    """Say what has been judged, what came of it, and what to do next."""
    if told is not None:
        return told
    if session.reports:
        return (*report_words(session.reports[-1]), *_denied(session), *_since(session, carried))
    if not len(session.store):
        asked = "Read both responses and press the key of the better one." if session.questions else START
        return (asked,)
    learn = "Refit when you have a few" if len(session.store.pairs) < 2 else "Press Refit"
    return (
        f"{counted(len(session.store), 'label')} saved. {learn}: a ",
        term("Bradley-Terry", "A model that gives every text a score; the difference of two is the log-odds."),
        f" model learns to score higher what you prefer. Before training it guesses: a loss of ln 2 = {fixed(LN2, 3)} nats.",
        *_denied(session),
    )


START = "Press Show pairs: the policy answers a prompt twice, and you say which answer is better."


def report_words(report: Report) -> Words:
    """Say how well the fit does on labels that it has not seen."""
    found = report.held_out
    words: Words = (
        f"Fitted to {report.labels - found.pairs} labels, the reward ranks ",
        bold(f"{_half(found.ranked_alike)} of {found.pairs}"),
        f" {'label' if found.pairs == 1 else 'labels'} kept aside as judged, at a loss of {fixed(found.loss)} nats",
        f"; guessing ranks half of them and costs {fixed(LN2)}. ",
    )
    if report.judged is None:
        return words
    one = report.judged
    return (
        *words,
        f"Of the simulated judges' labels on such pairs it would foresee {_percent(one.expected)}; ",
        "because they are noisy, nobody can foresee more than ",
        bold(_percent(one.ceiling)),
        ", the Bayes ceiling. ",
    )


def teacher_words(name: str, count: int, found: AgainstJudge) -> Words:
    """Say how often a simulated judge would have judged as the learner did."""
    return (
        f"Asked about your {counted(count, 'pair')}, {name} would agree with you on ",
        bold(_percent(found.expected)),
        f"; with itself, asked again, at best on {_percent(found.ceiling)}. A half would be chance.",
    )


def revealed_words(found: Revealed) -> Words:
    """Say how the learner's labels and the reward stand to gold."""
    labels = found.labels
    words: Words = (
        "Gold ranks ",
        bold(f"{_half(labels.ranked_alike)} of {labels.pairs}"),
        " of your labelled pairs as you did. ",
    )
    if found.reward is None:
        return (*words, "What you want may be something else, and that is your right.")
    return (
        *words,
        f"The reward made of the labels ranks {_percent(found.reward.pairs)} of pairs of fresh responses as gold does",
        f" (rank correlation {fixed(found.reward.rank_correlation, signed=True)}).",
    )


def imported_words(read: Imported, path: str) -> Words:
    """Say what a file held: how many pairs are new, and what is wrong with its other lines."""
    words: Words = (f"{counted(len(read.pairs), 'new pair')} from {path}.",)
    if not read.problems:
        return words
    rest = f" and {len(read.problems) - 1} more" if len(read.problems) > 1 else ""
    return (*words, f" Left out: {read.problems[0]}{rest}.")


def learning_pictures(reports: Sequence[Report]) -> tuple[Component, ...]:
    """Draw what the refits came to; nothing before the first one."""
    if not reports:
        return ()
    points = [_point(one) for one in reports]
    left = group(
        "accuracy-group",
        heading("accuracy-title", "How often it ranks unseen labels alike, \u00b1 one s.e."),
        chart("accuracy", accuracy_curve(points), "Held-out accuracy by the number of labels"),
    )
    sure = term("sure", "The probability that its scores give to the response that it prefers.")
    right = group(
        "calibration-group",
        heading("calibration-title", "Is it as ", sure, " as it is right? On the dotted line it is"),
        chart("calibration", calibration_curve(reports[-1].held_out.calibration), "Calibration on labels kept aside"),
    )
    return (columns("learned", left, right),)


def badges_of(session: LabelSession, told: Words | None) -> tuple[str, ...]:
    """Return the kinds of the numbers on the screen."""
    if not session.reports:
        return ("monte-carlo",) if told else ()
    ceiling = ("exact",) if session.reports[-1].judged is not None else ()
    return (*ceiling, "monte-carlo", "learned")


def _point(report: Report) -> Point:
    found: Agreement = report.held_out
    ceiling = report.judged.ceiling if report.judged is not None else None
    return Point(report.labels, found.accuracy, found.pairs, ceiling)


def _denied(session: LabelSession) -> Words:
    count = session.contradictions
    return (f"{count} labels deny each other: they teach that the two are equal. ",) if count else ()


def _since(session: LabelSession, carried: int) -> Words:
    fresh = len(session.store.pairs) - session.reports[-1].labels
    if carried == session.reports[-1].labels:
        return ("This reward is in training now: PPO will see it and nothing else.",)
    return (f"{counted(fresh, 'label')} since then; refit to learn from them.",) if fresh > 0 else ()


def _half(number: float) -> str:
    """Write a count that may have halves: equal scores count half.

    >>> _half(3.0), _half(2.5)
    ('3', '2.5')
    """
    return f"{number:.0f}" if math.isclose(number, round(number)) else f"{number:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if math.isfinite(share) else "not a number of"
