"""The gold judge of the story world: what a careful reader would say of any text that follows a prompt.

It stands outside training. All parts answer for every sequence of words, unfinished or not of the grammar at all:

- `mood` in [-1, 1]: how the story feels, with negation, emphasis and extra weight on its ending
- `grammar` in [0, 1]: share of the asked sentences that are sentences of the grammar
- `coherence` in [0, 1]: share of them in which who, what and where are right and nothing closes too early
- `story` in [-1/3, 1]: the asked length, the hero by name, the want resolved
- `repetition` in [-1, 0]: sentences said before, in the same words or pattern, and closings before the close
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rllab.core.files import data_dir
from rllab.reward.judges.story_grammar import Reading, StoryGrammar, story_grammar
from rllab.reward.reward import TextReward

WEIGHTS: Mapping[str, float] = {"mood": 2.0, "grammar": 1.0, "coherence": 1.0, "story": 2.0, "repetition": 2.0}
ENDS = frozenset(".!?")
WORD = re.compile(r"\w+|[^\w\s]")  # a mark is a word of its own, with or without a space before it
ASKED = 4  # sentences, where a prompt names no number
ENDING = 3.0  # the weight of the ending's tone beside that of any other sentence
SATURATION = 4.0  # mood = tanh(tone / SATURATION)
TURNED = -0.8  # `not happy` is a little less than sad
EMPHASIS = 1.5
NOWHERE = -100
TURN_REACH, STRESS_REACH = 5, 2  # words of the same clause that a negation or an emphasis reaches
DOUBTFUL = 0.25  # how much of a happy tone counts in what is no sentence or closes too early
RESOLVED = {"happy": 1.0, "mixed": 0.5, "sad": 0.0}
CLOSING = frozenset({"closing", "finish"})


@dataclass(frozen=True)
class Facts:
    """What a prompt tells: empty where it does not say."""

    asked: int
    name: str
    pronoun: str  # she, he
    want: str
    slots: Mapping[str, str]  # toy, colour, place ... as the opening filled them


@dataclass(frozen=True)
class Sentence:
    """A sentence of the response as the judge reads it, in its place."""

    words: tuple[str, ...]
    reading: Reading | None
    early: bool  # closes the story although more was asked or follows


def judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge any response to any prompt by the named parts; `WEIGHTS` adds them up."""
    grammar, facts = story_grammar(), facts_of(prompt)
    sentences, begun = _read(grammar, facts, words_of(response), ended=ended)
    expected = max(facts.asked, len(sentences))
    coherence = sum(_coherences(grammar, facts, sentences)) / expected
    parsed = sum(one.reading is not None for one in sentences) / expected
    story = _story(grammar, facts, sentences)
    tone = _tone(facts, sentences, begun)
    sound = coherence * max(story, 0.0)
    return {
        "mood": tone * sound if tone > 0 else tone,  # happiness counts as far as there is a story
        "grammar": parsed,
        "coherence": coherence,
        "story": story,
        "repetition": -_repetition(sentences) / expected,
    }


def tales_gold(decode: Callable[[Sequence[int]], str]) -> TextReward:
    """Return the gold judge as a reward over this world's tokens."""
    return TextReward("gold", judge, decode, WEIGHTS)


@functools.lru_cache(maxsize=4096)
def facts_of(prompt: str) -> Facts:
    """Read the task and the opening off a prompt; what is not of the grammar is searched for known words."""
    grammar, words = story_grammar(), words_of(prompt)
    asked = next((int(word) for word in words if word in grammar.slots["count"]), ASKED)
    opening = words[words.index(":") + 1 :] if ":" in words else words
    readings = [reading for reading in map(grammar.parse, _split(opening)[0]) if reading and "Name" in reading.slots]
    slots = dict(readings[0].slots) if readings else {}
    name = slots.get("Name") or next((word for word in words if word in grammar.slots["Name"]), "")
    pronoun = next((hero.pronoun for hero in grammar.heroes if hero.name == name), "")
    return Facts(asked, name, pronoun, readings[0].pattern.want if readings else "", slots)


def words_of(text: str) -> list[str]:
    """Return the words and marks of a text, with or without spaces between them."""
    return WORD.findall(text)


def mood_words() -> Mapping[str, float]:
    """Return the mood of each word that has one, from -1 to 1."""
    return _lexicon()[0]


