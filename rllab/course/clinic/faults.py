"""The catalogue of faults: what each is called, what it shows, where it happened, and how a case of it is run."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rllab.core.errors import LabError, nearest
from rllab.core.files import data_dir
from rllab.course.clinic.fault_stages import SURGERY
from rllab.trainer.stages import Stages

HEALTHY = "healthy"
# Runs that bring faults out: algorithm, and the settings besides the world's own. Most faults show in several, so the
# run alone does not give one away.
RUNS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ppo": ("ppo", {}),
    "grpo": ("grpo", {"samples_per_prompt": 8}),
    "pieces": ("ppo", {"reducer": "token-mean", "micro_batch_size": 8, "epochs": 1}),
}


@dataclass(frozen=True)
class Fault:
    """One silent bug."""

    name: str
    title: str
    shows: str  # what it does to a run
    hint: str  # where to look, without naming it
    story: str  # where it happened
    mend: str
    views: tuple[str, ...]  # curve:METRIC or tokens:COLUMN, in which it can be seen
    finding: str  # what the checkup calls it; empty where it says nothing
    unnamed: str  # why the checkup says nothing
    threads: tuple[str, ...]
    runs: tuple[str, ...]  # of RUNS, those in which it shows

    @property
    def stages(self) -> Stages:
        """Return the stages with the fault in them."""
        return SURGERY[self.name]


@functools.cache
def catalogue() -> Mapping[str, Fault]:
    """Return all faults by name, the healthy run first."""
    file = data_dir() / "clinic" / "faults.json"
    try:
        rows: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))["faults"]
    except (OSError, ValueError, KeyError) as error:
        raise LabError("data file", str(file), "it cannot be read; get it back from the repository") from error
    lists = {name: {key: tuple(row[key]) for key in ("views", "threads", "runs")} for name, row in rows.items()}
    return {name: Fault(name=name, **(row | lists[name])) for name, row in rows.items()}


def fault(name: str) -> Fault:
    """Return the fault of that name."""
    if name not in catalogue():
        close = nearest(name, catalogue())
        raise LabError("fault", name, f"the clinic has no such fault; did you mean {close}?")
    return catalogue()[name]
