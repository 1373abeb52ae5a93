"""The result of one measurement, and the row of the proof made from it."""

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
    """A claim, its target, the measured figure, and whether the figure meets the target."""

    claim: str  # one sentence
    target: str  # the bound, with its unit
    figure: str  # what was measured, with its unit
    passed: bool
    details: Mapping[str, object] = field(default_factory=dict)  # further numbers to keep, JSON-serialisable


@dataclass(frozen=True)
class Row:
    """One section of docs/proof.md: a result, with the date, the machine and the commit."""

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
        """Return a result as a row, with date, machine, versions and commit."""
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
    """Return the properties of this machine that determine its speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB"


def versions() -> str:
    """Return the versions that determine the numbers."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONED]
    return ", ".join([f"Python {platform.python_version()}", *found])


def commit() -> str:
    """Return the short commit hash, with a plus if files differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", "rllab", "data", "notebooks", "lab.py") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()
