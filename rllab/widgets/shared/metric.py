"""The name of a curve, which tells on hover and on focus what is measured and how it ought to run."""

from __future__ import annotations

from rllab.trainer.signals import definitions
from rllab.widgets.engine.components import Span, term


def explained(words: str, metric: str) -> Span:
    """Return words that stand for a metric of a run and explain it."""
    about = definitions()[metric]
    return term(words, f"{about.definition} {about.formula}. {about.rule}")
