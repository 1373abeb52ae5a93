"""`import rllab` is quick and loads nothing heavy; its public names exist."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rllab
from tests.project.source import tree

MOST_SECONDS = 0.2
HEAVY = {"torch", "transformers", "numpy", "plotly", "ipywidgets", "anywidget"}
MEASURE = """
import json, os, sys, time
began = time.perf_counter()
import rllab
seconds = time.perf_counter() - began
print(json.dumps([seconds, sorted(sys.modules), os.environ["OMP_WAIT_POLICY"]]))
"""


def import_once(**environment: str) -> tuple[float, set[str], str]:
    """Import rllab in a separate Python: seconds, loaded modules, and OpenMP's policy."""
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    seconds, modules, policy = json.loads(done.stdout)
    return seconds, set(modules), policy


def test_import_is_quick_and_light(root: Path) -> None:
    runs = [import_once(PYTHONPATH=str(root)) for _ in range(3)]
    assert min(seconds for seconds, _, _ in runs) <= MOST_SECONDS
    assert not HEAVY & runs[0][1]


def test_import_lets_waiting_threads_sleep_unless_told_otherwise(root: Path) -> None:
    assert import_once(PYTHONPATH=str(root))[2] == "PASSIVE"
    assert import_once(PYTHONPATH=str(root), OMP_WAIT_POLICY="ACTIVE")[2] == "ACTIVE"


@pytest.mark.parametrize("name", sorted(rllab._HOME_OF))
def test_a_public_name_is_there_and_at_home_where_the_table_says(name: str) -> None:
    value = getattr(rllab, name)
    assert value is getattr(importlib.import_module(rllab._HOME_OF[name]), name)
    assert value.__module__.startswith(rllab._HOME_OF[name])
    assert value.__doc__


def test_type_checkers_see_the_same_names(root: Path) -> None:
    blocks = [node for node in tree(root / "rllab" / "__init__.py").body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == rllab._HOME_OF


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trainr'"):
        _ = rllab.Trainr


def test_completion_offers_the_public_names() -> None:
    assert set(rllab._HOME_OF) <= set(dir(rllab))
