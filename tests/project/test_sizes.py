"""CONTRIBUTING tells how large the rooms are; the figures are reported, not gated."""

from pathlib import Path

import pytest

from tests.project.sizes import TABLE, private_functions, room_sizes

REMEDY = "run `python -m tests.project.sizes` to write the table anew"


def told(root: Path) -> dict[str, list[float]]:
    """Return the rows of the table as numbers."""
    found = TABLE.search((root / "CONTRIBUTING.md").read_text("utf-8"))
    assert found, "CONTRIBUTING.md has no table of sizes"
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in found.group(0).splitlines()[2:]]
    return {row[0]: [float(cell.replace(",", "").rstrip("%")) for cell in row[1:]] for row in rows}


def test_the_table_of_sizes_is_true(root: Path) -> None:
    rows, sizes = told(root), room_sizes(root)
    assert list(rows) == list(sizes), REMEDY
    for name, (files, lines, imports, once) in rows.items():
        size = sizes[name]
        assert files == size.files, f"{name}: {REMEDY}"
        assert lines == pytest.approx(size.lines, rel=0.02, abs=10), f"{name}: {REMEDY}"
        assert imports == pytest.approx(100 * size.imports / max(1, size.lines), abs=2), f"{name}: {REMEDY}"
        assert once == pytest.approx(size.once, abs=3), f"{name}: {REMEDY}"


def test_a_planted_room_is_measured(tmp_path: Path) -> None:
    room = tmp_path / "rllab" / "core"
    room.mkdir(parents=True)
    source = '"""Words."""\n\nimport json\n\n# why\ndef _once() -> str:\n    """Words."""\n    return json.dumps(1)\n'
    (room / "big.py").write_text(source + "\nVALUE = _once()\n", "utf-8")
    assert private_functions(room / "big.py") == ["_once"]
    assert room_sizes(tmp_path)["core"] == (1, 4, 1, 1)
    assert room_sizes(tmp_path)["whole package"].lines == 4
