"""The recipe of the story world: grammar -> stories -> transformer -> pairs -> reward model -> critic."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from rllab.core.files import data_dir, replaced_folder, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.course.recipes.critics import fit_critic
from rllab.course.recipes.labelling import label_pairs, save_reward_model
from rllab.course.recipes.pretraining import Schedule, Text, held_out_loss, pretrain
from rllab.course.recipes.quality import card
from rllab.course.recipes.stories import LENGTHS, Story, sample_story
from rllab.course.recipes.words import word_tokenizer
from rllab.policy.policy import Policy
from rllab.preferences.pairs import Pair, save_pairs
from rllab.preferences.training import FitConfig, RewardFit, fit_reward_model, scalar_model
from rllab.reward.stories import StoryGrammar, story_grammar, tales_gold
from rllab.trainer.stages import derived_seed
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds.shipped import ABOUT, MAX_NEW_TOKENS, TALES_DEFAULTS
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
