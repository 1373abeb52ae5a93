"""The children's stories: their grammar, and the gold judge that reads any text by it."""

from __future__ import annotations

import functools
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllab.core.files import data_dir
from rllab.reward.reward import TextReward

# ---- The grammar: patterns with slots, filled when writing, recognised when judging ----

LONGEST = 40  # words; no sentence of the grammar comes near it


@dataclass(frozen=True)
class Pattern:
    """One form of a sentence: words, and slots in braces.

    Args:
        line: Number of the grammar's line, which forms of the same line share.
        stage: Where in a story it belongs.
        want: The want that it is about; empty where it fits every want.
        ending: happy, sad or mixed; empty before the end of a story.
        mood: How it changes the mood, in points of the grammar.
        items: Its words and slots in their order.
    """

    line: int
    stage: str
    want: str
    ending: str
    mood: int
    items: tuple[str, ...]

    @functools.cached_property
    def slots(self) -> frozenset[str]:
        """Return the names of its slots."""
        return frozenset(item[1:-1] for item in self.items if item.startswith("{"))


@dataclass(frozen=True)
class Reading:
    """A recognised sentence.

    Args:
        pattern: Its pattern.
        slots: The word in each slot.
    """

    pattern: Pattern
    slots: Mapping[str, str]


@dataclass(frozen=True)
class Hero:
    """The hero of a story.

    Args:
        name: The hero's name.
        pronoun: she or he.
        species: The kind of animal; empty for children.
    """

    name: str
    pronoun: str
    species: str


@dataclass
class Node:
    """A node in the trie of all patterns.

    Args:
        following: The next node by word or slot.
        complete: The patterns that end here.
    """

    following: dict[str, Node] = field(default_factory=dict)
    complete: list[Pattern] = field(default_factory=list)


