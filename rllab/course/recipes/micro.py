"""The recipe of the micro world: grammar -> transformer -> table, critics, pairs and reward model."""

from __future__ import annotations

import copy
import itertools
import json
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from rllab.core.files import data_dir, replaced_folder, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.course.recipes.models import fit_critic, save_reward_model, word_tokenizer
from rllab.policy.generation import generate, sequences_from_ids
from rllab.policy.networks import action_logits
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM, TabularForSequenceClassification
from rllab.preferences.pairs import save_pairs
from rllab.preferences.selection import label_pairs
from rllab.preferences.training import fit_reward_model
from rllab.reward.judges import micro_gold
from rllab.value.critic import Critic
from rllab.worlds.shipped import MICRO_DEFAULTS
from rllab.worlds.world import World

STEPS, ROWS, LEARNING_RATE = 400, 256, 3e-3
CRITIC_UPDATES = 60
PAIRS, EPOCHS = 4000, 6
JUDGES = {"ada": (0.25, 0.0), "bo": (0.35, 0.02), "cleo": (0.6, 0.04)}  # name -> noise, length bias per token


def build_micro(*, seed: int = 0, job: Job = NO_JOB, folder: Path | None = None) -> Path:
    """Make the models of `micro` and `micro-tabular` from the grammar, and return their folder."""
    torch.manual_seed(seed)
    grammar = json.loads((data_dir() / "micro" / "grammar.json").read_text("utf-8"))
    target = folder or data_dir() / "models" / "micro"
    with replaced_folder(target) as fresh:
        world = _with_policy(fresh, grammar, seed=seed, job=job)
        pairs = label_pairs(world, JUDGES, count=PAIRS, seed=seed, job=job)
        fit = fit_reward_model(world, pairs, seed=seed)
        fit.run(EPOCHS * fit.updates_per_epoch, job=job)
        save_reward_model(fit.reward, fresh / "reward")
        ready = world.replace(reward=fit.reward)
        critic = fit_critic(ready, updates=CRITIC_UPDATES, seed=seed, job=job)
        critic.model.save_pretrained(fresh / "critic")
        write_cards(fresh, world, held_out=fit.evaluate())
    save_pairs((data_dir() / "micro" if folder is None else folder) / "preferences.jsonl", pairs)
    return target


def _with_policy(fresh: Path, grammar: dict[str, Any], *, seed: int, job: Job) -> World:
    """Make and save the transformer and the table, and return a world around the transformer."""
    tokenizer = word_tokenizer(grammar["vocabulary"])
    model = pretrain(grammar, tokenizer, seed=seed, job=job)
    policy = Policy(model, tokenizer)
    model.save_pretrained(fresh / "policy")
    tokenizer.save_pretrained(fresh / "policy")
    table(policy, grammar).save_pretrained(fresh / "tabular-policy")
    tabular_critic = TabularForSequenceClassification(_table_config(policy, grammar)).double()
    tabular_critic.save_pretrained(fresh / "tabular-critic")
    judge = micro_gold(policy.decode)
    return World.starting_from(
        policy,
        name="micro",
        critic=Critic.beside(policy.model, GPT2ForSequenceClassification(_one_label(model.config)).double()),
        reward=judge,
        gold=judge,
        prompts=tuple(grammar["prompts"]),
        max_new_tokens=grammar["horizon"],
        defaults=MICRO_DEFAULTS,
        about="being built",
    )


def write_cards(target: Path, world: World, *, held_out: dict[str, float]) -> None:
    """Say beside the models what they are, how they came about and what they do."""
    sequences = generate(world.policy, world.prompts, max_new_tokens=world.max_new_tokens, samples_per_prompt=4, seed=0)
    samples = [f"{prompt} | {text}" for prompt, text in zip(sequences.prompts, sequences.responses, strict=True)]
    loss = ", ".join(f"{name} {value:.3f}" for name, value in held_out.items())
    card = CARD.format(
        steps=STEPS,
        rows=ROWS,
        critic=CRITIC_UPDATES,
        pairs=PAIRS,
        epochs=EPOCHS,
        held_out=loss,
        samples="\n".join(samples),
    )
    write_atomically(target / "README.md", card)


