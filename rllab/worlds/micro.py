"""The micro world: eight words, five tokens, three prompts; small enough to know everything exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import rllab.policy.tabular  # noqa: F401  (registers the tabular models with transformers)
from rllab.core.files import check_manifest, data_dir
from rllab.policy.loading import load_network
from rllab.policy.policy import Policy
from rllab.reward.judges.micro import micro_gold
from rllab.reward.reward import RewardModel
from rllab.value.critic import Critic
from rllab.worlds.world import World

MICRO_REBUILD = "python -m rllab build micro"
MICRO_DEFAULTS: dict[str, dict[str, Any]] = {
    "all": {
        "reducer": "seq-mean-token-sum",
        "lr": 3e-3,
        "critic_lr": 1e-2,
        "kl_coef": 0.1,
        "batch_size": 64,
        "micro_batch_size": 64,
        "value_clip_eps": None,
    },
    # At 3e-3 one run in four ends in a rut: several epochs on a batch carry a small policy further than one step.
    "ppo": {"lr": 1.5e-3},
    "grpo": {"reducer": "seq-mean-token-sum"},
}
# A table learns a state only when a text passes through it, so it needs many texts and long steps. Adam divides by
# the root of what a row has seen; without a floor that is felt (adam_eps), the first visit of a rare state would
# throw it out by 30 times the learning rate. lam 1: a critic that knows only visited states is no one to lean on.
TABULAR: dict[str, dict[str, Any]] = {
    "all": {
        **MICRO_DEFAULTS["all"],
        "lr": 0.1,
        "critic_lr": 0.3,
        "adam_eps": 1e-4,
        "lam": 1.0,
        "whiten": False,
        "batch_size": 512,
        "micro_batch_size": 512,
    },
    "reinforce": {"whiten": True},  # without a baseline of its own the level of the reward would drown the rest
    "ppo": {"epochs": 2},
    "rloo": {"samples_per_prompt": 64},
    "grpo": {**MICRO_DEFAULTS["grpo"], "samples_per_prompt": 64},
}


def load_micro(*, device: str) -> World:
    """Load the micro world with its very small transformer."""
    return _load("micro", "policy", "critic", MICRO_DEFAULTS, device=device)


def load_micro_tabular(*, device: str) -> World:
    """Load the same world with a table in place of the transformer: one free row per state."""
    return _load("micro-tabular", "tabular-policy", "tabular-critic", TABULAR, device=device)


def micro_prompts() -> tuple[str, ...]:
    """Return the prompts of the grammar."""
    grammar = json.loads((data_dir() / "micro" / "grammar.json").read_text("utf-8"))
    return tuple(grammar["prompts"])


def _load(
    name: str, policy_folder: str, critic_folder: str, defaults: Mapping[str, Mapping[str, Any]], *, device: str
) -> World:
    folder = data_dir() / "models" / "micro"
    check_manifest(folder, rebuild=MICRO_REBUILD)
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    model = load_network(AutoModelForCausalLM, folder / policy_folder, dtype=torch.float64, device=device)
    policy = Policy(model, tokenizer)
    reward = load_reward_model("reward model", folder / "reward", dtype=torch.float64, device=device)
    scalar = AutoModelForSequenceClassification
    critic = load_network(scalar, folder / critic_folder, dtype=torch.float64, device=device)
    return World.starting_from(
        policy,
        name=name,
        critic=Critic(critic),
        reward=reward,
        gold=micro_gold(policy.decode),
        prompts=micro_prompts(),
        max_new_tokens=5,
        defaults=defaults,
        about="eight words, at most five tokens, every value known exactly; `not` turns the next mood word round",
    )


def load_reward_model(name: str, folder: Path, *, dtype: torch.dtype, device: str) -> RewardModel:
    """Load a reward model with its zero and unit."""
    model = load_network(AutoModelForSequenceClassification, folder, dtype=dtype, device=device)
    unit = json.loads((folder / "unit.json").read_text("utf-8"))
    return RewardModel(name, model, shift=float(unit["shift"]), scale=float(unit["scale"]))
