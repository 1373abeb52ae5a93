"""The recipe of the story world: grammar -> stories -> transformer -> pairs -> reward model -> critic."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from rllab.core.errors import LabError
from rllab.core.files import data_dir, replaced_folder, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.course.recipes.models import (
    Schedule,
    Text,
    fit_and_save,
    held_out_loss,
    new_transformer,
    new_world,
    pretrain,
    word_tokenizer,
)
from rllab.policy.generation import generate
from rllab.policy.policy import Policy
from rllab.preferences.pairs import save_pairs
from rllab.preferences.reward_fit import FitConfig
from rllab.preferences.selection import label_pairs
from rllab.reward.stories import Hero, Pattern, StoryGrammar, sentences_of, story_grammar, tales_gold
from rllab.trainer.stages import derived_seed
from rllab.worlds.shipped import MAX_NEW_TOKENS, TALES_DEFAULTS
from rllab.worlds.world import World

EOS = "<eos>"
JUDGES = {"ada": (0.3, 0.0), "bo": (0.6, 0.02), "cleo": (1.0, 0.04)}  # name -> noise, length bias per token
PROMPT_LENGTHS: Mapping[int, float] = {4: 1.0, 5: 1.0, 6: 1.0}  # sentences that the shipped prompts ask for
UNASKED = 0.08  # share of the stories without a task, learned from their first word on
FIRST_PROMPTS = (
    "Finish in 4 sentences : Mia lost her red kite .",
    "Finish in 5 sentences : Bruno the bear could not sleep .",
    "Finish in 4 sentences : Leo was afraid of the dark .",
)


@dataclass(frozen=True)
class Recipe:
    """How much of everything; tests build with less."""

    stories: int = 48_000
    width: int = 96
    layers: int = 3
    heads: int = 2
    positions: int = 512
    spread: float = 0.08  # of the initial weights: about 1 / sqrt(width)
    schedule: Schedule = field(default_factory=Schedule)
    prompts: int = 256  # of each split
    demonstrations: int = 1000
    pairs: int = 8000
    fit: FitConfig = field(default_factory=lambda: FitConfig(lr=5e-4))
    fit_epochs: int = 3
    critic_updates: int = 5


def build_tales(*, seed: int = 0, job: Job = NO_JOB, folder: Path | None = None, recipe: Recipe | None = None) -> Path:
    """Build data and models of the story world from its grammar.

    It computes with one thread, so on one machine with the same versions the same seed gives the same bytes.

    Args:
        seed: Of everything that is random.
        job: Stops the build, which then leaves nothing behind, and receives the progress.
        folder: Where to put data and models; by default the shipped data.
        recipe: How much of everything.

    Returns:
        The models' folder.
    """
    size, grammar, data = recipe or Recipe(), story_grammar(), folder or data_dir()
    target, splits = data / "models" / "tales", _prompt_splits(grammar, size, seed=seed)
    with _one_thread(), replaced_folder(target) as fresh:
        torch.manual_seed(seed)
        policy = new_policy(grammar, size)
        pretrain(policy, corpus(grammar, size, seed=seed), schedule=size.schedule, seed=seed, job=job)
        policy.model.save_pretrained(fresh / "policy")
        policy.tokenizer.save_pretrained(fresh / "policy")
        world = new_world(
            policy,
            tales_gold(policy.decode),
            name="tales",
            prompts=splits["train"],
            max_new_tokens=MAX_NEW_TOKENS,
            defaults=TALES_DEFAULTS,
        )
        # A prompt of its own for every pair: more people and wants to learn from.
        asked = _stories(grammar, size.pairs, seed=seed, purpose="pair prompts", lengths=PROMPT_LENGTHS)
        asking = world.replace(prompts=tuple(story.prompt for story in asked))
        pairs = label_pairs(asking, JUDGES, count=size.pairs, seed=seed, job=job)
        fit = fit_and_save(
            world,
            pairs,
            fresh,
            config=size.fit,
            epochs=size.fit_epochs,
            critic_updates=size.critic_updates,
            seed=seed,
            job=job,
        )
        unseen = _stories(grammar, min(500, size.stories), seed=seed, purpose="held-out texts")
        facts = {
            "loss": held_out_loss(policy, [Text(story.prompt, story.response) for story in unseen]),
            "pairs": len(fit.pairs) + len(fit.held_out),
            **{f"pair_{name}": value for name, value in fit.evaluate().items()},
        }
        card = _card(world.replace(prompts=splits["held-out"]), grammar, size, facts=facts)
        write_atomically(fresh / "README.md", card)
    _save_texts(data / "tales", grammar, size, splits, seed=seed)
    save_pairs(data / "tales" / "preferences.jsonl", pairs)
    return target


def corpus(grammar: StoryGrammar, size: Recipe, *, seed: int) -> list[Text]:
    """Return the stories to learn from; some have no task and are learned from their first word on.

    Args:
        grammar: The grammar of the stories.
        size: How many.
        seed: Of the stories.
    """
    generator = random.Random(derived_seed(seed, "corpus"))
    texts = []
    for _ in range(size.stories):
        asked = generator.random() >= UNASKED
        story = sample_story(grammar, generator, header=asked)
        first, rest = story.prompt.split(" ", 1)
        texts.append(Text(story.prompt, story.response) if asked else Text(first, f"{rest} {story.response}"))
    return texts


def new_policy(grammar: StoryGrammar, size: Recipe) -> Policy:
    """Return an untrained transformer over the words of the grammar.

    Args:
        grammar: The grammar.
        size: Of the transformer.
    """
    tokenizer = word_tokenizer([EOS, *grammar.vocabulary], eos=EOS)
    model = new_transformer(
        tokenizer,
        positions=size.positions,
        width=size.width,
        layers=size.layers,
        heads=size.heads,
        spread=size.spread,
    )
    return Policy(model, tokenizer)


def _stories(
    grammar: StoryGrammar, count: int, *, seed: int, purpose: str, lengths: Mapping[int, float] | None = None
) -> list[Story]:
    """Return stories from a seed of their own for each purpose, so that none of them was learned from."""
    generator = random.Random(derived_seed(seed, purpose))
    return [sample_story(grammar, generator, lengths=lengths or LENGTHS) for _ in range(count)]


def _prompt_splits(grammar: StoryGrammar, size: Recipe, *, seed: int) -> dict[str, tuple[str, ...]]:
    """Return the prompts that ship: those that runs draw from, and as many that no run sees."""
    drawn = _stories(grammar, 4 * size.prompts, seed=seed, purpose="prompts", lengths=PROMPT_LENGTHS)
    texts = list(dict.fromkeys([*FIRST_PROMPTS, *(story.prompt for story in drawn)]))
    return {"train": tuple(texts[: size.prompts]), "held-out": tuple(texts[size.prompts : 2 * size.prompts])}


def _save_texts(
    folder: Path, grammar: StoryGrammar, size: Recipe, splits: Mapping[str, Sequence[str]], *, seed: int
) -> None:
    """Save prompts and demonstrations as JSON lines, the latter in TRL's format with two more columns."""
    stories = _stories(grammar, size.demonstrations, seed=seed, purpose="demonstrations")
    files: dict[str, list[dict[str, Any]]] = {
        "demonstrations": [
            {
                "prompt": story.prompt,
                "completion": story.response,
                "ending": story.plan.ending,
                "sentences": story.plan.sentences,
            }
            for story in stories
        ],
        "prompts": [{"prompt": text, "split": split} for split, texts in splits.items() for text in texts],
    }
    for name, rows in files.items():
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        write_atomically(folder / f"{name}.jsonl", "\n".join(lines) + "\n")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums over several would come out in another order each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---- Stories from the grammar: first a plan (who, what, how it ends), then sentences that carry it out ----

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
    grammar: StoryGrammar, generator: random.Random, *, lengths: Mapping[int, float] = LENGTHS, header: bool = True
) -> Story:
    """Return a story with as many sentences as its prompt asks for.

    Args:
        grammar: The grammar of the stories.
        generator: Of the random choices.
        lengths: The weight of each number of sentences.
        header: Whether the prompt begins with the task, such as `Finish in 3 sentences :`.
    """
    plan = _sample_plan(grammar, generator, lengths=lengths)
    animal = bool(plan.hero.species)  # animals are introduced with their species
    openings = [
        opening for opening in grammar.openings if opening.want == plan.want and ("species" in opening.slots) == animal
    ]
    opening = _choose(openings, generator)
    task = ""
    if header:
        number = "sentence" if plan.sentences == 1 else "sentences"
        pattern = next(known for known in grammar.headers if number in known.items)
        task = grammar.fill(pattern, {"count": str(plan.sentences)}, generator) + " "
    response = _sentences(grammar, plan, generator, windy="weather" in opening.slots)
    return Story(task + grammar.fill(opening, plan.bound, generator), " ".join(response), plan)


