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
from transformers import GPT2Config, GPT2LMHeadModel

from rllab.core.errors import LabError
from rllab.core.files import data_dir, replaced_folder, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.course.recipes.models import (
    Schedule,
    Text,
    fit_critic,
    held_out_loss,
    pretrain,
    save_reward_model,
    word_tokenizer,
)
from rllab.policy.generation import generate
from rllab.policy.policy import Policy
from rllab.preferences.pairs import Pair, save_pairs
from rllab.preferences.selection import label_pairs
from rllab.preferences.training import FitConfig, RewardFit, fit_reward_model, scalar_model
from rllab.reward.stories import Hero, Pattern, StoryGrammar, sentences_of, story_grammar, tales_gold
from rllab.trainer.stages import derived_seed
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds.shipped import ABOUT, MAX_NEW_TOKENS, TALES_DEFAULTS
from rllab.worlds.world import World

# ---- Children's stories from the grammar: first a plan (who, what, how it ends), then sentences that tell ----

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
        opening
        for opening in grammar.openings
        if opening.want == plan.want and ("species" in opening.slots) == bool(plan.hero.species)
    ]


def _header(grammar: StoryGrammar, plan: Plan, chance: random.Random) -> str:
    """Write the task: `Finish in 3 sentences :`."""
    number = "sentence" if plan.sentences == 1 else "sentences"
    pattern = next(header for header in grammar.headers if number in header.items)
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


# ---- How well a story policy writes: what is measured of its texts, and the card that goes with the model ----


@dataclass(frozen=True)
class Quality:
    """What a set of responses is like, as shares and means."""

    parseable: float  # share of sentences, unfinished ones counted as wrong
    ended: float  # share of responses
    distinct: float  # share of responses
    length: float  # tokens, the end token included
    gold: float
    gold_sd: float


def write_stories(world: World, *, count: int, seed: int) -> Sequences:
    """Let the world's policy answer its prompts in turn."""
    prompts = [world.prompts[number % len(world.prompts)] for number in range(count)]
    return generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed)


def quality(world: World, sequences: Sequences, grammar: StoryGrammar) -> Quality:
    """Measure responses."""
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


def card(world: World, grammar: StoryGrammar, *, facts: Mapping[str, Any]) -> str:
    """Write the card of the models: how made, how good, and ten samples on prompts that were held out."""
    sequences = write_stories(world, count=256, seed=0)
    found = quality(world, sequences, grammar)
    pairs = zip(sequences.prompts[:10], sequences.responses[:10], strict=True)
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in world.policy.model.parameters()),
        samples="\n".join(f"{prompt} | {response}" for prompt, response in pairs),
        found=found,
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


# ---- The recipe of the story world: grammar -> stories -> transformer -> pairs -> reward model -> critic ----

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
    """Make data and models of the story world from its grammar, and return the models' folder.

    With one thread, as here, the same machine and versions, the same seed makes the same bytes.
    """
    size, grammar, data = recipe or Recipe(), story_grammar(), folder or data_dir()
    target, splits = data / "models" / "tales", prompt_splits(grammar, size, seed=seed)
    with _one_thread(), replaced_folder(target) as fresh:
        torch.manual_seed(seed)
        policy = new_policy(grammar, size)
        texts = corpus(grammar, size, seed=seed)
        pretrain(policy, texts, schedule=size.schedule, seed=seed, job=job)
        policy.model.save_pretrained(fresh / "policy")
        policy.tokenizer.save_pretrained(fresh / "policy")
        world = unrewarded(policy, splits["train"])
        asked = _with_many_prompts(world, grammar, size, seed=seed)
        pairs = label_pairs(asked, JUDGES, count=size.pairs, seed=seed, job=job)
        fit = fit_reward_model(world, pairs, config=size.fit, seed=seed)
        fit.run(size.fit_epochs * fit.updates_per_epoch, job=job)
        reward = fit.reward
        save_reward_model(reward, fresh / "reward")
        ready = world.replace(reward=reward)
        critic = fit_critic(ready, updates=size.critic_updates, seed=seed, job=job)
        critic.model.save_pretrained(fresh / "critic")
        facts = _facts(size, fit, policy, grammar, seed=seed)
        write_atomically(fresh / "README.md", card(world.replace(prompts=splits["held-out"]), grammar, facts=facts))
    write_texts(data / "tales", grammar, size, splits, pairs, seed=seed)
    return target