CARD = """# Models of the micro world

Made by `python -m rllab build micro` from `data/micro/grammar.json`. Licence: Apache-2.0, like the rest.

- `policy`: a GPT-2 type transformer in float64, fitted to sentences of the grammar for {steps} steps of {rows} rows.
- `tabular-policy`: the same distribution written into a table, one row of logits per state.
- `critic`: a trunk of its own, started as the policy's, fitted to {critic} batches of the policy's returns;
  `tabular-critic`: V = 0 everywhere.
- `reward`: fitted by Bradley-Terry to {pairs} pairs labelled by three noisy judges, two of whom like length,
  for {epochs} epochs. On held-out pairs: {held_out}. `unit.json` holds its zero and unit: mean and standard
  deviation over responses of the policy.

Samples of the policy (prompt | response):

```
{samples}
```
"""


def pretrain(grammar: dict[str, Any], tokenizer: PreTrainedTokenizerFast, *, seed: int, job: Job) -> GPT2LMHeadModel:
    """Fit a transformer to sentences of the grammar, by the mean negative log-prob of response tokens."""
    model = GPT2LMHeadModel(_transformer(tokenizer, grammar)).double()
    policy, chance = Policy(model, tokenizer), random.Random(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        job.check()
        prompts, rows = zip(*[_sentence(grammar, tokenizer, chance) for _ in range(ROWS)], strict=True)
        loss = _token_loss(model, sequences_from_ids(policy, prompts, rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        job.report(step + 1, STEPS, f"pre-training, loss {float(loss.detach()):.3f} nats per token")
    return model


def _token_loss(model: GPT2LMHeadModel, sequences: Sequences) -> Tensor:
    """Return the mean negative log-prob of the response tokens, in nats."""
    mask = sequences.response_mask
    return torch.nn.functional.cross_entropy(action_logits(model, sequences)[mask], sequences.response_tokens[mask])


def table(policy: Policy, grammar: dict[str, Any]) -> TabularForCausalLM:
    """Write the transformer's log-probs of every state into a table: the same policy, without sharing."""
    model = TabularForCausalLM(_table_config(policy, grammar)).double()
    vocabulary, horizon = len(grammar["vocabulary"]), grammar["horizon"]
    prefixes = [list(ids) for size in range(horizon) for ids in itertools.product(range(vocabulary), repeat=size)]
    rows = [[*prefix, policy.eos_id] for prefix in prefixes]  # the added token is what the state chooses
    with torch.no_grad():
        for number, prompt in enumerate(grammar["prompts"]):
            sequences = sequences_from_ids(policy, [prompt] * len(rows), rows)
            logits = torch.log_softmax(action_logits(policy.model, sequences), dim=-1)
            last = sequences.lengths[:, None, None].expand(-1, 1, vocabulary) - 1
            start = 1 + number * model.config.states_per_prompt
            model.table.rows.weight[start : start + len(rows)] = logits.gather(1, last)[:, 0]
    return model


def _transformer(tokenizer: PreTrainedTokenizerFast, grammar: dict[str, Any]) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(grammar["vocabulary"]),
        n_positions=8,
        n_embd=32,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _one_label(config: GPT2Config) -> GPT2Config:
    """Return the same shape for a network that says one number."""
    twin = copy.deepcopy(config)
    twin.num_labels = 1
    return twin


def _table_config(policy: Policy, grammar: dict[str, Any]) -> TabularConfig:
    return TabularConfig(
        vocab_size=len(grammar["vocabulary"]),
        horizon=grammar["horizon"],
        prompts=[policy.encode(prompt) for prompt in grammar["prompts"]],
        width=len(grammar["vocabulary"]),
        eos_token_id=policy.eos_id,
        pad_token_id=policy.pad_id,
        num_labels=1,
    )


def _sentence(
    grammar: dict[str, Any], tokenizer: PreTrainedTokenizerFast, chance: random.Random
) -> tuple[str, list[int]]:
    """Walk through the grammar, or at times choose any word at all, until the end or the horizon."""
    prompt = chance.choice(list(grammar["prompts"]))
    state: str = grammar["prompts"][prompt]
    ids: list[int] = []
    words = tokenizer.get_vocab()
    while state and len(ids) < grammar["horizon"]:
        moves = grammar["states"][state]
        word, state, _ = chance.choices(moves, weights=[weight for *_, weight in moves])[0]
        if chance.random() < grammar["uniform"]:
            word = chance.choice(grammar["vocabulary"])
            state = "" if word == tokenizer.eos_token else state
        ids.append(words[word])
        state = "" if word == tokenizer.eos_token else state or "after"
    return prompt, ids
