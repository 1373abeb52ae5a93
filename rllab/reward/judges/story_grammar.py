"""The grammar of the children's stories: patterns with slots, filled when writing, recognised when judging."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rllab.core.files import data_dir

LONGEST = 40  # words; no sentence of the grammar comes near it


@dataclass(frozen=True)
class Pattern:
    """One way to say something: words, and slots in braces."""

    line: int  # forms of the same line of the grammar share it
    stage: str
    want: str  # "" where it fits every want
    ending: str  # happy, sad or mixed; "" before the end of a story
    mood: int
    items: tuple[str, ...]

    @functools.cached_property
    def slots(self) -> frozenset[str]:
        """Return the names of its slots."""
        return frozenset(item[1:-1] for item in self.items if item.startswith("{"))


@dataclass(frozen=True)
class Reading:
    """A sentence recognised: its pattern and the word in each slot."""

    pattern: Pattern
    slots: Mapping[str, str]


@dataclass(frozen=True)
class Hero:
    """Whom a story is about; `pronoun` is she or he, `species` is empty for children."""

    name: str
    pronoun: str
    species: str


@dataclass
class Node:
    """A place in the trie of all patterns."""

    following: dict[str, Node] = field(default_factory=dict)  # word or {slot} -> node
    complete: list[Pattern] = field(default_factory=list)


class StoryGrammar:
    """Sentence patterns and word lists, with a recogniser that reads word by word.

    Patterns share their beginnings in a trie. A word may fill several slots, so the recogniser follows a
    set of places at once, as a non-deterministic automaton does.
    """

    def __init__(self, grammar: Mapping[str, Any], lexicon: Mapping[str, Any]) -> None:
        self.arc: list[dict[str, Any]] = grammar["arc"]
        self.endings: dict[str, float] = grammar["endings"]
        self.wants: dict[str, str] = lexicon["wants"]
        self.pronouns: dict[str, dict[str, str]] = lexicon["pronouns"]
        self.heroes = [Hero(one["name"], one["is"], one.get("species", "")) for one in lexicon["heroes"]]
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
        """Return the reading of a sentence, its end mark included; None where it is not of the grammar."""
        return self._read(tuple(words[:LONGEST]))[0]

    def may_continue(self, words: Sequence[str]) -> bool:
        """Tell whether some sentence of the grammar begins with these words."""
        return self._read(tuple(words[:LONGEST]))[1]

    def fill(self, pattern: Pattern, bound: Mapping[str, str], chance: random.Random) -> str:
        """Write a sentence: bound slots get their word, the others one by chance, no word twice."""
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
        """Follow the words through the trie; return the reading, and whether any place is left."""
        places = [self._root]
        for word in words:
            keys = (word, *self._fills.get(word, ()))
            places = [place.following[key] for place in places for key in keys if key in place.following]
        complete = [pattern for place in places for pattern in place.complete]
        return (_reading(complete[0], words) if complete else None), bool(places)


def base(slot: str) -> str:
    """Return the word list of a slot: `spot2` draws from `spot`."""
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
    """Write out all forms of each line of the grammar."""
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
