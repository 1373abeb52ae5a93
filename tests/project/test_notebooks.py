"""Notebooks are clean: no outputs, a named kernel, short cells that make, show and use, sections that run alone."""

import ast
import builtins
import copy
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from benchmarks.proof_notebooks import Run, in_order, judged, sections

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REAL_LLM = "10_real_llm"  # its first section fetches the model that all others need
LONGEST_CELL = 12
WORK_OF_THE_PACKAGE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def unstripped(*paths: Path) -> str:
    """Ask the tool that strips notebooks which ones it would change; its start costs more than its work."""
    command = [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *map(str, paths)]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    return asked.stdout + asked.stderr if asked.returncode else ""


def cell_problem(source: str, tags: list[str]) -> str:
    """Say what is wrong with a code cell, or return an empty text."""
    if len(source.splitlines()) > LONGEST_CELL:
        return f"more than {LONGEST_CELL} lines"
    defined = any(isinstance(node, WORK_OF_THE_PACKAGE) for node in ast.walk(ast.parse(source)))
    if defined and "exercise" not in tags:
        return "a function or class outside an exercise belongs in the package"
    return ""


def problems(notebook: NotebookNode) -> list[str]:
    """Say what is wrong with a notebook."""
    found = [] if notebook.metadata.get("kernelspec") == KERNEL else ["its kernelspec is not python3"]
    if "widgets" in notebook.metadata:
        found.append("it carries widget state")
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            problem = cell_problem(cell.source, cell.metadata.get("tags", []))
            found += [f"cell {number}: {problem}"] if problem else []
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert problems(notebook) == []


def test_notebooks_carry_no_outputs() -> None:
    assert unstripped(*NOTEBOOKS) == "", "strip them: python -m nbstripout --keep-id notebooks/*.ipynb"


def test_notebooks_are_called_by_the_number_in_their_file_name() -> None:
    """A learner who reads "notebook 04" finds 04_value.ipynb; "notebook 4" would be a second name for it."""
    exercises = (ROOT / "data" / "exercises").glob("*.json")
    pages = [*NOTEBOOKS, *exercises, ROOT / "docs" / "workshop.md", ROOT / "README.md"]
    short = {page.name: re.findall(r"[Nn]otebooks? \d(?!\d)", page.read_text("utf-8")) for page in pages}
    assert {name: found for name, found in short.items() if found} == {}


@pytest.fixture
def clean() -> NotebookNode:
    return new_notebook(cells=[new_code_cell("import rllab\nrllab")], metadata={"kernelspec": dict(KERNEL)})


def test_a_clean_notebook_has_no_problem(clean: NotebookNode, tmp_path: Path) -> None:
    nbformat.write(clean, tmp_path / "clean.ipynb")
    assert problems(clean) == []
    assert unstripped(tmp_path / "clean.ipynb") == ""


def test_planted_outputs_are_found(clean: NotebookNode, tmp_path: Path) -> None:
    clean.cells[0].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    nbformat.write(clean, tmp_path / "dirty.ipynb")
    assert "dirty.ipynb" in unstripped(NOTEBOOKS[0], tmp_path / "dirty.ipynb")


def test_planted_metadata_is_found(clean: NotebookNode) -> None:
    without, stateful = copy.deepcopy(clean), copy.deepcopy(clean)
    del without.metadata["kernelspec"]
    stateful.metadata["widgets"] = {}
    assert problems(without) == ["its kernelspec is not python3"]
    assert problems(stateful) == ["it carries widget state"]


@pytest.mark.parametrize(
    ("source", "tags", "good"),
    [
        ("x = 1\n" * 12, [], True),
        ("x = 1\n" * 13, [], False),
        ("def f():\n    return 1", [], False),
        ("def f():\n    return 1", ["exercise"], True),
        ("if True:\n    class A:\n        pass", ["other"], False),
    ],
)
def test_a_planted_cell_is_judged(source: str, tags: list[str], *, good: bool) -> None:
    assert (cell_problem(source, tags) == "") == good


def borrowed(notebook: NotebookNode) -> list[str]:
    """Say which names a section reads that neither it nor the set-up has made."""
    setup, *parts = sections(notebook)
    found = []
    for number, cells in enumerate(parts, 1):
        made = set(dir(builtins)) | set().union(*(names(cell)[1] for cell in setup))
        for cell in cells:
            read, bound = names(cell)
            found += [f"section {number}: {name}" for name in sorted(read - made - bound)]
            made |= bound
    return found


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that code reads, and those that it makes."""
    nodes = list(ast.walk(ast.parse(source)))
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    made |= {node.name for node in nodes if isinstance(node, WORK_OF_THE_PACKAGE)}
    aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return read, made | {(alias.asname or alias.name).partition(".")[0] for alias in aliases}


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem != REAL_LLM], ids=lambda path: path.name)
def test_a_section_needs_nothing_but_the_set_up(path: Path) -> None:
    """A learner may begin at any section; `python lab.py proof proof_notebooks` runs them all in reverse order."""
    assert borrowed(nbformat.read(path, as_version=4)) == []


def test_a_planted_loan_is_found() -> None:
    cells = ["import rllab", "## One", "world = rllab", "world", "## Two", "print(world, [one for one in (1, 2)])"]
    made = [(new_markdown_cell if cell.startswith("#") else new_code_cell)(cell) for cell in cells]
    assert borrowed(new_notebook(cells=made)) == ["section 2: world"]
    assert in_order(sections(new_notebook(cells=made)), reverse=True) == [cells[0], cells[5], *cells[2:4]]


def test_one_bad_run_spoils_the_claim() -> None:
    good = Run("00_tour", "reverse", seconds=20.0, processor=5.0, mib=450.0, stopped="")
    assert judged([good, good]).passed
    for bad in ({"seconds": 121.0}, {"mib": 1025.0}, {"stopped": "a seat stopped with NameError: world"}):
        found = judged([good, replace(good, **bad)])
        assert not found.passed
        assert bad.get("stopped", "") in found.figure
