"""Children's stories from the grammar: first a plan (who, what, how it ends), then sentences that tell it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rllab.reward.stories import Hero, Pattern, StoryGrammar

Kind = TypeVar("Kind")

MOODS = {"happy": 1, "mixed": 0, "sad": -1}
LENGTHS: Mapping[int, float] = {
    1: 0.06, 2: 0.08, 3: 0.20, 4: 0.22, 5: 0.18, 6: 0.08, 7: 0.05, 8: 0.04, 9: 0.03, 10: 0.02, 11: 0.02, 12: 0.02
}  # fmt: skip
PERSONAL = frozenset({"species", "family", "kind", "known", "trait"})  # slots that only some stories can fill
CAST = ("animal", "place", "daytime", "weather", "colour")  # the same all through a story
FINISH_AT_ONCE = 0.25  # share of stories whose last sentence both resolves and closes
FAMILY = 0.15  # share of stories whose helper is of the family


@dataclass(frozen=True)
class Plan:
    """What a story is about, before a word of it is written."""

    hero: Hero
    want: str
    ending: str  # happy, sad or mixed
    sentences: int  # that the prompt asks for
    bound: Mapping[str, str]  # slot -> word, the same in every sentence


@dataclass(frozen=True)
class Story:
    """A prompt (the task and the opening) with the response that finishes it."""

    prompt: str
    response: str
    plan: Plan

    @property
    def mood(self) -> int:
        """Return the mood of the derivation: 1 happy, 0 mixed, -1 sad."""
        return MOODS[self.plan.ending]


def sample_story(
    grammar: StoryGrammar, chance: random.Random, *, lengths: Mapping[int, float] = LENGTHS, header: bool = True
) -> Story:
    """Make up one story of as many sentences as the prompt asks for."""
    plan = sample_plan(grammar, chance, lengths=lengths)
    opening = _choose(_openings(grammar, plan), chance)
    task = _header(grammar, plan, chance) + " " if header else ""
    told = _Telling(grammar, plan, chance, windy="weather" in opening.slots)
    response = " ".join(told.sentence(stage) for stage in _stages(grammar, plan, chance))
    return Story(task + grammar.fill(opening, plan.bound, chance), response, plan)


def sample_plan(grammar: StoryGrammar, chance: random.Random, *, lengths: Mapping[int, float]) -> Plan:
    """Choose hero, want, ending and length, and the words that stay the same."""
    hero = chance.choice(grammar.heroes)
    want = chance.choice(sorted(grammar.wants))
    bound = {slot: chance.choice(grammar.slots[slot]) for slot in CAST}
    bound |= grammar.pronouns[hero.pronoun] | {"Name": hero.name}
    if hero.species:
        bound["species"] = hero.species
    if grammar.wants[want]:
        bound[grammar.wants[want]] = chance.choice(grammar.slots[grammar.wants[want]])
    bound |= _helper(grammar, chance)
    ending = _draw(grammar.endings, chance)
    return Plan(hero, want, ending, _draw(lengths, chance), bound)


class _Telling:
    """The sentences told so far: no pattern comes twice, and nobody is called known before having come."""

    def __init__(self, grammar: StoryGrammar, plan: Plan, chance: random.Random, *, windy: bool) -> None:
        self.grammar, self.plan, self.chance, self.windy = grammar, plan, chance, windy
        self.told: set[int] = set()
        self.met = "family" in plan.bound

    def sentence(self, stage: str) -> str:
        """Write one sentence of a stage."""
        pattern = _choose([one for one in self.grammar.sentences if self._fits(one, stage)], self.chance)
        self.told.add(pattern.line)
        self.met |= "kind" in pattern.slots
        return self.grammar.fill(pattern, self.plan.bound, self.chance)

    def _fits(self, pattern: Pattern, stage: str) -> bool:
        """Tell whether a pattern can come next."""
        return (
            pattern.stage == stage
            and pattern.want in {"", self.plan.want}
            and pattern.ending in {"", self.plan.ending}
            and pattern.line not in self.told
            and pattern.slots & PERSONAL <= self.plan.bound.keys()
            and (self.met or not pattern.slots & {"known", "family"} or stage == "help")
            and not (self.windy and "weather" in pattern.slots)
        )


def _stages(grammar: StoryGrammar, plan: Plan, chance: random.Random) -> list[str]:
    """Choose the stage of each sentence: some of the arc in its order, then the end."""
    at_once = plan.sentences == 1 or chance.random() < FINISH_AT_ONCE
    end = ["finish"] if at_once else ["resolution", "closing"]
    return _middle(grammar, plan.sentences - len(end), chance) + end


def _middle(grammar: StoryGrammar, count: int, chance: random.Random) -> list[str]:
    """Choose `count` stages of the arc, the weightier the likelier; nobody stands together before help."""
    stages = [step["stage"] for step in grammar.arc]
    order = sorted(range(len(stages)), key=lambda place: chance.random() ** (1 / grammar.arc[place]["weight"]))
    chosen = set(order[len(order) - count :])
    helped, together = stages.index("help"), stages.index("together")
    if together in chosen and helped not in chosen:
        chosen = chosen - {together} | {helped}
    return [stages[place] for place in sorted(chosen)]


def _openings(grammar: StoryGrammar, plan: Plan) -> list[Pattern]:
    """Return the openings of the want; animals are introduced with what they are."""
    return [
        one for one in grammar.openings if one.want == plan.want and ("species" in one.slots) == bool(plan.hero.species)
    ]


def _header(grammar: StoryGrammar, plan: Plan, chance: random.Random) -> str:
    """Write the task: `Finish in 3 sentences :`."""
    number = "sentence" if plan.sentences == 1 else "sentences"
    pattern = next(one for one in grammar.headers if number in one.items)
    return grammar.fill(pattern, {"count": str(plan.sentences)}, chance)


def _helper(grammar: StoryGrammar, chance: random.Random) -> dict[str, str]:
    """Choose who helps: somebody of the family, or a stranger who is known once met."""
    if chance.random() < FAMILY:
        return {"family": chance.choice(grammar.slots["family"])}
    kind = chance.choice(grammar.slots["kind"])
    return {"kind": kind, "known": kind, "trait": chance.choice(grammar.slots["trait"])}


def _choose(patterns: Sequence[Pattern], chance: random.Random) -> Pattern:
    """Choose a line of the grammar evenly, then one of its forms."""
    line = chance.choice(sorted({pattern.line for pattern in patterns}))
    return chance.choice([pattern for pattern in patterns if pattern.line == line])


def _draw(weights: Mapping[Kind, float], chance: random.Random) -> Kind:
    """Draw a key in proportion to its weight."""
    return chance.choices(list(weights), weights=list(weights.values()))[0]
