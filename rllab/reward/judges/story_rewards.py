"""Rewards for the story world that are easy to write down, and easy to please in ways nobody meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rllab.reward.judges.tales import mood_words, words_of
from rllab.reward.reward import TextReward

HAPPY_WEIGHTS: Mapping[str, float] = {"happy": 1.0, "sad": -1.0}
LENGTH_WEIGHTS: Mapping[str, float] = {"words": 0.1}


def count_moods(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Count happy and sad words, deaf to `not` and to whether there is a story."""
    del prompt, ended  # that it does not look at them is the point
    moods = [mood_words().get(word, 0.0) for word in words_of(response)]
    return {"happy": sum(mood > 0 for mood in moods), "sad": sum(mood < 0 for mood in moods)}


def count_words(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Count words, whatever they say."""
    del prompt, ended  # likewise
    return {"words": len(words_of(response))}


def happy_words(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the number of happy words less that of sad ones: without a KL penalty it ends in `happy happy happy`."""
    return TextReward("happy words", count_moods, decode, HAPPY_WEIGHTS)


def length(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return a tenth for each word: the policy learns to go on."""
    return TextReward("length", count_words, decode, LENGTH_WEIGHTS)
