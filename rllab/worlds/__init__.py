"""The worlds of the lab by name; each is loaded, never built, here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers.utils import logging

from rllab.core.errors import LabError
from rllab.worlds.machine import set_threads_once
from rllab.worlds.world import World

__all__ = ["World", "load_world"]


def load_world(name: str, *, device: str = "auto") -> World:
    """Load a world by its name, or any language model by its folder or fetched hub id.

    `auto` is the CPU for micro and tales, which are too small to gain from anything else, and the first of
    cuda, mps and cpu for the others.
    """
    set_threads_once()
    logging.disable_progress_bar()  # weights are read in a moment: a bar is noise in a notebook
    if name not in LOADERS and _names_a_model(name):
        from rllab.worlds.shipped import load_hub

        return load_hub(name, device=_device(device, small=False))
    if name not in LOADERS:
        raise LabError.choice("world", name, LOADERS, reason="it is no folder and no hub id either")
    loader, small = LOADERS[name]
    return loader(device=_device(device, small=small))


def _names_a_model(name: str) -> bool:
    """Tell whether a name is a folder, or looks like a path or like a hub id."""
    return bool(name) and ("/" in name or "\\" in name or "--" in name or Path(name).is_dir())


def _device(wanted: str, *, small: bool) -> str:
    """Choose a device that is there."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return "cpu" if small else next(name for name, present in here.items() if present)
    if not here.get(wanted.split(":", maxsplit=1)[0], False):
        present = ", ".join(name for name, present in here.items() if present)
        raise LabError("device", wanted, f"this machine has {present}")
    return wanted


def _micro(*, device: str) -> World:
    from rllab.worlds.shipped import load_micro  # transformers is imported when the first world is loaded

    return load_micro(device=device)


def _micro_tabular(*, device: str) -> World:
    from rllab.worlds.shipped import load_micro_tabular

    return load_micro_tabular(device=device)


def _tales(*, device: str) -> World:
    from rllab.worlds.shipped import load_tales

    return load_tales(device=device)


def _smollm2(*, device: str) -> World:
    from rllab.worlds.shipped import load_smollm2

    return load_smollm2(device=device)


LOADERS: dict[str, tuple[Callable[..., World], bool]] = {
    "micro": (_micro, True),
    "micro-tabular": (_micro_tabular, True),
    "tales": (_tales, True),
    "smollm2": (_smollm2, False),
}
