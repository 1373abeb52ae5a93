"""Loading worlds: the two that ship, a real chat model, and any language model of your own."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from functools import partial
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
from transformers.utils.hub import cached_file

from rllab.core.errors import LabError
from rllab.core.files import check_manifest, data_dir
from rllab.policy.loading import load_language_model, load_network
from rllab.policy.networks import on_device
from rllab.policy.policy import Policy, choose_trainable, last_blocks
from rllab.policy.trunk import FrozenTrunk
from rllab.reward.judges import micro_gold, sentiment
from rllab.reward.reward import RewardModel
from rllab.reward.stories import tales_gold
from rllab.value.critic import Critic, ValueFunction, ZeroCritic
from rllab.worlds.machine import check_once, is_hub_id, model_folder, need_memory
from rllab.worlds.world import World

Defaults = Mapping[str, Mapping[str, Any]]  # settings by algorithm; "all" for every one

# ---- The worlds that ship: micro, small enough to know everything exactly, and the stories of tales ----

MICRO_DEFAULTS: Defaults = {
    "all": {
        "reducer": "seq-mean-token-sum",
        "lr": 3e-3,
        "critic_lr": 1e-2,
        "kl_coef": 0.1,
        "batch_size": 64,
        "micro_batch_size": 64,
        "value_clip_eps": None,
    },
    # At 3e-3 one run in four gets stuck: several epochs on a batch carry a small policy further than one step.
    "ppo": {"lr": 1.5e-3},
    "grpo": {"reducer": "seq-mean-token-sum"},
}
# A table learns a state only when a text passes through it, so it needs many texts and long steps. Adam divides by
# the root of what a row has seen; without a floor that is felt (adam_eps), the first visit of a rare state would
# throw it out by 30 times the learning rate. lam 1: a critic that knows only visited states is unreliable.
TABULAR: Defaults = {
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
MAX_NEW_TOKENS = 64
TALES_DEFAULTS: Defaults = {
    "all": {"reducer": "token-mean", "lr": 5e-4, "critic_lr": 1e-3, "kl_coef": 0.05, "batch_size": 32},
}


def load_micro(*, device: str) -> World:
    """Load the micro world with its very small transformer.

    Args:
        device: Where the models compute.

    Returns:
        The world.
    """
    return _micro("micro", "policy", "critic", MICRO_DEFAULTS, device=device)


def load_micro_tabular(*, device: str) -> World:
    """Load the micro world with a table in place of the transformer: one free row per state.

    Args:
        device: Where the models compute.

    Returns:
        The world.
    """
    return _micro("micro-tabular", "tabular-policy", "tabular-critic", TABULAR, device=device)


def _micro(name: str, policy: str, critic: str, defaults: Defaults, *, device: str) -> World:
    """Load the micro world with one of its policies."""
    grammar = json.loads((data_dir() / "micro" / "grammar.json").read_text("utf-8"))
    acting, valuing, reward = _load("micro", policy, critic, dtype=torch.float64, device=device)
    return World.starting_from(
        acting,
        name=name,
        critic=valuing,
        reward=reward,
        gold=micro_gold(acting.decode),
        prompts=grammar["prompts"],
        max_new_tokens=5,
        defaults=defaults,
        about="eight words, at most five tokens, every value known exactly; `not` flips the next mood word",
    )


def load_tales(*, device: str) -> World:
    """Load the story world: stories of one to twelve sentences, a transformer of 400k parameters, a learned reward.

    Args:
        device: Where the models compute.

    Returns:
        The world.
    """
    policy, critic, reward = _load("tales", "policy", "critic", dtype=torch.float32, device=device)
    return World.starting_from(
        policy,
        name="tales",
        critic=critic,
        reward=reward,
        gold=tales_gold(policy.decode),
        prompts=prompts_of("tales", "train"),
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=TALES_DEFAULTS,
        about="children's stories; each prompt opens one and says in how many sentences it should end",
    )


def _load(
    family: str, policy: str, critic: str, *, dtype: torch.dtype, device: str
) -> tuple[Policy, Critic, RewardModel]:
    """Load policy, critic and reward model of a shipped world, its hashes checked."""
    folder = data_dir() / "models" / family
    check_manifest(folder, rebuild=f"python -m rllab build {family}")
    load = partial(load_network, dtype=dtype, device=device)
    scalar = AutoModelForSequenceClassification
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    unit = json.loads((folder / "reward" / "unit.json").read_text("utf-8"))
    reward = load(scalar, folder / "reward")
    return (
        Policy(load(AutoModelForCausalLM, folder / policy), tokenizer),
        Critic(load(scalar, folder / critic)),
        RewardModel("reward model", reward, shift=float(unit["shift"]), scale=float(unit["scale"])),
    )


def prompts_of(world: str, split: str) -> tuple[str, ...]:
    """Return the prompts of a split.

    Args:
        world: tales or smollm2.
        split: `train`, which runs draw from, or `held-out`, which they never see.

    Returns:
        The prompts in their order.
    """
    lines = (data_dir() / world / "prompts.jsonl").read_text("utf-8").splitlines()
    return tuple(row["prompt"] for row in map(json.loads, lines) if row["split"] == split)


# ---- Real language models, with the sentiment of their answers as the reward ----

NAME, FETCH = "smollm2", "python -m rllab fetch smollm2"
ORIGINAL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LEAST_GIB = 1.5  # to look at it; a run takes up to 3 in all
CRITIC_BLOCKS = 10  # of 30: a text's mood is clear that early, and reading it costs a third
SMOLLM2_DEFAULTS: Defaults = {
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
    """Load the real LLM: its original weights where they were fetched by their hub id, else the 4-bit copy.

    The package that `fetch` brings for the name smollm2 holds Q4_1 weights, which are dequantised once.

    Args:
        device: Where the models compute.

    Returns:
        The world.

    Raises:
        LabError: If the model has not been fetched, is damaged, or would not fit into memory.
    """
    original, copied = original_folder(), model_folder(NAME)
    if not original and not copied.is_dir():
        remedy = f"its weights are not on this machine yet; run `{FETCH}` once (93 MB to download, about a minute)"
        raise LabError("world", NAME, remedy)
    need_memory(LEAST_GIB, model=NAME)
    if not original:
        check_once(copied, rebuild=FETCH)
    model, tokenizer = load_language_model(original or copied)
    model.requires_grad_(requires_grad=False)  # a run trains its own copy: what stays frozen is shared
    critic = on_device(critic_for(model, blocks=CRITIC_BLOCKS), device)
    model = on_device(model, device)
    depths = (model.config.num_hidden_layers, CRITIC_BLOCKS)
    trunk = FrozenTrunk(model, [depth - last_blocks(depth) for depth in depths])
    policy = Policy(model, tokenizer, trunk=trunk)
    weights = "its original weights" if original else "a 4-bit (Q4_1) copy of its weights, dequantised"
    about = f"a real chat model of 135 million parameters, {weights}; the reward is the sentiment of its answers"
    return _real(policy, name=NAME, critic=Critic(critic, trunk=trunk), about=about)


def original_folder() -> Path | None:
    """Return the folder of SmolLM2's original weights, where they were fetched by their hub id.

    Returns:
        The folder of `python -m rllab fetch`, else that of transformers' cache; None where neither is whole.

    Raises:
        LabError: If a file in the folder of `fetch` is missing or changed.
    """
    fetched = model_folder(ORIGINAL)
    if fetched.is_dir():
        check_once(fetched, rebuild=f"python -m rllab fetch {ORIGINAL}")
        return fetched
    needed = ("config.json", "tokenizer.json", "model.safetensors")
    try:
        files = [cached_file(ORIGINAL, name, local_files_only=True) for name in needed]
    except OSError:  # not in the cache
        return None
    return None if files[0] is None else Path(files[0]).parent


def critic_for(model: PreTrainedModel, *, blocks: int) -> PreTrainedModel:
    """Return a critic made of a Llama's first blocks, with a zero head; its last quarter can be trained.

    The frozen blocks use the same memory as the policy's, which takes half a gigabyte already.

    Args:
        model: The language model, frozen.
        blocks: How many of its blocks the critic has.

    Returns:
        A one-label network.
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