def _sample_plan(grammar: StoryGrammar, generator: random.Random, *, lengths: Mapping[int, float]) -> Plan:
    """Choose hero, want, helper, ending and length, and the words that stay the same."""
    hero = generator.choice(grammar.heroes)
    want = generator.choice(sorted(grammar.wants))
    bound = {slot: generator.choice(grammar.slots[slot]) for slot in CAST}
    bound |= grammar.pronouns[hero.pronoun] | {"Name": hero.name}
    if hero.species:
        bound["species"] = hero.species
    if grammar.wants[want]:
        bound[grammar.wants[want]] = generator.choice(grammar.slots[grammar.wants[want]])
    if generator.random() < FAMILY:
        bound["family"] = generator.choice(grammar.slots["family"])
    else:  # a stranger, who is known once met
        bound["kind"] = bound["known"] = generator.choice(grammar.slots["kind"])
        bound["trait"] = generator.choice(grammar.slots["trait"])
    ending = _draw(grammar.endings, generator)
    return Plan(hero, want, ending, _draw(lengths, generator), bound)


def _sentences(grammar: StoryGrammar, plan: Plan, generator: random.Random, *, windy: bool) -> list[str]:
    """Return the sentences of a story; no pattern comes twice, and no stranger is called known before being met."""
    used: set[int] = set()
    met = "family" in plan.bound
    sentences = []
    for stage in _stages(grammar, plan, generator):
        fitting = [
            pattern
            for pattern in grammar.sentences
            if pattern.stage == stage
            and pattern.want in {"", plan.want}
            and pattern.ending in {"", plan.ending}
            and pattern.line not in used
            and pattern.slots & PERSONAL <= plan.bound.keys()
            and (met or not pattern.slots & {"known", "family"} or stage == "help")
            and not (windy and "weather" in pattern.slots)
        ]
        pattern = _choose(fitting, generator)
        used.add(pattern.line)
        met |= "kind" in pattern.slots
        sentences.append(grammar.fill(pattern, plan.bound, generator))
    return sentences


