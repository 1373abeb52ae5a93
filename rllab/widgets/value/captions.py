"""What is known of V along a response, and the sentences of the value panel: they quote the numbers that are drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from rllab.plots.text import fixed
from rllab.truth import Tree
from rllab.truth.what_if import Continuations
from rllab.value.objective import Estimate
from rllab.widgets.engine.components import Span, bold
from rllab.widgets.shared.backup import written
from rllab.worlds.stepper import Stepper

Words = tuple[Span | str, ...]


@dataclass(frozen=True)
class Known:
    """V of the states 0..T, learned, sampled and exact; empty where that way is not known."""

    learned: tuple[float, ...]
    sampled: tuple[Estimate, ...]
    exact: tuple[float, ...]
    over: bool  # the last of the states lies behind the end

    @property
    def means(self) -> tuple[float, ...]:
        """Return the sampled means."""
        return tuple(one.mean for one in self.sampled)

    @property
    def errors(self) -> tuple[float, ...]:
        """Return their standard errors; of a single sample none is known, so none is drawn."""
        return tuple(one.standard_error if math.isfinite(one.standard_error) else 0.0 for one in self.sampled)

    @property
    def best(self) -> tuple[str, tuple[float, ...]]:
        """Return the most certain way that is known, and its values."""
        ways = (("exact", self.exact), ("sampled", self.means), ("learned", self.learned))
        return next(((name, values) for name, values in ways if values), ("", ()))

    @property
    def changes(self) -> list[float]:
        """Return by how much each token moved V, as written; not a number where V is not known.

        Nor for a token that ends the response: behind it V is 0 whatever was earned, and that fall is no fault of it.
        """
        values = self.best[1]
        moved = [
            written(written(after) - written(before)) if _both(before, after) else math.nan
            for before, after in itertools.pairwise(values)
        ]
        return [*moved[:-1], math.nan] if self.over and moved else moved

    @property
    def untrained(self) -> bool:
        """Tell whether the critic says 0 in every state, as a new one does."""
        said = [one for one in self.learned if math.isfinite(one)]
        return bool(said) and not any(said)

    def change(self, at: int) -> float:
        """Return by how much one token moved V; not a number where that is not known."""
        return self.changes[at] if self.changes else math.nan

    def written_change(self, at: int) -> str:
        """Return a token's change of V for its chip."""
        return "\u2013" if math.isnan(self.change(at)) else fixed(self.change(at), signed=True)

    @property
    def exact_title(self) -> tuple[str, ...]:
        """Return the end of the picture's title."""
        return (", exact (dotted)",) if self.exact else ()


def badges_of(known: Known, *, sampled: bool) -> tuple[str, ...]:
    """Return the kinds of all numbers on the screen."""
    shown = (("exact", known.exact), ("monte-carlo", known.sampled or sampled), ("learned", known.learned))
    return tuple(kind for kind, there in shown if there)


def change_words(known: Known, at: int) -> str:
    """Name a token's change of V for who hears the screen."""
    kind = known.best[0]
    return f"change of V {known.written_change(at)} ({kind})" if kind else "V is not known yet"


def value_words(stepper: Stepper, known: Known, at: int) -> Words:
    """Say what V is in the chosen state, in each way that is known, and how far the critic is off."""
    if not stepper.steps and not known.exact:
        return ("Press Write a response; then hold V of its states against what really follows.",)
    if at == len(stepper.steps) and stepper.done:
        return ("The response is over: nothing more is to come, so V = 0. Choose a token to see the state before it.",)
    said: list[Span | str] = [f"In state {at} "]
    parts = []
    if known.learned:
        parts.append(f"the critic says {fixed(known.learned[at], signed=True)}")
    if known.sampled:
        one = known.sampled[at]
        shown = f"{fixed(one.mean, signed=True)} \u00b1 {fixed(one.standard_error)}"
        parts.append(f"{one.samples} continuations brought {shown}")
    if known.exact:
        parts.append(f"the truth is {fixed(known.exact[at], signed=True)}")
    said.append("; ".join(parts) if parts else "V is not known: this world has no critic. Press Sample V along it")
    said.append(". ")
    return (
        *said,
        *_judgement(known, at),
        *(("It says 0 everywhere: it has not learned yet.",) if known.untrained else ()),
    )


def fan_words(found: Continuations, tree: Tree | None) -> Words:
    """Say what the continuations of a state bring, and how far they lie apart."""
    one = found.estimate
    words: Words = (
        f"{one.samples} continuations of state {len(found.prefix)} bring ",
        bold(f"{fixed(one.mean, signed=True)} \u00b1 {fixed(one.standard_error)}"),
        f" on average, from {fixed(min(found.returns), signed=True)} to {fixed(max(found.returns), signed=True)}",
    )
    if tree is None:
        return (*words, ". A single one says little; their mean is V.")
    return (*words, f"; exactly, V = {fixed(tree.V(found.prefix), signed=True)}.")


def _judgement(known: Known, at: int) -> Words:
    """Say how far the critic is from the best that is known beside it."""
    if not known.learned or not (known.exact or known.sampled):
        return ()
    if known.exact:
        gap = written(written(known.learned[at]) - written(known.exact[at]))
        return ("The critic is off by ", bold(fixed(gap, signed=True)), ".")
    one = known.sampled[at]
    gap = written(written(known.learned[at]) - written(one.mean))
    far = abs(gap) > 3 * one.standard_error
    return (
        "The critic is off by ",
        bold(fixed(gap, signed=True)),
        ", more than chance explains." if far else ", which chance can explain.",
    )


def _both(before: float, after: float) -> bool:
    return math.isfinite(before) and math.isfinite(after)
