"""Programmatic rewards: the gold judge of micro, sentiment, two that are easily hacked, and verifiable rules."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rllab.core.errors import LabError
from rllab.reward.reward import TextReward
from rllab.reward.stories import mood_words, words_of

# ---- The gold judge of the micro world: mood with negation, and well-formed sentences ----

MOODS: Mapping[str, float] = {"happy": 1.0, "sad": -1.0}
STRONGER = 1.5
UNFINISHED = {"is", "not", "very"}  # no sentence ends with one of these
WEIGHTS: Mapping[str, float] = {"mood": 1.0, "form": 1.0}


def micro_judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge a response in its prompt's context: mood in [-1, 1], form in [-0.5, 0.5].

    Form rewards an end in the right place, and loses for words repeated at once and for loose ends. In mood, `not`
    flips the next mood word and `very` makes it count half as much again, also where they are part of the prompt: so
    the expected score of a text changes at `not`, before any mood word has been scored.

    Args:
        prompt: The prompt.
        response: The response so far.
        ended: Whether it closed with the end token.

    Returns:
        The named parts.
    """
    words = [*prompt.split(), *response.split()]
    doubled = sum(first == second for first, second in itertools.pairwise(words))
    loose = bool(words) and words[-1] in UNFINISHED
    form = (0.25 if ended and not loose else -0.25) - 0.25 * doubled
    return {"mood": _mood(words, skip=len(prompt.split())), "form": max(-0.5, form)}


def _mood(words: Sequence[str], *, skip: int) -> float:
    """Add up the mood words of the response; words of the prompt only change what follows them."""
    total, sign, strength = 0.0, 1.0, 1.0
    for place, word in enumerate(words):
        if word == "not":
            sign = -sign
        elif word == "very":
            strength = STRONGER
        elif word in MOODS:
            total += sign * strength * MOODS[word] if place >= skip else 0.0
            sign, strength = 1.0, 1.0
    return max(-1.0, min(1.0, total / STRONGER))


def micro_gold(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the gold judge of the micro world as a reward.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.

    Returns:
        The reward.
    """
    return TextReward("gold", micro_judge, decode, WEIGHTS)


# ---- Sentiment: how positive a text of everyday English is, by a lexicon and rules ----

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

SENTIMENT_WEIGHTS: Mapping[str, float] = {"mood": 1.0, "repetition": -0.5, "ending": 0.1}


def sentiment_judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge a response alone: mood in [-1, 1], repetition in [0, 1], ending 0 or 1.

    Mood is VADER's compound score (Hutto and Gilbert 2014). Repetition is the share of word pairs that came before:
    without it the shortest way to a good mood is one kind word over and over.

    Args:
        prompt: The prompt.
        response: The response so far.
        ended: Whether it closed with the end token.

    Returns:
        The named parts.
    """
    del prompt  # the mood of a question is not the answer's merit
    words = response.lower().split()
    pairs = list(itertools.pairwise(words))
    return {
        "mood": float(analyzer().polarity_scores(response)["compound"]),
        "repetition": 1.0 - len(set(pairs)) / len(pairs) if pairs else 0.0,
        "ending": float(ended),
    }


def sentiment(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the sentiment of the response as a reward.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.

    Returns:
        The reward.

    Raises:
        LabError: If vaderSentiment is not installed.
    """
    analyzer()  # a missing package is reported now, not in the middle of a run
    return TextReward("sentiment", sentiment_judge, decode, SENTIMENT_WEIGHTS)


@functools.cache
def analyzer() -> SentimentIntensityAnalyzer:
    """Return the sentiment analyzer, loaded once.

    Raises:
        LabError: If vaderSentiment is not installed.
    """
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        remedy = "it needs the package vaderSentiment; run: python lab.py setup"
        raise LabError("reward", "sentiment", remedy) from error
    return SentimentIntensityAnalyzer()


# ---- Rewards for the story world that are easy to write down, and easy to hack ----

HAPPY_WEIGHTS: Mapping[str, float] = {"happy": 1.0, "sad": -1.0}
LENGTH_WEIGHTS: Mapping[str, float] = {"words": 0.1}


def count_moods(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Count happy and sad words, blind to `not` and to whether there is a story.

    Args:
        prompt: The prompt.
        response: The response so far.
        ended: Whether it closed with the end token.

    Returns:
        The named parts.
    """
    del prompt, ended  # that it does not look at them is the point
    moods = [mood_words().get(word, 0.0) for word in words_of(response)]
    return {"happy": sum(mood > 0 for mood in moods), "sad": sum(mood < 0 for mood in moods)}


def count_words(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Count words, whatever they mean.

    Args:
        prompt: The prompt.
        response: The response so far.
        ended: Whether it closed with the end token.

    Returns:
        The named parts.
    """
    del prompt, ended  # likewise
    return {"words": len(words_of(response))}


def happy_words(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return a reward of happy words less sad ones: without a KL penalty it ends in `happy happy happy`.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.

    Returns:
        The reward.
    """
    return TextReward("happy words", count_moods, decode, HAPPY_WEIGHTS)


def length(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return a reward of a tenth for each word: the policy learns not to stop.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.

    Returns:
        The reward.
    """
    return TextReward("length", count_words, decode, LENGTH_WEIGHTS)


# ---- Verifiable rewards: a pattern that the response has to match, an answer that it has to give ----

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
LONGEST = 4_000  # characters of a response that a pattern is tried on: some patterns take very long on long texts


def matches(decode: Callable[[Sequence[int]], str], pattern: str, *, name: str = "matches") -> TextReward:
    """Return a reward of 1 for a finished response that matches a regular expression somewhere, else 0.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.
        pattern: The regular expression.
        name: The reward's name.

    Returns:
        The reward.

    Raises:
        LabError: If the pattern is not a regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LabError("pattern", pattern, f"not a regular expression: {error.msg}") from error

    def judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
        del prompt  # a pattern is about the answer alone
        return {name: float(ended and compiled.search(response[:LONGEST]) is not None)}

    return TextReward(name, judge, decode, {name: 1.0})


def exact_answer(
    decode: Callable[[Sequence[int]], str], answers: Mapping[str, str], *, name: str = "answer"
) -> TextReward:
    """Return a reward of 1 for a finished response with the right answer to its prompt, and 0.1 for any answer.

    Where the right answer is a number, the last number of the response counts; else its last line, without regard to
    case and to marks at the ends.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.
        answers: The right answer to each prompt.
        name: The reward's name.

    Returns:
        The reward.

    Raises:
        LabError: If there are no answers; a prompt without one raises it when it is scored.
    """
    if not answers:
        raise LabError("answers", answers, "give the right answer for each prompt")

    def judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
        if prompt not in answers:
            raise LabError("prompt", prompt, "there is no answer for it; add one, or choose another prompt")
        right = answer_in(answers[prompt], like=answers[prompt])
        given = answer_in(response, like=answers[prompt])
        return {"correct": float(ended and given == right), "format": float(ended and bool(given))}

    return TextReward(name, judge, decode, {"correct": 1.0, "format": 0.1})


def answer_in(text: str, *, like: str) -> str:
    """Return the answer that a text gives, in one spelling.

    Args:
        text: The text.
        like: A right answer: where it is a number, numbers are looked for.

    Returns:
        The answer; empty where there is none.
    """
    if NUMBER.fullmatch(like.strip()):
        found = NUMBER.findall(text)
        return f"{float(found[-1].replace(',', '')):.15g}" if found else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].strip(" .!?\"'*").casefold() if lines else ""
