"""Loading models from folders in transformers' format: weights and tables only, never code.

Everything that the lab loads comes through `load_network`: the shipped worlds, fetched and own models, saved runs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

import rllab.policy.tabular  # noqa: F401  (registers the tabular models with transformers)
from rllab.core.errors import LabError
from rllab.policy.networks import on_device

PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl")
AGAIN = "build, fetch or copy it again"


def load_network(kind: Any, folder: Path, *, dtype: torch.dtype | Literal["auto"], device: str) -> PreTrainedModel:
    """Load a network from safetensors alone; nothing is fetched, run or made up.

    transformers itself would fill a weight that the file lacks with random numbers.

    Args:
        kind: One of transformers' Auto classes.
        folder: A folder that `save_pretrained` wrote.
        dtype: Number type of the weights; `auto` keeps that of the file.
        device: Where the network computes.

    Returns:
        The network, whole.

    Raises:
        LabError: If the folder would bring code along, cannot be read, or lacks a weight.
    """
    check_settings(folder)
    with _readable(folder), _quiet(), torch.random.fork_rng(devices=[]):
        loaded: Any = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    model, report = loaded
    lacking = sorted(str(key) for name in ("missing_keys", "mismatched_keys") for key in report[name])
    if lacking:
        remedy = f"its weights lack {len(lacking)} tensors, such as {lacking[0]}; {AGAIN}"
        raise LabError("model folder", str(folder), remedy)
    return on_device(model, device)


def load_language_model(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load any causal language model in 32 bits, with its tokenizer.

    Args:
        folder: A folder that `save_pretrained` wrote.

    Returns:
        Model, on the CPU, and tokenizer.

    Raises:
        LabError: If the folder is not a whole language model, brings code along, or has no end token.
    """
    check_format(folder)
    model = load_network(AutoModelForCausalLM, folder, dtype=torch.float32, device="cpu")
    with _readable(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise LabError("tokenizer", str(folder), "it has no end token, so no response could end; set its eos_token")
    return model, tokenizer


def check_format(folder: Path) -> None:
    """Raise LabError if a folder is not a language model, brings code along, or has only pickled weights.

    Args:
        folder: The folder of a model.

    Raises:
        LabError: If the model cannot be loaded safely.
    """
    if not folder.is_dir():
        raise LabError("model folder", str(folder), "there is no such folder; check the path")
    check_language_model(folder)
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        found = f"its weights ({pickled[0]}) are pickled, which can run code" if pickled else "it has no weights"
        remedy = f"{found}; save them as safetensors with model.save_pretrained"
        raise LabError("model folder", str(folder), remedy)


def check_language_model(folder: Path) -> None:
    """Raise LabError if settings ask for code of their own, or are not of a causal language model.

    Args:
        folder: The folder of a model; its weights need not be there yet.

    Raises:
        LabError: If transformers has no such language model, or would run code to load it.
    """
    kind, known = str(check_settings(folder).get("model_type")), MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if kind not in known:
        raise LabError.choice("model_type", kind, known, reason="not a causal language model known to transformers")


def check_settings(folder: Path) -> dict[str, Any]:
    """Raise LabError if a folder's settings would have transformers run or fetch code.

    Args:
        folder: The folder of a model.

    Returns:
        What its config.json holds.

    Raises:
        LabError: If the settings cannot be read, or ask for code.
    """
    config = _read_json(folder / "config.json")
    tokenizer = folder / "tokenizer_config.json"
    for settings in (config, _read_json(tokenizer) if tokenizer.is_file() else {}):
        if "auto_map" in settings:
            remedy = "it asks for code of its own (auto_map), which the lab never runs; choose a model without"
            raise LabError("model folder", str(folder), remedy)
        for name, value in settings.items():
            if name.endswith("implementation") and "/" in str(value):
                remedy = f"its {name} {value!r} would fetch code; remove that setting from config.json"
                raise LabError("model folder", str(folder), remedy)
    return config


def _read_json(path: Path) -> dict[str, Any]:
    """Read one object of settings."""
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        remedy = f"it has no {path.name}; give a folder that save_pretrained wrote"
        raise LabError("model folder", str(path.parent), remedy) from error
    except (OSError, ValueError) as error:
        raise LabError("model file", str(path), f"it cannot be read; {AGAIN}") from error
    if not isinstance(read, dict):
        raise LabError("model file", str(path), f"it should hold one JSON object; {AGAIN}")
    return read


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn whatever a damaged file does to a parser into a sentence."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        remedy = "close other notebooks first" if "allocate memory" in str(error) else AGAIN
        raise LabError("model folder", str(folder), f"it cannot be read ({reason}); {remedy}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars, one for every network, out of the notebook."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
