"""How to install what is missing: with lab.py in a checkout, with pip elsewhere."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of a checkout; the folder of installed packages otherwise


def in_checkout() -> bool:
    """Return whether this package is read from a checkout of the repository."""
    return (ROOT / "pyproject.toml").is_file()


def how_to_install(requirement: str) -> str:
    """Return the command that installs a missing package.

    Args:
        requirement: A name, or a name with its bounds.

    Returns:
        What to type, as the end of a sentence.
    """
    return "run: python lab.py setup" if in_checkout() else f'run: python -m pip install "{requirement}"'


def installed_python() -> str | None:
    """Return the Python into which lab.py installed, where this one lacks the packages; else None."""
    python = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return None if importlib.util.find_spec("torch") or not python.exists() else str(python)
