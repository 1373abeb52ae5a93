"""The micro world: eight words, five tokens, three prompts; small enough to know everything exactly."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaForSequenceClassification,
    PreTrainedModel,
)

import rllab.policy.tabular  # noqa: F401  (registers the tabular models with transformers)
from rllab.core.errors import LabError
from rllab.core.files import check_manifest, data_dir
from rllab.policy.loading import load_language_model, load_network
from rllab.policy.networks import on_device
from rllab.policy.policy import Policy, choose_trainable, last_blocks
from rllab.policy.trunk import FrozenTrunk
from rllab.reward.judges import micro_gold, sentiment
from rllab.reward.reward import RewardModel
from rllab.reward.stories import tales_gold
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds.machine import check_once, is_hub_id, model_folder, need_memory
from rllab.worlds.world import World

# ---- The micro world: eight words, five tokens, three prompts; small enough to know everything exactly ----

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


# ---- The story world: children's stories of one to twelve sentences, and a transformer of 400k parameters ----

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


# ---- SmolLM2-135M-Instruct as a world: a real chat model, with the sentiment of its answers as the reward ----

NAME, FETCH = "smollm2", "python -m rllab fetch smollm2"
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
    model, tokenizer = load_language_model(folder)
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


# ---- Any causal language model in transformers' format as a world: from a folder, or fetched by its hub i ----


def load_hub(name: str, *, device: str) -> World:
    """Load a model by its folder or by the hub id that it was fetched under; nothing is downloaded here.

    There is no gold judge for it and no critic beside it: the value starts and stays at 0.
    """
    model, tokenizer = load_language_model(find_folder(name))
    model.requires_grad_(requires_grad=False)  # a run trains its own copy: what stays frozen is shared
    policy = Policy(on_device(model, device), tokenizer)
    _check_template(name, policy)
    return World.starting_from(
        policy,
        name=name,
        critic=ZeroCritic(),
        reward=sentiment(policy.decode),
        gold=None,
        prompts=smollm2_prompts("train"),
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=SMOLLM2_DEFAULTS,
        about="a language model of your own; the reward is the sentiment of what it writes",
    )


def find_folder(name: str) -> Path:
    """Return the folder of a model: the path itself, or where fetching put it."""
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    fetched, rebuild = model_folder(name), f"python -m rllab fetch {name}"
    if is_hub_id(name) and fetched.is_dir():
        check_once(fetched, rebuild=rebuild)
        return fetched
    if is_hub_id(name):
        remedy = f"it is neither a folder here nor fetched yet; run `{rebuild}` once with a network, or check the path"
        raise LabError("model", name, remedy)
    raise LabError("model folder", name, "there is no such folder; check the path")


def _check_template(name: str, policy: Policy) -> None:
    """Try the tokenizer and its chat template once, so that a broken one is told now."""
    try:
        policy.encode("Hello")
    except LabError:
        raise
    except Exception as error:  # a template is a program in a sandbox: it can fail in any way
        raise LabError("chat template", name, f"it fails on a plain question ({error}); mend or remove it") from error
