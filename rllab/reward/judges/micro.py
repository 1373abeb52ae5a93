"""The gold judge of the micro world: mood with negation, and a sentence that is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from rllab.reward.reward import TextReward

MOODS: Mapping[str, float] = {"happy": 1.0, "sad": -1.0}
STRONGER = 1.5
UNFINISHED = {"is", "not", "very"}  # no sentence stops on one of these
WEIGHTS: Mapping[str, float] = {"mood": 1.0, "form": 1.0}


def micro_judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge a response in its prompt's context: mood in [-1, 1], form in [-0.5, 0.5].

    `not` turns the next mood word round and `very` makes it count half as much again, also when they stand
    in the prompt: so the promise of a text changes at `not`, before any mood word has paid for it.
    """
    words = [*prompt.split(), *response.split()]
    return {"mood": _mood(words, skip=len(prompt.split())), "form": _form(words, ended=ended)}


def _mood(words: Sequence[str], *, skip: int) -> float:
    """Add up the mood words of the response, those of the prompt only through what they leave open."""
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


def _form(words: Sequence[str], *, ended: bool) -> float:
    """Reward an end in the right place; take away for words said twice running and for loose ends."""
    doubled = sum(first == second for first, second in itertools.pairwise(words))
    loose = bool(words) and words[-1] in UNFINISHED
    score = (0.25 if ended and not loose else -0.25) - 0.25 * doubled
    return max(-0.5, score)


def micro_gold(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the gold judge as a reward over this world's tokens."""
    return TextReward("gold", micro_judge, decode, WEIGHTS)
