"""Recipes: how the models and data that ship with the lab are made from the grammars in the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job

__all__ = ["build"]


def build(name: str, *, seed: int = 0, job: Job = NO_JOB) -> Path:
    """Make the data and models of a world from its grammar, or the checkup's healthy ranges; return where they lie."""
    if name not in RECIPES:
        raise LabError.choice("what to build", name, RECIPES)
    return RECIPES[name](seed=seed, job=job)


def _micro(*, seed: int, job: Job) -> Path:
    from rllab.course.recipes.micro import build_micro  # torch and transformers are imported when something is built

    return build_micro(seed=seed, job=job)


def _tales(*, seed: int, job: Job) -> Path:
    from rllab.course.recipes.tales import build_tales

    return build_tales(seed=seed, job=job)


def _checkup(*, seed: int, job: Job) -> Path:
    from rllab.course.recipes.healthy import build_healthy

    return build_healthy(seed=seed, job=job)


RECIPES: dict[str, Callable[..., Path]] = {"micro": _micro, "tales": _tales, "checkup": _checkup}