def _stages(grammar: StoryGrammar, plan: Plan, generator: random.Random) -> list[str]:
    """Return the stage of each sentence: some of the arc in its order, the heavier more likely, then the end.

    "Together" never comes without "help" before it.
    """
    at_once = plan.sentences == 1 or generator.random() < FINISH_AT_ONCE
    end = ["finish"] if at_once else ["resolution", "closing"]
    stages = [step["stage"] for step in grammar.arc]
    order = sorted(range(len(stages)), key=lambda place: generator.random() ** (1 / grammar.arc[place]["weight"]))
    chosen = set(order[len(order) - (plan.sentences - len(end)) :])
    helped, together = stages.index("help"), stages.index("together")
    if together in chosen and helped not in chosen:
        chosen = chosen - {together} | {helped}
    return [stages[place] for place in sorted(chosen)] + end


def _choose(patterns: Sequence[Pattern], generator: random.Random) -> Pattern:
    """Return a pattern: first a line of the grammar, each equally likely, then one of its forms."""
    line = generator.choice(sorted({pattern.line for pattern in patterns}))
    return generator.choice([pattern for pattern in patterns if pattern.line == line])


def _draw(weights: Mapping[Kind, float], generator: random.Random) -> Kind:
    """Return a key, with probability in proportion to its weight."""
    return generator.choices(list(weights), weights=list(weights.values()))[0]


