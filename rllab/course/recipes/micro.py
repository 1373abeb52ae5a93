"""The recipe of the micro world: grammar -> transformer -> table, critics, pairs and reward model."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rllab.core.files import data_dir, replaced_folder, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.course.recipes.models import fit_and_save, new_transformer, new_world, word_tokenizer
from rllab.policy.generation import generate, sequences_from_ids
from rllab.policy.networks import action_logits
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM, TabularForSequenceClassification
from rllab.preferences.pairs import save_pairs
from rllab.preferences.selection import label_pairs
from rllab.reward.judges import micro_gold
from rllab.worlds.shipped import MICRO_DEFAULTS

STEPS, ROWS, LEARNING_RATE = 400, 256, 3e-3
CRITIC_UPDATES = 60
PAIRS, EPOCHS = 4000, 6
JUDGES = {"ada": (0.25, 0.0), "bo": (0.35, 0.02), "cleo": (0.6, 0.04)}  # name -> noise, length bias per token


def build_micro(*, seed: int = 0, job: Job = NO_JOB, folder: Path | None = None) -> Path:
    """Build the models of `micro` and `micro-tabular` from the grammar, and their pairs.

    Args:
        seed: Of everything that is random.
        job: Stops the build, which then leaves nothing behind, and receives the progress.
        folder: Where to put models and pairs; by default the shipped data.

    Returns:
        The models' folder.
    """
    torch.manual_seed(seed)
    grammar = json.loads((data_dir() / "micro" / "grammar.json").read_text("utf-8"))
    target = folder or data_dir() / "models" / "micro"
    with replaced_folder(target) as fresh:
        tokenizer = word_tokenizer(grammar["vocabulary"])
        policy = Policy(_pretrained(grammar, tokenizer, seed=seed, job=job), tokenizer)
        policy.model.save_pretrained(fresh / "policy")
        tokenizer.save_pretrained(fresh / "policy")
        _save_tables(fresh, policy, grammar)
        world = new_world(
            policy,
            micro_gold(policy.decode),
            name="micro",
            prompts=tuple(grammar["prompts"]),
            max_new_tokens=grammar["horizon"],
            defaults=MICRO_DEFAULTS,
        )
        pairs = label_pairs(world, JUDGES, count=PAIRS, seed=seed, job=job)
        fit = fit_and_save(world, pairs, fresh, epochs=EPOCHS, critic_updates=CRITIC_UPDATES, seed=seed, job=job)
        rows = generate(policy, world.prompts, max_new_tokens=world.max_new_tokens, samples_per_prompt=4, seed=0)
        samples = zip(rows.prompts, rows.responses, strict=True)
        card = CARD.format(
            steps=STEPS,
            rows=ROWS,
            critic=CRITIC_UPDATES,
            pairs=PAIRS,
            epochs=EPOCHS,
            held_out=", ".join(f"{name} {value:.3f}" for name, value in fit.evaluate().items()),
            samples="\n".join(f"{prompt} | {text}" for prompt, text in samples),
        )
        write_atomically(fresh / "README.md", card)
    save_pairs((data_dir() / "micro" if folder is None else folder) / "preferences.jsonl", pairs)
    return target


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


def _pretrained(grammar: dict[str, Any], tokenizer: PreTrainedTokenizerFast, *, seed: int, job: Job) -> GPT2LMHeadModel:
    """Return a transformer fitted to sentences of the grammar, by the mean negative log-prob of response tokens."""
    model = new_transformer(tokenizer, positions=8, width=32, layers=2, heads=2).double()
    policy, generator = Policy(model, tokenizer), random.Random(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        job.check()
        prompts, ids = zip(*[_sentence(grammar, tokenizer, generator) for _ in range(ROWS)], strict=True)
        rows = sequences_from_ids(policy, prompts, ids)
        logits, mask = action_logits(model, rows), rows.response_mask
        loss = torch.nn.functional.cross_entropy(logits[mask], rows.response_tokens[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        job.report(step + 1, STEPS, f"pre-training, loss {float(loss.detach()):.3f} nats per token")
    return model


def _sentence(
    grammar: dict[str, Any], tokenizer: PreTrainedTokenizerFast, generator: random.Random
) -> tuple[str, list[int]]:
    """Walk through the grammar, at times with any word at all, until the end or the horizon; return prompt and ids."""
    prompt = generator.choice(list(grammar["prompts"]))
    state: str = grammar["prompts"][prompt]
    ids: list[int] = []
    words = tokenizer.get_vocab()
    while state and len(ids) < grammar["horizon"]:
        moves = grammar["states"][state]
        word, state, _ = generator.choices(moves, weights=[weight for *_, weight in moves])[0]
        if generator.random() < grammar["uniform"]:
            word = generator.choice(grammar["vocabulary"])
            state = "" if word == tokenizer.eos_token else state
        ids.append(words[word])
        state = "" if word == tokenizer.eos_token else state or "after"
    return prompt, ids


def _save_tables(folder: Path, policy: Policy, grammar: dict[str, Any]) -> None:
    """Save the transformer's log-probs of every state as a table: the same policy, without sharing; and V = 0."""
    vocabulary, horizon = len(grammar["vocabulary"]), grammar["horizon"]
    config = TabularConfig(
        vocab_size=vocabulary,
        horizon=horizon,
        prompts=[policy.encode(prompt) for prompt in grammar["prompts"]],
        width=vocabulary,
        eos_token_id=policy.eos_id,
        pad_token_id=policy.pad_id,
        num_labels=1,
    )
    model = TabularForCausalLM(config).double()
    prefixes = [list(ids) for size in range(horizon) for ids in itertools.product(range(vocabulary), repeat=size)]
    rows = [[*prefix, policy.eos_id] for prefix in prefixes]  # the added token is what the state chooses
    with torch.no_grad():
        for number, prompt in enumerate(grammar["prompts"]):
            sequences = sequences_from_ids(policy, [prompt] * len(rows), rows)
            logits = torch.log_softmax(action_logits(policy.model, sequences), dim=-1)
            last = sequences.lengths[:, None, None].expand(-1, 1, vocabulary) - 1
            start = 1 + number * config.states_per_prompt
            model.table.rows.weight[start : start + len(rows)] = logits.gather(1, last)[:, 0]
    model.save_pretrained(folder / "tabular-policy")
    TabularForSequenceClassification(config).double().save_pretrained(folder / "tabular-critic")
