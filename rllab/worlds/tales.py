"""The story world: children's stories of one to twelve sentences, and a transformer of 400k parameters."""

from __future__ import annotations

import json
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from rllab.core.files import check_manifest, data_dir
from rllab.policy.loading import load_network
from rllab.policy.policy import Policy
from rllab.reward.judges.tales import tales_gold
from rllab.value.critic import Critic
from rllab.worlds.micro import load_reward_model
from rllab.worlds.world import World

TALES_REBUILD = "python -m rllab build tales"
MAX_NEW_TOKENS = 64
ABOUT = "children's stories; each prompt opens one and says in how many sentences it should end"
TALES_DEFAULTS: dict[str, dict[str, Any]] = {
    "all": {"reducer": "token-mean", "lr": 5e-4, "critic_lr": 1e-3, "kl_coef": 0.05, "batch_size": 32},
}


def load_tales(*, device: str) -> World:
    """Load the story world with its learned reward."""
    folder = data_dir() / "models" / "tales"
    check_manifest(folder, rebuild=TALES_REBUILD)
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    model = load_network(AutoModelForCausalLM, folder / "policy", dtype=torch.float32, device=device)
    policy = Policy(model, tokenizer)
    reward = load_reward_model("reward model", folder / "reward", dtype=torch.float32, device=device)
    scalar = AutoModelForSequenceClassification
    critic = load_network(scalar, folder / "critic", dtype=torch.float32, device=device)
    return World.starting_from(
        policy,
        name="tales",
        critic=Critic(critic),
        reward=reward,
        gold=tales_gold(policy.decode),
        prompts=tales_prompts("train"),
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=TALES_DEFAULTS,
        about=ABOUT,
    )


def tales_prompts(split: str) -> tuple[str, ...]:
    """Return the prompts of a split: `train`, which runs draw from, or `held-out`, which they never see."""
    lines = (data_dir() / "tales" / "prompts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(row["prompt"] for row in rows if row["split"] == split)
