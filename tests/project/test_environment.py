"""pyproject.toml, constraints.txt, environment.yml and lab.py describe the same environment."""

import importlib.metadata
import itertools
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lab

# The first releases without known holes or faults that reach us; CONTRIBUTING.md says which ones.
FLOORS = {
    "torch": "2.10",
    "transformers": "5.3",
    "jupyterlab": "4.6.2",
    "jupyter-server": "2.20",
    "ipykernel": "7.4",
    "ipywidgets": "8.1.9",
}
VERSIONS = ["2.9.1", "2.10", "2.13.0", "4.6.2", "4.6.10", "5.0", "5.3.0", "6", "10.1"]


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def asked(project: dict) -> list[Requirement]:
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for line in itertools.chain(*lists)]


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_requirement_is_pinned_within_its_range(asked: list[Requirement], pins: dict[str, str]) -> None:
    for requirement in asked:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_pins_hold_on_every_system(pins: dict[str, str]) -> None:
    assert [name for name, version in pins.items() if not re.fullmatch(r"[\d.]+", version)] == []


def test_pins_admit_the_oldest_python(pins: dict[str, str], project: dict) -> None:
    """Debian 12 has 3.11.2: a pin that wants 3.11.5 stops every installation there."""
    oldest = f"{project['requires-python'].removeprefix('>=')}.0"
    wanted = {
        distribution.name: distribution.metadata["Requires-Python"]
        for distribution in importlib.metadata.distributions()
    }
    narrow = {name: bound for name, bound in wanted.items() if bound and oldest not in SpecifierSet(bound)}
    assert {name: bound for name, bound in narrow.items() if canonicalize_name(name) in pins} == {}


def test_lower_bounds_keep_known_holes_out(asked: list[Requirement]) -> None:
    ranges = {requirement.name: requirement.specifier for requirement in asked}
    for name, floor in FLOORS.items():
        assert f">={floor}" in str(ranges[name])


def test_environment_yml_installs_what_pyproject_asks_for(root: Path, project: dict) -> None:
    asked = yaml.safe_load((root / "environment.yml").read_text("utf-8"))
    python, pip, block = asked["dependencies"]
    assert python.removeprefix("python=") in SpecifierSet(project["requires-python"])
    assert pip == "pip"
    assert block == {"pip": [f"--extra-index-url {lab.CPU_INDEX}", "-c constraints.txt", "-e .[lab,llm]"]}
    assert {"lab", "llm"} <= set(project["optional-dependencies"])


def test_lab_py_reads_the_same_requirements(asked: list[Requirement], project: dict) -> None:
    read = lab.requirements(*project["optional-dependencies"])
    assert [Requirement(line) for line in read] == asked


def test_lab_py_understands_every_bound(asked: list[Requirement]) -> None:
    signs = {bound.operator for requirement in asked for bound in requirement.specifier}
    assert signs <= {">=", "<"}
    assert not [requirement for requirement in asked if requirement.marker or requirement.extras]


@pytest.mark.parametrize("bounds", [">=2.10", ">=5.3,<6", ">=4.6.2, <5", ""])
@pytest.mark.parametrize("version", VERSIONS)
def test_lab_py_judges_versions_as_pip_does(bounds: str, version: str) -> None:
    assert lab.within(version, bounds) == (version in SpecifierSet(bounds.replace(" ", "")))


def test_a_local_suffix_does_not_matter() -> None:
    assert lab.within("2.13.0+cpu", ">=2.13,<2.14")


def test_lab_py_misses_what_is_absent_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["pytest>=1", "pytest>=999", "no-such-package-here>=1"]
    monkeypatch.setattr(lab, "requirements", lambda *_: lines)
    assert lab.missing() == lines[1:]