def load_hub(name: str, *, device: str) -> World:
    """Load any causal language model in transformers' format as a world; nothing is downloaded here.

    It has no gold judge and no critic: the value starts at 0 and stays there.

    Args:
        name: The model's folder, or the hub id under which it was fetched.
        device: Where the model computes.

    Returns:
        The world.

    Raises:
        LabError: If the model is not there, cannot be loaded safely, or has a chat template that fails.
    """
    model, tokenizer = load_language_model(find_folder(name))
    model.requires_grad_(requires_grad=False)  # a run trains its own copy: what stays frozen is shared
    policy = Policy(on_device(model, device), tokenizer)
    try:
        policy.encode("Hello")
    except LabError:
        raise
    except Exception as error:  # a template is a program in a sandbox: it can fail in any way
        raise LabError("chat template", name, f"it fails on a plain question ({error}); fix or remove it") from error
    about = "a language model of your own; the reward is the sentiment of what it writes"
    return _real(policy, name=name, critic=ZeroCritic(), about=about)


def _real(policy: Policy, *, name: str, critic: ValueFunction, about: str) -> World:
    """Return a world of questions in everyday English, without a gold judge."""
    return World.starting_from(
        policy,
        name=name,
        critic=critic,
        reward=sentiment(policy.decode),
        gold=None,
        prompts=prompts_of("smollm2", "train"),
        max_new_tokens=MAX_NEW_TOKENS,
        defaults=SMOLLM2_DEFAULTS,
        about=about,
    )


def find_folder(name: str) -> Path:
    """Return the folder of a model: the path itself, or where fetching put it.

    Args:
        name: A path or a hub id.

    Returns:
        The folder; the hashes of a fetched one are checked.

    Raises:
        LabError: If there is no such folder and no such fetched model.
    """
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


LOADERS: dict[str, Callable[..., World]] = {
    "micro": load_micro,
    "micro-tabular": load_micro_tabular,
    "tales": load_tales,
    "smollm2": load_smollm2,
}
