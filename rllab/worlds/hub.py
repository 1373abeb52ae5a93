"""Any causal language model in transformers' format as a world: from a folder, or fetched by its hub id before."""

from __future__ import annotations

from pathlib import Path

from rllab.core.errors import LabError
from rllab.policy.forward import on_device
from rllab.policy.policy import Policy
from rllab.reward.judges.sentiment import sentiment
from rllab.value.critic import ZeroCritic
from rllab.worlds.pretrained import check_once, is_hub_id, load_model, model_folder
from rllab.worlds.smollm2 import MAX_NEW_TOKENS, SMOLLM2_DEFAULTS, smollm2_prompts
from rllab.worlds.world import World


def load_hub(name: str, *, device: str) -> World:
    """Load a model by its folder or by the hub id that it was fetched under; nothing is downloaded here.

    There is no gold judge for it and no critic beside it: the value starts and stays at 0.
    """
    model, tokenizer = load_model(find_folder(name))
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