class StoryGrammar:
    """Sentence patterns and word lists, with a recogniser that reads word by word.

    Patterns share their beginnings in a trie. A word may fill several slots, so the recogniser follows a
    set of nodes at once, as a non-deterministic automaton does.

    Args:
        grammar: Headers, openings, sentences, macros, the arc of a story and its endings.
        lexicon: Words of each slot, heroes, pronouns and wants.
    """

    def __init__(self, grammar: Mapping[str, Any], lexicon: Mapping[str, Any]) -> None:
        self.arc: list[dict[str, Any]] = grammar["arc"]
        self.endings: dict[str, float] = grammar["endings"]
        self.wants: dict[str, str] = lexicon["wants"]
        self.pronouns: dict[str, dict[str, str]] = lexicon["pronouns"]
        self.heroes = [Hero(hero["name"], hero["is"], hero.get("species", "")) for hero in lexicon["heroes"]]
        self.slots = _slot_words(lexicon, self.heroes)
        self.headers = _patterns([{"say": say} for say in grammar["header"]], grammar["macros"], stage="header")
        self.openings = _patterns(grammar["openings"], grammar["macros"], stage="opening")
        self.sentences = _patterns(grammar["sentences"], grammar["macros"])
        self._fills = _by_word(self.slots)
        self._root = _trie([*self.openings, *self.sentences])
        self._read = functools.lru_cache(maxsize=50_000)(self._read_uncached)

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Return every word that the grammar can write, sorted."""
        patterns = [*self.headers, *self.openings, *self.sentences]
        literal = {item for pattern in patterns for item in pattern.items if not item.startswith("{")}
        return tuple(sorted(literal | set(self._fills)))

    def parse(self, words: Sequence[str]) -> Reading | None:
        """Return the reading of a sentence.

        Args:
            words: Its words, the end mark included.

        Returns:
            Pattern and slots; None where the grammar does not have it.
        """
        return self._read(tuple(words[:LONGEST]))[0]

    def may_continue(self, words: Sequence[str]) -> bool:
        """Return whether some sentence of the grammar begins with these words.

        Args:
            words: The words so far.

        Returns:
            Whether they can be completed.
        """
        return self._read(tuple(words[:LONGEST]))[1]

    def fill(self, pattern: Pattern, bound: Mapping[str, str], chance: random.Random) -> str:
        """Return a sentence: bound slots get their word, the others a random one, no word twice.

        Args:
            pattern: Its pattern.
            bound: Words of slots that are given.
            chance: Source of the random draws.

        Returns:
            Its text.
        """
        said: list[str] = []
        for item in pattern.items:
            if not item.startswith("{"):
                said.append(item)
            elif item[1:-1] in bound:
                said.append(bound[item[1:-1]])
            else:
                said.append(chance.choice([word for word in self.slots[base(item[1:-1])] if word not in said]))
        return " ".join(said)

    def _read_uncached(self, words: tuple[str, ...]) -> tuple[Reading | None, bool]:
        """Follow the words through the trie; return the reading, and whether any node is left."""
        places = [self._root]
        for word in words:
            keys = (word, *self._fills.get(word, ()))
            places = [place.following[key] for place in places for key in keys if key in place.following]
        complete = [pattern for place in places for pattern in place.complete]
        return (_reading(complete[0], words) if complete else None), bool(places)


def base(slot: str) -> str:
    """Return the word list of a slot: `spot2` draws from `spot`.

    Args:
        slot: The slot's name.

    Returns:
        The list's name.
    """
    return slot.rstrip("0123456789")


@functools.cache
def story_grammar() -> StoryGrammar:
    """Load the grammar that ships with the lab."""
    folder = data_dir() / "tales"
    return StoryGrammar(
        json.loads((folder / "grammar.json").read_text("utf-8")),
        json.loads((folder / "lexicon.json").read_text("utf-8")),
    )


def _slot_words(lexicon: Mapping[str, Any], heroes: Sequence[Hero]) -> dict[str, tuple[str, ...]]:
    """Return the words of every slot, those of names and pronouns included."""
    slots = {name: tuple(words) for name, words in lexicon["slots"].items()}
    slots["Name"] = tuple(hero.name for hero in heroes)
    slots["species"] = tuple(hero.species for hero in heroes if hero.species)
    slots["known"] = slots["kind"]  # the helper named again: a wise owl, then the owl
    for forms in lexicon["pronouns"].values():
        for slot, word in forms.items():
            slots[slot] = (*slots.get(slot, ()), word)
    return slots


def _patterns(
    lines: Sequence[Mapping[str, Any]], macros: Mapping[str, Sequence[str]], *, stage: str = ""
) -> list[Pattern]:
    """Return all forms of each line of the grammar."""
    return [
        Pattern(
            line=number,
            stage=line.get("stage", stage),
            want=line.get("want", ""),
            ending=line.get("ending", ""),
            mood=line.get("mood", 0),
            items=tuple(form),
        )
        for number, line in enumerate(lines)
        for form in _expand(line["say"].split(), macros)
    ]


def _expand(items: Sequence[str], macros: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Replace each macro by each of its forms."""
    forms: list[list[str]] = [[]]
    for item in items:
        ways = [way.split() for way in macros.get(item[1:-1], [item])]
        forms = [[*form, *way] for form in forms for way in ways]
    return forms


