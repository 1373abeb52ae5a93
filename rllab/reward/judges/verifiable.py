"""Rewards that a rule can check: a pattern that the response has to match, an answer that it has to give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from rllab.core.errors import LabError
from rllab.reward.reward import TextReward

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
LONGEST = 4_000  # characters of a response that a pattern is tried on: some patterns take very long on long texts


def matches(decode: Callable[[Sequence[int]], str], pattern: str, *, name: str = "matches") -> TextReward:
    """Return 1 for a finished response that matches a regular expression somewhere, else 0."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LabError("pattern", pattern, f"it is no regular expression: {error.msg}") from error

    def judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
        del prompt  # a pattern is about the answer alone
        return {name: float(ended and compiled.search(response[:LONGEST]) is not None)}

    return TextReward(name, judge, decode, {name: 1.0})


def exact_answer(
    decode: Callable[[Sequence[int]], str], answers: Mapping[str, str], *, name: str = "answer"
) -> TextReward:
    """Return 1 for a finished response whose answer is the right one for its prompt, and 0.1 for giving any.

    Where the right answer is a number, the last number of the response counts; else its last line, case and
    marks at the ends aside.
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
    """Return the answer that a text gives, in one spelling; empty where it gives none."""
    if NUMBER.fullmatch(like.strip()):
        found = NUMBER.findall(text)
        return f"{float(found[-1].replace(',', '')):.15g}" if found else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].strip(" .!?\"'*").casefold() if lines else ""
