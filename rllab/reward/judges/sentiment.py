"""Sentiment: how friendly a text of everyday English is, by a lexicon and rules, with a guard against cheap tricks.

The lexicon and the rules are VADER's (Hutto and Gilbert 2014), as the package vaderSentiment ships them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rllab.core.errors import LabError
from rllab.reward.reward import TextReward

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

SENTIMENT_WEIGHTS: Mapping[str, float] = {"mood": 1.0, "repetition": -0.5, "ending": 0.1}


def sentiment_judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge a response alone: mood in [-1, 1], repetition in [0, 1], ending 0 or 1.

    Mood is VADER's compound score. Repetition is the share of word pairs that were said before: without it
    the shortest way to a good mood is one kind word over and over.
    """
    del prompt  # a question's own mood is no merit of the answer
    words = response.lower().split()
    pairs = list(itertools.pairwise(words))
    return {
        "mood": float(analyzer().polarity_scores(response)["compound"]),
        "repetition": 1.0 - len(set(pairs)) / len(pairs) if pairs else 0.0,
        "ending": float(ended),
    }


def sentiment(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the sentiment of the response as a reward over some model's tokens."""
    analyzer()  # say now, not in the middle of a run, that a package is missing
    return TextReward("sentiment", sentiment_judge, decode, SENTIMENT_WEIGHTS)


@functools.cache
def analyzer() -> SentimentIntensityAnalyzer:
    """Return the reader of the lexicon; it is loaded once, when it is first needed."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        remedy = "it needs the package vaderSentiment; run: python lab.py setup"
        raise LabError("reward", "sentiment", remedy) from error
    return SentimentIntensityAnalyzer()
