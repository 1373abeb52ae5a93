"""The public names of the package with their docstrings: what docs/api.md is built from.

    python -m tests.project.reference    write docs/api.md

Public is what `rllab` and the `__init__` of its rooms export.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from tests.project.floors import ROOMS

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
HEAD = """# API reference

The public names, room by room, from their docstrings. `python -m tests.project.reference` writes this page; a test
compares it with the code. Shapes: B rows, P prompt width, T response width, A actions (vocabulary), K shown candidates.
"""
SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes):$", re.MULTILINE)


class Public(NamedTuple):
    """One public object: where it is exported, what it is called, and the object itself."""

    room: str
    name: str
    value: object


def exported(module: ModuleType) -> list[str]:
    """Return the names that a module exports, in its own order."""
    table = getattr(module, "_HOME_OF", None)
    return sorted(table) if table is not None else list(getattr(module, "__all__", ()))


def public_names() -> Iterator[Public]:
    """Yield every public name once: those of `rllab` itself, then room by room."""
    seen = set()
    for room in ("", *ROOMS[:-1]):
        module = importlib.import_module(f"rllab.{room}" if room else "rllab")
        for name in exported(module):
            value = getattr(module, name)
            if id(value) not in seen:
                seen.add(id(value))
                yield Public(room, name, value)


def parts(public: Public) -> Iterator[tuple[str, object]]:
    """Yield a public object and, of a class, its own public methods, under their written names."""
    yield public.name, public.value
    if inspect.isclass(public.value):
        for name, member in vars(public.value).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            own = inspect.isfunction(function) and function.__qualname__.startswith(public.value.__qualname__)
            if own and not name.startswith("_"):
                yield f"{public.name}.{name}", function


def parameters(value: object) -> list[str]:
    """Return the names of what a function, or the constructor of a class, takes."""
    if inspect.isclass(value) and dataclasses.is_dataclass(value):
        own = inspect.get_annotations(value)  # inherited fields are described where they are declared
        fields = [field.name for field in dataclasses.fields(value) if field.init and field.name in own]
        return [name for name in fields if not name.startswith("_")]
    if inspect.isclass(value):
        if issubclass(value, tuple) or getattr(value, "_is_protocol", False) or "__init__" not in vars(value):
            return []
        value = value.__init__
    if not callable(value):
        return []
    return [name for name in inspect.signature(value).parameters if name not in {"self", "cls"}]


def raises(value: object) -> bool:
    """Return whether a function raises LabError in its own body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    names = [ast.unparse(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return any(name.startswith(("LabError", "unknown")) for name in names)


def problems(public: Public) -> Iterator[str]:
    """Yield what is missing in the docstrings of one public object."""
    for name, value in parts(public):
        where = f"{public.room or 'rllab'}: {name}"
        text = inspect.getdoc(value) or ""
        if not text:
            yield f"{where} has no docstring"
            continue
        sections = set(SECTION.findall(text))
        taken = parameters(value)
        described = "Args" in sections or ("Attributes" in sections and inspect.isclass(value))
        if taken and not described:
            yield f"{where} does not describe what it takes"
        elif taken:
            yield from (
                f"{where} does not describe {one}"
                for one in taken
                if not re.search(rf"^\s+\*?{one}\b", text, re.MULTILINE)
            )
        if inspect.isfunction(value) and taken:
            answer = inspect.signature(value).return_annotation
            if answer not in {None, "None", inspect.Signature.empty} and not sections & {"Returns", "Yields"}:
                yield f"{where} does not describe what it returns"
            if raises(value) and "Raises" not in sections:
                yield f"{where} does not describe what it raises"


def signature(value: object) -> str:
    """Return a signature as it is written, without the annotations' full paths."""
    if not callable(value) or (inspect.isclass(value) and not parameters(value)):
        return ""
    function = value.__init__ if inspect.isclass(value) and not dataclasses.is_dataclass(value) else value
    written = re.sub(r"<rllab\.core\.jobs\.Job object at \w+>", "NO_JOB", str(inspect.signature(function)))
    written = re.sub(r"<(function|class) '?([\w.]+)'?( at \w+)?>", r"\2", written)
    written = re.sub(r"(: |-> )'([^']*)'", r"\1\2", written)  # annotations are texts, defaults may be
    written = written.replace("self, ", "").replace("(self)", "()").replace("cls, ", "")
    return re.sub(r" -> None$", "", written)


def page() -> str:
    """Return the whole reference."""
    lines, room = [HEAD], None
    for public in public_names():
        if public.room != room:
            room = public.room
            lines.append(f"\n## `rllab{'.' + room if room else ''}`\n")
        for name, value in parts(public):
            depth = "####" if "." in name else "###"
            lines.append(f"{depth} `{name}{signature(value)}`\n")
            lines.append(f"```text\n{inspect.getdoc(value)}\n```\n")
    return "\n".join(lines)


if __name__ == "__main__":
    API.write_text(page(), "utf-8")
