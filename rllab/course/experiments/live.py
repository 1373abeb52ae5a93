"""Experiments in a notebook: Run gives the FAST size, in seconds; beside it stands the recorded WORKSHOP size."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from rllab.core.jobs import Job
from rllab.course.experiments.recorded import recorded_result

Drawn = TypeVar("Drawn")


def live(experiment: ModuleType, draw: Callable[[Any], Drawn]) -> Callable[[Job], Drawn]:
    """Return what a prediction unlocks: the experiment at its FAST size, and its result drawn."""

    def run(job: Job) -> Drawn:
        return draw(experiment.run(experiment.FAST, job=job))

    return run


def kept(experiment: ModuleType, draw: Callable[[Any], Drawn]) -> Drawn:
    """Return the recorded result, drawn in the same way."""
    return draw(recorded_result(experiment))
