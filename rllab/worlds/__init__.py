"""Worlds: everything that a run needs, loaded by name; and the stepper, which writes in one token by token."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers.utils import logging

from rllab.core.errors import LabError
from rllab.worlds.machine import set_threads_once
from rllab.worlds.stepper import BranchTree, Stepper
from rllab.worlds.world import World

__all__ = ["BranchTree", "Stepper", "World", "load_world"]

SMALL = ("micro", "micro-tabular", "tales")  # too small to gain anything from a GPU
NAMES = (*SMALL, "smollm2")


def load_world(name: str, *, device: str = "auto") -> World:
    """Load a world by its name, or any causal language model by its folder or the hub id that it was fetched under.

    Args:
        name: micro, micro-tabular, tales, smollm2, a path, or a hub id such as owner/name.
        device: Where the models compute. `auto` is the CPU for micro and tales, and the first of cuda, mps and cpu
            for the others.

    Returns:
        The world.

    Raises:
        LabError: If there is no such world, its files are missing or damaged, or the device is not there.
    """
    from rllab.worlds.shipped import LOADERS, load_hub  # transformers' models are imported with the first world

    set_threads_once()
    logging.disable_progress_bar()  # weights are read in a moment: a bar is noise in a notebook
    if name in LOADERS:
        return LOADERS[name](device=_device(device, small=name in SMALL))
    if name and ("/" in name or "\\" in name or "--" in name or Path(name).is_dir()):
        return load_hub(name, device=_device(device, small=False))
    raise LabError.choice("world", name, NAMES, reason="it is not a folder or a hub id either")


def _device(wanted: str, *, small: bool) -> str:
    """Return a device that is there."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return "cpu" if small else next(name for name, present in here.items() if present)
    if not here.get(wanted.split(":", maxsplit=1)[0], False):
        allowed = ["auto", *(name for name, present in here.items() if present)]
        raise LabError.choice("device", wanted, allowed, reason="this machine does not have it")
    return wanted
