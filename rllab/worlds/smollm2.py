"""SmolLM2-135M-Instruct as a world: a real chat model, with the sentiment of its answers as the reward."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import torch
from transformers import LlamaForSequenceClassification, PreTrainedModel

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.policy.forward import on_device
from rllab.policy.policy import Policy, choose_trainable, last_blocks
from rllab.policy.trunk import FrozenTrunk
from rllab.reward.judges.sentiment import sentiment
from rllab.value.critic import Critic
from rllab.worlds.memory import need_memory
from rllab.worlds.pretrained import check_once, load_model, model_folder
from rllab.worlds.world import World

NAME, FETCH = "smollm2", "python -m rllab fetch smollm2"
MAX_NEW_TOKENS = 64
LEAST_GIB = 1.5  # to look at it; a run takes up to 3 in all
CRITIC_BLOCKS = 10  # of 30: a text's mood is clear that early, and reading it costs a third
SMOLLM2_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "all": {
        "trainable": "last-blocks",
        "batch_size": 16,
        "micro_batch_size": 1,  # one pass takes about half a second on one core, so Stop need not wait longer
        "max_new_tokens": 24,
        "lr": 1e-4,
        "critic_lr": 3e-4,
        "kl_coef": 0.05,
        "value_clip_eps": None,
    },
    "ppo": {"epochs": 2},
}


def load_smollm2(*, device: str) -> World:
    """Load the real LLM from the user's folder, where `fetch` put it."""
    folder = model_folder(NAME)
    if not folder.is_dir():
        remedy = f"its weights are not on this machine yet; run `{FETCH}` once (93 MB to download, about a minute)"
        raise LabError("world", NAME, remedy)
    need_memory(LEAST_GIB, model=NAME)
    check_once(folder, rebuild=FETCH)
    model, tokenizer = load_model(folder)
    model.requires_grad_(requires_grad=False)  # a run trains its own copy: what stays frozen is shared
    critic = on_device(critic_beside(model, blocks=CRITIC_BLOCKS), device)
    model = on_device(model, device)
    depths = (model.config.num_hidden_layers, CRITIC_BLOCKS)
    trunk = FrozenTrunk(model, [depth - last_blocks(depth) for depth in depths])
    policy = Policy(model, tokenizer, trunk=trunk)
    return World.starting_from(
        policy,
        name=NAME,
        critic=Critic(critic, trunk=trunk),
        reward=sentiment(policy.decode),
        gold=None,
        prompts=smollm2_prompts("train"),
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=SMOLLM2_DEFAULTS,
        about="a real chat model of 135 million parameters; the reward is the sentiment of its answers",
    )


def smollm2_prompts(split: str) -> tuple[str, ...]:
    """Return the prompts that runs write to (`train`), or those kept for measurements (`held-out`)."""
    lines = (data_dir() / "smollm2" / "prompts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(row["prompt"] for row in rows if row["split"] == split)


def critic_beside(model: PreTrainedModel, *, blocks: int) -> PreTrainedModel:
    """Make a critic out of a language model's first blocks, with a zero head; its last quarter can be trained.

    The frozen blocks lie in the same memory as the policy's, which takes half a gigabyte already.
    """
    config = copy.deepcopy(model.config)
    config.num_hidden_layers, config.num_labels = blocks, 1
    beyond = tuple(f"model.layers.{number}." for number in range(blocks, model.config.num_hidden_layers))
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith(beyond) and not name.startswith("lm_head.")
    }
    weights["score.weight"] = torch.zeros(1, config.hidden_size, dtype=model.dtype)
    critic = LlamaForSequenceClassification.from_pretrained(
        None, config=config, state_dict=weights, dtype=model.dtype
    ).requires_grad_(requires_grad=False)
    choose_trainable(critic, "last-blocks")
    critic.get_submodule("score").requires_grad_(requires_grad=True)
    return critic
