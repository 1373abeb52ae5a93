"""Write the golden files: seeded inputs and the outputs of the reference libraries.

    /path/to/oracle/python tests/oracles/make.py [--out FOLDER]

It runs in an environment of its own (README.md beside this file); the tests need only the files.
"""

import argparse
import importlib.metadata
import json
import platform
from pathlib import Path

import losses_oracles
import numpy as np
import returns_oracles
import torch

PACKAGES = (
    "choix",
    "jax",
    "numpy",
    "openrlhf",
    "rlax",
    "scipy",
    "stable-baselines3",
    "torch",
    "torchrl",
    "transformers",
    "trl",
    "verl",
)
RECIPES = {**returns_oracles.RECIPES, **losses_oracles.RECIPES}


def plain(value):
    """Turn tensors and arrays into lists of numbers that JSON keeps to the last bit."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    return np.asarray(value).tolist()


def versions():
    """Say what the numbers were made with."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def golden(name):
    """Make one golden file's content."""
    return {"quantity": name, "made_with": versions(), "cases": [plain(case) for case in RECIPES[name]()]}


def text_of(content):
    """Write a golden file as JSON with one case a line."""
    head = json.dumps({key: value for key, value in content.items() if key != "cases"}, indent=1)
    cases = ",\n".join(json.dumps(case) for case in content["cases"])
    return f'{head[:-2]},\n "cases": [\n{cases}\n ]\n}}\n'


def main():
    """Write every golden file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in RECIPES:
        (folder / f"{name}.json").write_text(text_of(golden(name)), "utf-8")


if __name__ == "__main__":
    main()
