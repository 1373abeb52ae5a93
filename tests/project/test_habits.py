"""The files for hosted services are well formed, and the files and commands that they name exist."""

import ast
import importlib.util
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import lab
import rllab

WORKFLOW = ".github/workflows/checks.yml"


def loaded(path: Path) -> dict:
    return yaml.safe_load(path.read_text("utf-8"))


def steps(root: Path) -> Iterator[dict]:
    for job in loaded(root / WORKFLOW)["jobs"].values():
        yield from job["steps"]


def commands(root: Path) -> list[str]:
    """Return every command of the workflow, of the hooks and of the container."""
    lines = [line for step in steps(root) for line in step.get("run", "").splitlines()]
    hooks = [hook["entry"] for hook in loaded(root / ".pre-commit-config.yaml")["repos"][0]["hooks"]]
    container = json.loads((root / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    return [*lines, *hooks, container["onCreateCommand"]]


def problem(command: str, root: Path) -> str:
    """Return what a command lacks here, or an empty text."""
    program, *words = shlex.split(command, comments=True)
    files = [word for word in words if re.search(r"\w/\w|\.(py|txt|yml)$", word) and "://" not in word]
    lost = [word for word in files if "floors.txt" not in word and not (root / word).exists() and "*" not in word]
    if lost:
        return f"{lost[0]} does not exist"
    if program == "python" and words[0] == "-m" and importlib.util.find_spec(words[1]) is None:
        return f"there is no module {words[1]}"
    if program == "python" and words[0] == "-c":
        ast.parse(words[1])
    known = {"python", "conda", *tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]}
    return "" if program in known else f"{program} is not installed"


def test_every_command_exists(root: Path) -> None:
    asked = commands(root)
    assert len(asked) > 15
    assert [found for command in asked if (found := problem(command, root))] == []


@pytest.mark.parametrize(
    "command", ["python -m rllab.nothing", "python lab2.py test", "tox", "python -m pytest tests/nowhere"]
)
def test_a_planted_mistake_is_found(command: str, root: Path) -> None:
    assert problem(command, root)


def test_the_workflow_covers_the_systems_and_pythons_of_the_readme(root: Path) -> None:
    jobs = loaded(root / WORKFLOW)["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"][0] == ".".join(map(str, lab.OLDEST_PYTHON))
    assert all(job["steps"][0]["uses"].startswith("actions/checkout@") for job in jobs.values())
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps(root) if "uses" in step)
    assert loaded(root / WORKFLOW)["env"]["CPU"].endswith(f" {lab.CPU_INDEX}")


def test_every_extra_that_is_installed_exists(root: Path) -> None:
    optional = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    sources = (root / name for name in (WORKFLOW, "environment.yml", "README.md", "docs/workshop.md"))
    named = [found for file in sources for found in re.findall(r"\.\[([\w,]+)]", file.read_text("utf-8"))]
    assert len(named) >= 4
    assert set(itertools.chain(*(names.split(",") for names in named))) <= set(optional)


def test_codespaces_opens_the_tour_in_the_environment_of_the_repository(root: Path) -> None:
    container = json.loads((root / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    opened = container["customizations"]["codespaces"]["openFiles"]
    assert opened == [lab.TOUR]
    assert (root / lab.TOUR).is_file()
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert f"/envs/{loaded(root / 'environment.yml')['name']}/" in python


def test_binder_reads_the_environment_at_the_root(root: Path) -> None:
    """With one of these folders, repo2docker would ignore environment.yml."""
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (root / name).exists()]


def test_templates_are_forms(root: Path) -> None:
    forms = [loaded(path) for path in sorted((root / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))]
    assert len(forms) == 2
    for form in forms:
        assert form["name"]
        assert form["description"]
        assert len({field["id"] for field in form["body"]}) == len(form["body"])
    assert "python lab.py test" in (root / ".github" / "pull_request_template.md").read_text("utf-8")


def test_the_citation_and_the_changelog_speak_of_this_version(root: Path) -> None:
    citation = loaded(root / "CITATION.cff")
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert (str(citation["version"]), citation["license"]) == (rllab.__version__, project["license"])
    assert f"\n## {rllab.__version__}\n" in (root / "CHANGELOG.md").read_text("utf-8")


def test_the_oldest_versions_are_those_of_pyproject(root: Path) -> None:
    done = subprocess.run([sys.executable, ".ci/floors.py"], cwd=root, check=True, capture_output=True, text=True)
    floors = dict(line.split("==") for line in done.stdout.splitlines())
    asked = [line.partition(">=") for line in lab.requirements()]
    assert floors == {name: bounds.split(",")[0] for name, _, bounds in asked}