def prompt_splits(grammar: StoryGrammar, size: Recipe, *, seed: int) -> dict[str, tuple[str, ...]]:
    """Make up the prompts that ship: those that runs draw from, and as many that no run sees."""
    drawn = _stories(grammar, 4 * size.prompts, seed=seed, purpose="prompts", lengths=PROMPT_LENGTHS)
    texts = list(dict.fromkeys([*FIRST_PROMPTS, *(story.prompt for story in drawn)]))
    return {"train": tuple(texts[: size.prompts]), "held-out": tuple(texts[size.prompts : 2 * size.prompts])}


def write_texts(
    folder: Path,
    grammar: StoryGrammar,
    size: Recipe,
    splits: Mapping[str, Sequence[str]],
    pairs: Sequence[Pair],
    *,
    seed: int,
) -> None:
    """Write prompts, demonstrations and preferences as JSON lines."""
    stories = _stories(grammar, size.demonstrations, seed=seed, purpose="demonstrations")
    _save_lines(folder / "demonstrations.jsonl", [_demonstration(story) for story in stories])
    rows = [{"prompt": text, "split": split} for split, texts in splits.items() for text in texts]
    _save_lines(folder / "prompts.jsonl", rows)
    save_pairs(folder / "preferences.jsonl", pairs)


def corpus(grammar: StoryGrammar, size: Recipe, *, seed: int) -> list[Text]:
    """Make up the stories to learn from; some have no task and are learned from their first word on."""
    chance = random.Random(derived_seed(seed, "corpus"))
    texts = []
    for _ in range(size.stories):
        asked = chance.random() >= UNASKED
        story = sample_story(grammar, chance, header=asked)
        first, rest = story.prompt.split(" ", 1)
        texts.append(Text(story.prompt, story.response) if asked else Text(first, f"{rest} {story.response}"))
    return texts


def new_policy(grammar: StoryGrammar, size: Recipe) -> Policy:
    """Make an untrained transformer over the words of the grammar."""
    tokenizer = word_tokenizer([EOS, *grammar.vocabulary], eos=EOS)
    config = GPT2Config(
        vocab_size=len(grammar.vocabulary) + 1,
        n_positions=size.positions,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=size.spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Policy(GPT2LMHeadModel(config), tokenizer)


def unrewarded(policy: Policy, prompts: Sequence[str]) -> World:
    """Return a world around a policy whose reward is, for now, the judge itself."""
    judge = tales_gold(policy.decode)
    unfitted = World.starting_from(
        policy,
        name="tales",
        critic=ZeroCritic(),
        reward=judge,
        gold=judge,
        prompts=prompts,
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=TALES_DEFAULTS,
        about=ABOUT,
    )
    return unfitted.replace(critic=Critic(scalar_model(unfitted)))


def _with_many_prompts(world: World, grammar: StoryGrammar, size: Recipe, *, seed: int) -> World:
    """Return the world with a prompt of its own for every pair: more people and wants to learn from."""
    stories = _stories(grammar, size.pairs, seed=seed, purpose="pair prompts", lengths=PROMPT_LENGTHS)
    return world.replace(prompts=tuple(story.prompt for story in stories))


def _stories(
    grammar: StoryGrammar, count: int, *, seed: int, purpose: str, lengths: Mapping[int, float] = LENGTHS
) -> list[Story]:
    """Make up stories from a seed of their own for each purpose, so that none was learned from."""
    chance = random.Random(derived_seed(seed, purpose))
    return [sample_story(grammar, chance, lengths=lengths) for _ in range(count)]


def _demonstration(story: Story) -> dict[str, Any]:
    """Return one row of the demonstrations, in TRL's prompt-completion format with two columns more."""
    return {
        "prompt": story.prompt,
        "completion": story.response,
        "ending": story.plan.ending,
        "sentences": story.plan.sentences,
    }


def _save_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, all or nothing."""
    write_atomically(path, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")


def _facts(size: Recipe, fit: RewardFit, policy: Policy, grammar: StoryGrammar, *, seed: int) -> dict[str, Any]:
    """Gather what the card says of the making."""
    stories = _stories(grammar, min(500, size.stories), seed=seed, purpose="held-out texts")
    measured = fit.evaluate()
    return {
        "stories": size.stories,
        "loss": held_out_loss(policy, [Text(story.prompt, story.response) for story in stories]),
        "pairs": len(fit.pairs) + len(fit.held_out),
        "epochs": size.fit_epochs,
        "critic": size.critic_updates,
        "pair_loss": measured["loss"],
        "pair_accuracy": measured["accuracy"],
    }


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums over several would come out in another order each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
