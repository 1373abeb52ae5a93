"""README and CONTRIBUTING speak of what is there."""

import re
from pathlib import Path

import pytest

import lab
from tests.project.floors import ROOMS


def rows(path: Path, heading: str) -> list[str]:
    """Return the first cells of the table below a heading."""
    section = path.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return [cell for cell in cells[1:] if not set(cell) <= set("- ")]


def map_problems(root: Path, mapped: list[str]) -> list[str]:
    """Say which lines of the map lead nowhere, and which rooms it leaves out."""
    lost = [f"{path} is not there" for path in mapped if not (root / path).exists()]
    rooms = {path.name for path in (root / "rllab").glob("*.py")}
    rooms |= {f"{path.parent.name}/" for path in (root / "rllab").glob("*/*.py")}
    return lost + [f"rllab/{room} is not on the map" for room in sorted(rooms) if f"rllab/{room}" not in mapped]


def test_the_map_is_true(root: Path) -> None:
    assert map_problems(root, [cell.strip("`") for cell in rows(root / "README.md", "Map")]) == []


def test_a_planted_fault_in_the_map_is_found(tmp_path: Path) -> None:
    (tmp_path / "rllab").mkdir()
    (tmp_path / "rllab" / "new.py").touch()
    assert map_problems(tmp_path, ["rllab/old.py"]) == ["rllab/old.py is not there", "rllab/new.py is not on the map"]


def test_every_dependency_has_its_reason(root: Path) -> None:
    cells = rows(root / "CONTRIBUTING.md", "Dependencies, and why")
    told = {name.strip() for cell in cells for name in cell.split(",")}
    asked = {re.split(r"[<>=]", line)[0] for line in lab.requirements("lab", "llm", "test")}
    assert told == asked


def test_the_rooms_are_told_in_their_order(root: Path) -> None:
    assert tuple(cell.strip("`") for cell in rows(root / "CONTRIBUTING.md", "Rooms")) == ROOMS


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/workshop.md"])
def test_images_are_there(page: str, root: Path) -> None:
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (root / page).read_text("utf-8")):
        assert ((root / page).parent / image).is_file(), image
