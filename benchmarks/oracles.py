"""The golden files of tests/oracles are reproduced when the reference libraries write them again.

RLLAB_ORACLES can name the Python of an environment with tests/oracles/requirements.txt and sources.txt installed;
otherwise a new environment is created for this measurement, which downloads about 1 GB.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.result import ROOT, Result

FOLDER = ROOT / "tests" / "oracles"
TOLERANCE = 1e-6  # some of the oracles compute in float32, and machines round differently


def measure() -> Result:
    """Write the golden files again and compare all numbers."""
    with tempfile.TemporaryDirectory() as scratch:
        python = os.environ.get("RLLAB_ORACLES") or make_environment(Path(scratch) / "environment")
        fresh = Path(scratch) / "golden"
        subprocess.run([python, str(FOLDER / "make.py"), "--out", str(fresh)], check=True)
        names = {path.name for path in [*FOLDER.glob("*.json"), *fresh.glob("*.json")]}
        compared = {name: differences(FOLDER / name, fresh / name) for name in sorted(names)}
    everything = [difference for file in compared.values() for difference in file]
    worst = max(everything)
    return Result(
        claim="the golden files of tests/oracles are reproduced when the reference libraries write them again",
        target=f"every number within {TOLERANCE:g}",
        figure=f"{len(everything)} numbers in {len(compared)} files, largest difference {worst:.1e}",
        passed=worst <= TOLERANCE,
        details={name: max(file) for name, file in compared.items()},
    )


def make_environment(folder: Path) -> str:
    """Create an environment with the reference libraries and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-r"]
    subprocess.run([*install, str(FOLDER / "requirements.txt")], check=True)
    subprocess.run([*install, str(FOLDER / "sources.txt"), "--no-deps"], check=True)
    return python


def differences(kept: Path, fresh: Path) -> list[float]:
    """Return the differences between two golden files, number by number; infinite if a number is missing."""
    if not (kept.is_file() and fresh.is_file()):
        return [math.inf]
    pair = [json.loads(path.read_text("utf-8"))["cases"] for path in (kept, fresh)]
    return list(distances(*pair))


def distances(one: object, other: object) -> Iterator[float]:
    """Yield the distance between each pair of numbers in two values of the same form."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        yield abs(one - other)
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key, value in one.items():
            yield from distances(value, other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from distances(left, right)
    else:
        yield 0.0 if one == other else math.inf