# ---- How well a story policy writes, and the card of the models ----


@dataclass(frozen=True)
class Quality:
    """Shares and means of a set of responses."""

    parseable: float  # share of sentences, unfinished ones counted as wrong
    ended: float  # share of responses
    distinct: float  # share of responses
    length: float  # tokens, the end token included
    gold: float
    gold_sd: float


def write_stories(world: World, *, count: int, seed: int) -> Sequences:
    """Return responses of the world's policy to its prompts in turn.

    Args:
        world: The world.
        count: The number of responses.
        seed: Of the responses.
    """
    prompts = [world.prompts[row % len(world.prompts)] for row in range(count)]
    return generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed)


def quality(world: World, sequences: Sequences, grammar: StoryGrammar) -> Quality:
    """Measure responses.

    Args:
        world: The world with the gold judge.
        sequences: The responses.
        grammar: The grammar of the stories.

    Raises:
        LabError: If the world has no gold judge.
    """
    if world.gold is None:
        raise LabError("world", world.name, "it has no gold judge, so its texts cannot be measured")
    sentences = [words for response in sequences.responses for words in sentences_of(response.split())]
    gold = world.gold.score(sequences).total.double()
    return Quality(
        parseable=sum(grammar.parse(sentence) is not None for sentence in sentences) / max(1, len(sentences)),
        ended=sequences.ended.double().mean().item(),
        distinct=len(set(sequences.responses)) / len(sequences),
        length=sequences.lengths.double().mean().item(),
        gold=gold.mean().item(),
        gold_sd=gold.std().item(),
    )


def _card(world: World, grammar: StoryGrammar, size: Recipe, *, facts: Mapping[str, Any]) -> str:
    """Return the card of the models: how built, how good, and ten samples on held-out prompts."""
    sequences = write_stories(world, count=256, seed=0)
    pairs = zip(sequences.prompts[:10], sequences.responses[:10], strict=True)
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in world.policy.model.parameters()),
        stories=size.stories,
        epochs=size.fit_epochs,
        critic=size.critic_updates,
        samples="\n".join(f"{prompt} | {response}" for prompt, response in pairs),
        found=quality(world, sequences, grammar),
        **facts,
    )


CARD = """# Models of the story world

Made by `python -m rllab build tales` from `data/tales/grammar.json`. Licence: Apache-2.0, like the rest.

- `policy`: a GPT-2 type transformer with {parameters:,} parameters, float32, pre-trained on {stories:,} stories of
  the grammar, each seen once. Loss on held-out stories: {loss:.3f} nats per response token. On 256 responses to
  held-out prompts {found.parseable:.1%} of the sentences are of the grammar, {found.ended:.1%} of the responses end
  within the limit, {found.distinct:.1%} are distinct, the mean length is {found.length:.1f} tokens, gold is
  {found.gold:.2f} with a standard deviation of {found.gold_sd:.2f}.
- `reward`: the policy's trunk with one number per state, fitted by Bradley-Terry for {epochs} epochs to {pairs:,} pairs
  that three noisy judges labelled, two of whom like length (data/README.md). On held-out pairs: loss
  {pair_loss:.3f} nats, accuracy {pair_accuracy:.1%}. `unit.json` holds its zero and unit: mean and standard
  deviation over responses of the policy.
- `critic`: a trunk of its own, started as the policy's, fitted to {critic} batches of the policy's returns.

Samples of the policy on held-out prompts (prompt | response):

```
{samples}
```
"""
