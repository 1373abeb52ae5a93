"""What one measurement hands back, and the row of the proof that it becomes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
VERSIONED = ("torch", "transformers", "jupyterlab")


@dataclass(frozen=True)
class Result:
    """What was asked, what was measured, and whether that is enough."""

    claim: str  # one sentence
    target: str  # the bound, with its unit
    figure: str  # what was measured, with its unit
    passed: bool
    details: Mapping[str, object] = field(default_factory=dict)  # whatever else is worth keeping, JSON-able


@dataclass(frozen=True)
class Row:
    """One line of docs/proof.md: a result, with when and where it was measured."""

    name: str
    claim: str
    target: str
    figure: str
    passed: bool
    details: Mapping[str, object]
    date: str
    seconds: float
    machine: str
    versions: str
    commit: str

    @classmethod
    def of(cls, name: str, result: Result, *, seconds: float) -> Row:
        """Put date, machine, versions and commit beside a result."""
        return cls(
            name=name,
            claim=result.claim,
            target=result.target,
            figure=result.figure,
            passed=result.passed,
            details=dict(result.details),
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            seconds=round(seconds, 1),
            machine=machine(),
            versions=versions(),
            commit=commit(),
        )


def machine() -> str:
    """Describe this machine as far as it decides about speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB"


def versions() -> str:
    """Name the versions that decide about numbers."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONED]
    return ", ".join([f"Python {platform.python_version()}", *found])


def commit() -> str:
    """Name the commit, with a plus where files differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", "rllab", "data", "notebooks", "lab.py") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()
