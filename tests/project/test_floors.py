"""Imports point down only, and only the panels know widgets."""

import sys
from pathlib import Path

import pytest

from tests.project.floors import HEIGHT, ROOMS, may_import, may_import_beside, room
from tests.project.source import Import, imports, python_files

WIDGETS = {"ipywidgets", "anywidget"}
DRAWING = {"plotly"}


def module_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def package_imports(package: Path) -> list[tuple[str, Import]]:
    """Pair each import in a package with the room that makes it; the package's door is no room."""
    found = []
    for path in python_files(package):
        who = room(module_of(path, package))
        if who is not None:
            found += [(who, imported) for imported in imports(path)]
    return found


def floor_problems(package: Path) -> list[str]:
    """Say which imports go up, sideways, or come from a room without a floor."""
    rooms = {room(module_of(path, package)) for path in python_files(package)} - {None}
    if homeless := rooms - HEIGHT.keys():
        return [f"give these rooms a place in tests/project/floors.py: {sorted(homeless)}"]
    problems = set()
    for who, imported in package_imports(package):
        whom = room(imported.module)
        where = f"{imported.file.relative_to(package)}:{imported.line}"
        if whom in HEIGHT and not may_import(who, whom):
            problems.add(f"{where}: {who} must not import {whom}")
        if imported.module == "rllab":
            problems.add(f"{where}: import from the module itself, not through rllab's door")
    return sorted(problems)


def foreign_problems(package: Path) -> list[str]:
    """Say where a package reaches for libraries that its room must not know."""
    problems = set()
    for who, imported in package_imports(package):
        library = imported.module.split(".")[0]
        where = f"{imported.file.relative_to(package)}:{imported.line}: {who} must not import {library}"
        if library in WIDGETS and who != "widgets":
            problems.add(where)
        if library in DRAWING and who not in {"plots", "widgets", "course"}:
            problems.add(where)
        if who == "maths" and library not in {"torch", "rllab", *sys.stdlib_module_names}:
            problems.add(where)
    return sorted(problems)


def panel_problems(package: Path) -> list[str]:
    """Say which imports among the widgets go up, or from one panel to another; their door names all panels.

    A panel's captions are part of it.
    """
    problems = set()
    for path in python_files(package / "widgets"):
        who = path.relative_to(package / "widgets").parts[0].removesuffix(".py").removesuffix("_captions")
        for imported in imports(path):
            parts = imported.module.split(".")
            whom = parts[2].removesuffix("_captions") if parts[:2] == ["rllab", "widgets"] and len(parts) > 2 else who
            if who != "__init__" and not may_import_beside(who, whom):
                problems.add(f"{path.relative_to(package)}:{imported.line}: {who} must not import {whom}")
            if parts[0] in WIDGETS and who != "engine":
                problems.add(f"{path.relative_to(package)}:{imported.line}: {who} must not import {parts[0]}")
    return sorted(problems)


def test_imports_point_down(root: Path) -> None:
    assert floor_problems(root / "rllab") == []


def test_libraries_stay_in_their_rooms(root: Path) -> None:
    assert foreign_problems(root / "rllab") == []


def test_panels_know_the_engine_but_not_each_other(root: Path) -> None:
    assert panel_problems(root / "rllab") == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("widgets/engine/charts.py", "from rllab.widgets.shared.line import Line"),
        ("widgets/shared/line.py", "from rllab.widgets.maze import MazePanel"),
        ("widgets/value.py", "from rllab.widgets.stepper_captions import StepperView"),
        ("widgets/maze.py", "import anywidget"),
    ],
)
def test_a_planted_import_among_panels_is_found(name: str, source: str, tmp_path: Path) -> None:
    plant(tmp_path / "rllab", name, source)
    assert len(panel_problems(tmp_path / "rllab")) == 1


def test_at_most_fourteen_rooms(root: Path) -> None:
    entries = {path.name for path in (root / "rllab").iterdir()} - {"__pycache__", "__init__.py", "py.typed"}
    assert entries == {*ROOMS} - {"__main__"} | {"__main__.py"}
    assert len(ROOMS) <= 15  # fourteen and the command line's entry


PLANTED = {
    "up": ("maths/losses.py", "from rllab.trainer.trainer import Trainer", "maths must not import trainer"),
    "up in a function": ("core/records.py", "def f():\n    import rllab.worlds.shipped", "must not import worlds"),
    "up through the door": ("policy/policy.py", "from rllab import Trainer", "not through rllab's door"),
    "a module after from": ("maths/returns.py", "from rllab import worlds", "maths must not import worlds"),
    "no floor": ("utils.py", "", "give these rooms a place"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_import_is_found(case: str, tmp_path: Path) -> None:
    name, source, problem = PLANTED[case]
    plant(tmp_path / "rllab", name, source)
    assert any(problem in found for found in floor_problems(tmp_path / "rllab"))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("plots/line.py", "import ipywidgets"),
        ("trainer/trainer.py", "import plotly"),
        ("maths/gae.py", "import numpy"),
    ],
)
def test_a_planted_library_is_found(name: str, source: str, tmp_path: Path) -> None:
    plant(tmp_path / "rllab", name, source)
    assert len(foreign_problems(tmp_path / "rllab")) == 1


def test_a_clean_package_has_no_problem(tmp_path: Path) -> None:
    plant(tmp_path / "rllab", "trainer/trainer.py", "import torch\nfrom rllab.maths.losses import reduce")
    assert floor_problems(tmp_path / "rllab") == foreign_problems(tmp_path / "rllab") == []


def plant(package: Path, name: str, source: str) -> None:
    path = package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source + "\n", "utf-8")
