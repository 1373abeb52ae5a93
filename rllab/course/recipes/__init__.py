"""Recipes: how the models and data that ship with the lab are built from the grammars in the repository."""

from __future__ import annotations

import importlib
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job

__all__ = ["build"]

RECIPES = {"micro": "micro:build_micro", "tales": "tales:build_tales", "checkup": "healthy:build_healthy"}


def build(name: str, *, seed: int = 0, job: Job = NO_JOB) -> Path:
    """Build the data and models of a world from its grammar, or the checkup's healthy ranges.

    Args:
        name: micro, tales or checkup.
        seed: Of everything that is random.
        job: Stops the build, and receives the progress.

    Returns:
        Where they are.

    Raises:
        LabError: If there is no such recipe.
    """
    if name not in RECIPES:
        raise LabError.choice("what to build", name, RECIPES)
    module, function = RECIPES[name].split(":")  # torch and transformers are imported only for a build
    path: Path = getattr(importlib.import_module(f"{__name__}.{module}"), function)(seed=seed, job=job)
    return path
