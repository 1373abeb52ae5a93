"""One response as it is written on the screen of the reward panel: its payments add up as they are written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.config import PrefixPay, Timing
from rllab.plots.text import fixed
from rllab.widgets.engine.components import Span, bold
from rllab.widgets.shared.backup import written
from rllab.worlds.reward_trace import RewardTrace

Words = tuple[Span | str, ...]
WHEN: dict[Timing, str] = {"token": "every token", "sentence": "each sentence", "end": "the end"}
DUE: dict[Timing, str] = WHEN | {"sentence": "the end of each sentence"}


@dataclass(frozen=True)
class Paid:
    """What one reward pays for each token under a timing, as written: the payments sum to `total`."""

    reading: RewardTrace
    timing: Timing
    how: PrefixPay

    @property
    def scores(self) -> tuple[float, ...]:
        """Return the score of each prefix, (T,)."""
        return tuple(written(score) for score in self.reading.prefix_scores)

    @property
    def payments(self) -> tuple[float, ...]:
        """Return what is paid at each token, (T,): differences of written sums, so that they add up."""
        if self.how == "level":
            return tuple(written(one) for one in self.reading.level[self.timing])
        sums = [0.0, *(written(one) for one in itertools.accumulate(self.reading.paid[self.timing]))]
        return tuple(written(after - before) for before, after in itertools.pairwise(sums))

    @property
    def total(self) -> float:
        """Return the sum of all payments."""
        return written(sum(self.payments))

    def is_paid(self, at: int) -> bool:
        """Tell whether something is paid at a token."""
        paid = self.reading.level if self.how == "level" else self.reading.paid
        return paid[self.timing][at] != 0.0

    @property
    def count(self) -> int:
        """Return the number of payments."""
        return sum(self.is_paid(at) for at in range(len(self.scores)))


def token_words(paid: Paid, tokens: Sequence[str], at: int) -> Words:
    """Say what the chosen token did to the score, what was paid for it, and to what all payments add up."""
    before = 0.0 if at == 0 else paid.scores[at - 1]
    here, payment = _signed(paid.scores[at]), _signed(paid.payments[at])
    moved = f" takes the score of the text so far from {_signed(before)} to {here}"
    if at == 0:
        moved = f" opens the response with a score of {here}"
    return (bold(tokens[at]), moved, *_payment(paid, at, payment), *_sum(paid))


def opposite_words(paid: Paid, gold: Paid, tokens: Sequence[str], at: int) -> Words:
    """Say how gold sees the whole response, and whether it moves the other way at the chosen token."""
    said = f" Gold scores the response {_signed(written(gold.reading.total))}"
    if at == 0:
        return (f"{said}.",)
    ours, theirs = (written(one.scores[at] - one.scores[at - 1]) for one in (paid, gold))
    if ours * theirs < 0:
        return (f"{said}, and at “{tokens[at]}” it goes the other way: {_signed(theirs)}.",)
    return (f"{said}; at “{tokens[at]}” it moves by {_signed(theirs)}.",)


def edit_words(what: str, score: tuple[float, float], gold: tuple[float, float] | None = None) -> Words:
    """Say what an edit did to the score, and to gold where it is revealed."""
    (before, after), change = score, _change(score)
    words: Words = (
        f"{what[:1].upper()}{what[1:]}: the score goes from {_signed(written(before))} to ",
        bold(_signed(written(after))),
        f" ({change}).",
    )
    if gold is None:
        return words
    return (*words, f" Gold goes from {_signed(written(gold[0]))} to {_signed(written(gold[1]))} ({_change(gold)}).")


def _payment(paid: Paid, at: int, payment: str) -> Words:
    if not paid.is_paid(at):
        return (f"; nothing is paid for it, because pay falls due at {DUE[paid.timing]}.",)
    if paid.how == "level":
        return (", and that whole level is what it is paid, ", bold(payment), ".")
    since = {"token": "the change", "sentence": "the change since the last payment", "end": "all of it"}[paid.timing]
    return (f", and {since} is what is paid: ", bold(payment), ".")


def _sum(paid: Paid) -> Words:
    count, score = paid.count, _signed(written(paid.reading.total))
    if count == 1:
        return (f" The only payment is {_signed(paid.total)}, the score of the whole response.",)
    if paid.how == "increment":
        return (f" The {count} payments add up to {_signed(paid.total)}, the score of the whole response.",)
    more = f" while the score is {score}: the same text is paid for again each time."
    return (f" The {count} payments add up to {_signed(paid.total)},{more}",)


def _change(score: tuple[float, float]) -> str:
    return _signed(written(written(score[1]) - written(score[0])))


def _signed(number: float) -> str:
    return fixed(number, signed=True)
