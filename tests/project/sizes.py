"""How large each room is: lines of code without docstrings, blanks and comments, imports, helpers used once.

python -m tests.project.sizes    write the table in CONTRIBUTING.md anew
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.project.floors import ROOMS
from tests.project.source import code_lines, python_files, tree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
HEAD = "| Room | Files | Lines of code | Imports | Helpers used once |\n| --- | --- | --- | --- | --- |\n"
TABLE = re.compile(re.escape(HEAD) + r"(\|.*\n)+")
SUPPORT, WHOLE = "all but course", "whole package"


class Size(NamedTuple):
    """The size of a room."""

    files: int
    lines: int  # of code
    imports: int  # lines of code that import
    once: int  # private functions with a single use

    def row(self, name: str) -> str:
        """Return the size as a row of the table."""
        share = self.imports / self.lines if self.lines else 0.0
        return f"| {name} | {self.files} | {self.lines:,} | {share:.0%} | {self.once} |\n"

    def plus(self, other: Size) -> Size:
        """Return the size of two rooms together."""
        return Size(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def import_lines(path: Path) -> int:
    """Count the lines that import statements take."""
    found = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Import | ast.ImportFrom))
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in found)


def private_functions(path: Path) -> list[str]:
    """Return the names of a file's private functions."""
    found = (node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))
    return [name for name in found if name.startswith("_") and not name.startswith("__")]


def room_sizes(root: Path = ROOT) -> dict[str, Size]:
    """Return the size of every room, in the order of the rooms, then of the package without the course and whole."""
    package = root / "rllab"
    files = python_files(package)
    words = Counter(re.findall(r"\b_[a-z]\w+\b", "\n".join(path.read_text("utf-8") for path in files)))
    sizes = dict.fromkeys(ROOMS, Size(0, 0, 0, 0))
    for path in files:
        room = path.relative_to(package).parts[0].removesuffix(".py")
        once = sum(words[name] == 2 for name in private_functions(path))  # its definition and one use
        size = Size(1, len(code_lines(path)), import_lines(path), once)
        sizes[room] = sizes.get(room, Size(0, 0, 0, 0)).plus(size)
    whole = support = Size(0, 0, 0, 0)
    for room, size in sizes.items():
        whole = whole.plus(size)
        support = support if room == "course" else support.plus(size)
    return {room: size for room, size in sizes.items() if room != "__init__"} | {SUPPORT: support, WHOLE: whole}


def table(root: Path = ROOT) -> str:
    """Return the table of all sizes."""
    return HEAD + "".join(size.row(f"`{name}`" if name in ROOMS else name) for name, size in room_sizes(root).items())


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text("utf-8"), count=1), "utf-8")