def sentences_of(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sentences of a text; a rest without an end mark is the last one."""
    finished, rest = _split(words)
    return [*finished, rest] if rest else finished


def _split(words: Sequence[str]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Cut words into finished sentences and what is left over."""
    sentences, start = [], 0
    for place, word in enumerate(words):
        if word in ENDS:
            sentences.append(tuple(words[start : place + 1]))
            start = place + 1
    return sentences, tuple(words[start:])


def _read(
    grammar: StoryGrammar, facts: Facts, words: Sequence[str], *, ended: bool
) -> tuple[list[Sentence], tuple[str, ...]]:
    """Return the sentences of a response, and the beginning of one that may still be finished.

    A rest that can become no sentence, or never will, counts as a wrong one.
    """
    finished, rest = _split(words)
    if rest and (ended or not grammar.may_continue(rest)):
        finished, rest = [*finished, rest], ()
    last = max(facts.asked, len(finished))
    return [_sentence(grammar, part, last=number == last) for number, part in enumerate(finished, start=1)], rest


def _sentence(grammar: StoryGrammar, words: tuple[str, ...], *, last: bool) -> Sentence:
    """Read one sentence; an opening is none here, where a story has begun already."""
    reading = grammar.parse(words)
    if reading is None or reading.pattern.stage == "opening":
        return Sentence(words, None, early=False)
    return Sentence(words, reading, early=reading.pattern.stage in CLOSING and not last)


def _coherences(grammar: StoryGrammar, facts: Facts, sentences: Sequence[Sentence]) -> list[float]:
    """Return how much of each sentence is right about who, what and where; 0 where it closes too early."""
    known = dict(facts.slots)
    shares = []
    for one in sentences:
        if one.reading is None or one.early:
            shares.append(0.0)
            continue
        checks = _checks(grammar, facts, one.reading, known)
        shares.append(sum(checks) / len(checks) if checks else 1.0)
        for slot in ("place", "kind"):
            if slot in one.reading.slots:
                known.setdefault(slot, one.reading.slots[slot])
    return shares


def _checks(grammar: StoryGrammar, facts: Facts, reading: Reading, known: Mapping[str, str]) -> list[bool]:
    """Compare a sentence with what is known: the hero, the want and its object, the place, the helper."""
    slots, checks = reading.slots, []
    if facts.name:
        checks += [slots[slot] == facts.name for slot in slots if slot == "Name"]
        forms = grammar.pronouns[facts.pronoun]
        checks += [slots[slot] == forms[slot] for slot in slots if slot in forms]
    if facts.want and reading.pattern.want:
        checks.append(_is_about_the_want(grammar, facts, reading))
    if "place" in slots and "place" in known:
        checks.append(slots["place"] == known["place"])
    if "known" in slots:
        checks.append(slots["known"] == known.get("kind"))
    return checks


def _is_about_the_want(grammar: StoryGrammar, facts: Facts, reading: Reading) -> bool:
    """Tell whether a sentence about some want is about this prompt's, and about its very object."""
    thing = grammar.wants.get(facts.want, "")
    same = all(reading.slots[slot] == facts.slots[slot] for slot in reading.slots if slot == thing)
    return facts.want in {"", reading.pattern.want} and same


def _tone(facts: Facts, sentences: Sequence[Sentence], begun: Sequence[str]) -> float:
    """Return the mood in [-1, 1]: the tones of all sentences, the ending's times ENDING, saturating.

    The ending is the sentence that completes the asked number: before it there is none. A mood word that
    comes again counts half, a third ... so that a heap of them is worth little more than one.
    """
    said: dict[str, int] = {}
    total = 0.0
    for number, one in enumerate(sentences, start=1):
        tone = _sentence_tone(one.words, said)
        if one.reading is None or one.early:
            total += tone * (DOUBTFUL if tone > 0 else 1.0)
        else:
            total += tone * (ENDING if number == max(facts.asked, len(sentences)) else 1.0)
    return math.tanh((total + _sentence_tone(begun, said)) / SATURATION)


def _sentence_tone(words: Sequence[str], said: dict[str, int]) -> float:
    """Add up the mood words of one sentence; negation turns the next one round, emphasis makes it stronger."""
    moods, negators, emphasis, breaks = _lexicon()
    total, turned_at, stressed_at = 0.0, NOWHERE, NOWHERE
    for place, word in enumerate(words):
        if word in negators:
            turned_at = place
        elif word in emphasis:
            stressed_at = place
        elif word in breaks:
            turned_at = stressed_at = NOWHERE
        elif word in moods:
            said[word] = said.get(word, 0) + 1
            sign = TURNED if place - turned_at <= TURN_REACH else 1.0
            strength = EMPHASIS if place - stressed_at <= STRESS_REACH else 1.0
            total += moods[word] * sign * strength / said[word]
            turned_at = stressed_at = NOWHERE
    return total


def _story(grammar: StoryGrammar, facts: Facts, sentences: Sequence[Sentence]) -> float:
    """Average three things that make a story: the asked length, the hero by name, the want resolved."""
    broken = sum(one.reading is None for one in sentences)
    length = max(-1.0, 1.0 - 2.0 * (abs(len(sentences) - facts.asked) + broken) / facts.asked)
    name = facts.name or None
    hero = any(one.reading is not None and one.reading.slots.get("Name") == name for one in sentences)
    resolved = 0.0
    for one in sentences:
        if one.reading is not None and one.reading.pattern.ending and one.reading.pattern.want:
            fits = _is_about_the_want(grammar, facts, one.reading)
            resolved = RESOLVED[one.reading.pattern.ending] if fits else resolved
    return (length + float(hero) + resolved) / 3


def _repetition(sentences: Sequence[Sentence]) -> float:
    """Count sentences said before, 1 in the same words, 0.5 in the same pattern; and closings before the close."""
    words: set[tuple[str, ...]] = set()
    lines: set[int] = set()
    total = 0.0
    for one in sentences:
        line = -1 if one.reading is None else one.reading.pattern.line
        total += 1.0 if one.early or one.words in words else 0.5 if line in lines else 0.0
        words.add(one.words)
        lines |= {line} - {-1}
    return total


@functools.cache
def _lexicon() -> tuple[dict[str, float], frozenset[str], frozenset[str], frozenset[str]]:
    """Load the moods of words, what turns them round, what stresses them and what ends a clause."""
    lexicon = json.loads((data_dir() / "tales" / "lexicon.json").read_text("utf-8"))
    turning, stressing, breaking = (frozenset(lexicon[key]) for key in ("negators", "emphasis", "clause_breaks"))
    return lexicon["mood"], turning, stressing, breaking
