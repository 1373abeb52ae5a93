"""The package imports only what it declares."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lab
from tests.project.source import imports, python_files

DISTRIBUTIONS = importlib.metadata.packages_distributions()


def undeclared(package: Path, requirements: list[str]) -> set[str]:
    """Return the distributions that a package imports from and that no requirement names."""
    declared = {canonicalize_name(Requirement(line).name) for line in requirements}
    tops = {item.module.split(".")[0] for path in python_files(package) for item in imports(path)}
    foreign = tops - set(sys.stdlib_module_names) - {"rllab", "benchmarks", "tests"}
    return {
        top for top in foreign if not {canonicalize_name(name) for name in DISTRIBUTIONS.get(top, ["?"])} & declared
    }


def test_the_package_imports_only_what_it_declares(root: Path) -> None:
    assert undeclared(root / "rllab", lab.requirements("lab", "llm")) == set()


def test_the_measurements_import_only_what_is_declared(root: Path) -> None:
    assert undeclared(root / "benchmarks", lab.requirements("lab", "llm", "test")) == set()


def test_lab_py_needs_the_standard_library_alone(root: Path) -> None:
    tops = {item.module.split(".")[0] for item in imports(root / "lab.py")}
    assert tops <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(("line", "found"), [("import yaml", {"yaml"}), ("import nowhere_known", {"nowhere_known"})])
def test_a_planted_import_is_found(line: str, found: set[str], tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(f"import json\nimport torch\n{line}\n", "utf-8")
    assert undeclared(tmp_path, ["torch>=2"]) == found