def _by_word(slots: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the slots, in braces, that each word can fill."""
    fills: dict[str, tuple[str, ...]] = {}
    for slot, words in slots.items():
        for word in dict.fromkeys(words):
            fills[word] = (*fills.get(word, ()), f"{{{slot}}}")
    return fills


def _trie(patterns: Iterable[Pattern]) -> Node:
    """Join patterns at their common beginnings."""
    root = Node()
    for pattern in patterns:
        place = root
        for item in pattern.items:
            key = f"{{{base(item[1:-1])}}}" if item.startswith("{") else item
            place = place.following.setdefault(key, Node())
        place.complete.append(pattern)
    return root


def _reading(pattern: Pattern, words: Sequence[str]) -> Reading:
    """Pair the slots of a pattern with the words that fill them."""
    pairs = zip(pattern.items, words, strict=True)
    return Reading(pattern, {item[1:-1]: word for item, word in pairs if item.startswith("{")})


# ---- The gold judge: how a careful reader would score any text that follows a prompt ----

WEIGHTS: Mapping[str, float] = {"mood": 2.0, "grammar": 1.0, "coherence": 1.0, "story": 2.0, "repetition": 2.0}
ENDS = frozenset(".!?")
WORD = re.compile(r"\w+|[^\w\s]")  # a mark is a word of its own, with or without a space before it
ASKED = 4  # sentences, where a prompt names no number
ENDING = 3.0  # the weight of the ending's tone relative to that of any other sentence
SATURATION = 4.0  # mood = tanh(tone / SATURATION)
TURNED = -0.8  # `not happy` is a little less than sad
EMPHASIS = 1.5
NOWHERE = -100
TURN_REACH, STRESS_REACH = 5, 2  # words of the same clause that a negation or an emphasis reaches
DOUBTFUL = 0.25  # how much of a happy tone counts in a sentence that is wrong or closes too early
RESOLVED = {"happy": 1.0, "mixed": 0.5, "sad": 0.0}
CLOSING = frozenset({"closing", "finish"})


@dataclass(frozen=True)
class Facts:
    """What a prompt says; texts are empty where it does not.

    Args:
        asked: Number of sentences that it asks for.
        name: Name of the hero.
        pronoun: she or he.
        want: What the hero wants.
        slots: Toy, colour, place ... as the opening filled them.
    """

    asked: int
    name: str
    pronoun: str
    want: str
    slots: Mapping[str, str]


@dataclass(frozen=True)
class Sentence:
    """A sentence of the response as the judge reads it, in its context.

    Args:
        words: Its words and marks.
        reading: Its pattern and slots; None where the grammar does not have it.
        early: Whether it closes the story although more was asked or follows.
    """

    words: tuple[str, ...]
    reading: Reading | None
    early: bool


def judge(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Judge any response to any prompt by five named parts; `WEIGHTS` adds them up.

    Args:
        prompt: The prompt.
        response: The response so far.
        ended: Whether it closed with the end token.

    Returns:
        mood in [-1, 1], grammar and coherence in [0, 1], story in [-1/3, 1], repetition at most 0.
    """
    grammar, facts = story_grammar(), facts_of(prompt)
    sentences, begun = _read(grammar, facts, words_of(response), ended=ended)
    expected = max(facts.asked, len(sentences))
    coherence = sum(_coherences(grammar, facts, sentences)) / expected
    parsed = sum(sentence.reading is not None for sentence in sentences) / expected
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
    """Return the gold judge of the story world as a reward.

    Args:
        decode: Turns token ids into text, as `Policy.decode` does.

    Returns:
        The reward.
    """
    return TextReward("gold", judge, decode, WEIGHTS)


@functools.lru_cache(maxsize=4096)
def facts_of(prompt: str) -> Facts:
    """Return the task and the opening that a prompt states; text outside the grammar is searched for known words.

    Args:
        prompt: The prompt.

    Returns:
        What it says.
    """
    grammar, words = story_grammar(), words_of(prompt)
    asked = next((int(word) for word in words if word in grammar.slots["count"]), ASKED)
    opening = words[words.index(":") + 1 :] if ":" in words else words
    readings = [reading for reading in map(grammar.parse, _split(opening)[0]) if reading and "Name" in reading.slots]
    slots = dict(readings[0].slots) if readings else {}
    name = slots.get("Name") or next((word for word in words if word in grammar.slots["Name"]), "")
    pronoun = next((hero.pronoun for hero in grammar.heroes if hero.name == name), "")
    return Facts(asked, name, pronoun, readings[0].pattern.want if readings else "", slots)


def words_of(text: str) -> list[str]:
    """Return the words and marks of a text, with or without spaces between them.

    Args:
        text: The text.

    Returns:
        Words and marks in their order.
    """
    return WORD.findall(text)


def mood_words() -> Mapping[str, float]:
    """Return the mood of each word that has one, from -1 to 1."""
    return _lexicon()[0]


def sentences_of(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sentences of a text; words after the last end mark are the last one.

    Args:
        words: Words and marks of the text.

    Returns:
        The words of each sentence.
    """
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

    Words after the last end mark that cannot become a sentence, or will not, count as a wrong one.
    """
    finished, rest = _split(words)
    if rest and (ended or not grammar.may_continue(rest)):
        finished, rest = [*finished, rest], ()
    last = max(facts.asked, len(finished))
    return [_sentence(grammar, part, last=number == last) for number, part in enumerate(finished, start=1)], rest


def _sentence(grammar: StoryGrammar, words: tuple[str, ...], *, last: bool) -> Sentence:
    """Read one sentence; an opening counts as wrong here, where a story has begun already."""
    reading = grammar.parse(words)
    if reading is None or reading.pattern.stage == "opening":
        return Sentence(words, None, early=False)
    return Sentence(words, reading, early=reading.pattern.stage in CLOSING and not last)


def _coherences(grammar: StoryGrammar, facts: Facts, sentences: Sequence[Sentence]) -> list[float]:
    """Return how much of each sentence is right about who, what and where; 0 where it closes too early."""
    known = dict(facts.slots)
    shares = []
    for sentence in sentences:
        if sentence.reading is None or sentence.early:
            shares.append(0.0)
            continue
        checks = _checks(grammar, facts, sentence.reading, known)
        shares.append(sum(checks) / len(checks) if checks else 1.0)
        for slot in ("place", "kind"):
            if slot in sentence.reading.slots:
                known.setdefault(slot, sentence.reading.slots[slot])
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
    """Return whether a sentence about some want is about this prompt's, and about its very object."""
    thing = grammar.wants.get(facts.want, "")
    same = all(reading.slots[slot] == facts.slots[slot] for slot in reading.slots if slot == thing)
    return facts.want in {"", reading.pattern.want} and same


def _tone(facts: Facts, sentences: Sequence[Sentence], begun: Sequence[str]) -> float:
    """Return the mood in [-1, 1]: the tones of all sentences, the ending's times ENDING, saturating.

    The ending is the sentence that completes the number asked for; before it there is none. A mood word that
    comes again counts half, a third ... so that many of them are worth little more than one.
    """
    said: dict[str, int] = {}
    total = 0.0
    for number, sentence in enumerate(sentences, start=1):
        tone = _sentence_tone(sentence.words, said)
        if sentence.reading is None or sentence.early:
            total += tone * (DOUBTFUL if tone > 0 else 1.0)
        else:
            total += tone * (ENDING if number == max(facts.asked, len(sentences)) else 1.0)
    return math.tanh((total + _sentence_tone(begun, said)) / SATURATION)


def _sentence_tone(words: Sequence[str], said: dict[str, int]) -> float:
    """Add up the mood words of one sentence; negation flips the next one, emphasis makes it stronger."""
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
    """Return the mean of three things that make a story: the asked length, the hero by name, the want resolved."""
    broken = sum(sentence.reading is None for sentence in sentences)
    length = max(-1.0, 1.0 - 2.0 * (abs(len(sentences) - facts.asked) + broken) / facts.asked)
    name = facts.name or None
    hero = any(sentence.reading is not None and sentence.reading.slots.get("Name") == name for sentence in sentences)
    resolved = 0.0
    for sentence in sentences:
        if sentence.reading is not None and sentence.reading.pattern.ending and sentence.reading.pattern.want:
            fits = _is_about_the_want(grammar, facts, sentence.reading)
            resolved = RESOLVED[sentence.reading.pattern.ending] if fits else resolved
    return (length + float(hero) + resolved) / 3


def _repetition(sentences: Sequence[Sentence]) -> float:
    """Count repeated sentences, 1 in the same words and 0.5 in the same pattern, and closings before the end."""
    words: set[tuple[str, ...]] = set()
    lines: set[int] = set()
    total = 0.0
    for sentence in sentences:
        line = -1 if sentence.reading is None else sentence.reading.pattern.line
        total += 1.0 if sentence.early or sentence.words in words else 0.5 if line in lines else 0.0
        words.add(sentence.words)
        lines |= {line} - {-1}
    return total


@functools.cache
def _lexicon() -> tuple[dict[str, float], frozenset[str], frozenset[str], frozenset[str]]:
    """Load the moods of words, and the words that flip them, stress them or end a clause."""
    lexicon = json.loads((data_dir() / "tales" / "lexicon.json").read_text("utf-8"))
    turning, stressing, breaking = (frozenset(lexicon[key]) for key in ("negators", "emphasis", "clause_breaks"))
    return lexicon["mood"], turning, stressing, breaking
