"""Loading a network from a folder in transformers' format: safetensors alone, and nothing made up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from rllab.core.errors import LabError
from rllab.policy.forward import on_device


def load_network(kind: Any, folder: Path, *, dtype: torch.dtype | Literal["auto"], device: str) -> PreTrainedModel:
    """Load a network whole: transformers itself would fill a weight that the file lacks with random numbers.

    `kind` is one of transformers' Auto classes. Nothing is fetched, and nothing is drawn at random.
    """
    try:
        with _quietly(), torch.random.fork_rng(devices=[]):
            loaded: Any = kind.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        remedy = "close other notebooks first" if "allocate memory" in str(error) else "make it again"
        raise LabError("model folder", str(folder), f"it cannot be read ({reason}); {remedy}") from error
    model, report = loaded
    lacking = sorted(str(key) for name in ("missing_keys", "mismatched_keys") for key in report[name])
    if lacking:
        remedy = f"its weights lack {len(lacking)} tensors, such as {lacking[0]}; make it again"
        raise LabError("model folder", str(folder), remedy)
    return on_device(model, device)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' progress bars, one for every network, out of the notebook."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
