"""Read Python files as trees: imports, lines of code, functions."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Import(NamedTuple):
    """One imported module, and where."""

    file: Path
    line: int
    module: str


class Function(NamedTuple):
    """One function, its location and its number of lines of code."""

    file: Path
    name: str
    lines: int


def python_files(folder: Path) -> list[Path]:
    """List the Python files below a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def tree(path: Path) -> ast.Module:
    """Parse a Python file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[Import]:
    """Yield every module that a file imports, wherever in it; `from a import b` may mean a.b, so both."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                raise AssertionError(f"{path}:{node.lineno}: relative import; write the module's full name")
            yield Import(path, node.lineno, module)
            yield from (Import(path, node.lineno, f"{module}.{name.name}") for name in node.names)


def code_lines(path: Path) -> set[int]:
    """Return the numbers of the lines that hold code: no docstring, blank or comment."""
    text = path.read_text("utf-8")
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text_node = node.body[0]
            held.difference_update(range(text_node.lineno, (text_node.end_lineno or 0) + 1))
    return held


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of a file with its lines of code: a signature is one, however it is laid out."""
    held = code_lines(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
            yield Function(path, node.name, 1 + len(held.intersection(lines)))
