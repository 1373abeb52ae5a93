"""Read single functions out of installed packages that are too heavy to import whole.

Nothing of theirs is kept here: the definitions are cut out of the package's own file at run time (without
decorators, annotations left unevaluated) and imported from a temporary folder.
"""

import ast
import importlib.util
import tempfile
from pathlib import Path

HEADER = """from __future__ import annotations
from collections import defaultdict
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
"""


def definitions(package, path, *names, **known):
    """Import the named functions, classes and constants of a file; `known` are other names that they use."""
    root = importlib.util.find_spec(package).submodule_search_locations[0]
    tree = ast.parse((Path(root) / path).read_text("utf-8"))
    wanted = [node for node in tree.body if _name(node) in names]
    missing = set(names) - {_name(node) for node in wanted}
    if missing:
        message = f"{package}/{path} has no {', '.join(sorted(missing))}"
        raise LookupError(message)
    for node in wanted:
        node.decorator_list = []
    source = HEADER + "\n".join(ast.unparse(node) for node in wanted)
    module = _imported(source, name=f"{package}_{Path(path).stem}")
    vars(module).update(known)
    return module


def _name(node):
    """Name what a statement defines, if anything."""
    if isinstance(node, ast.Assign):
        return getattr(node.targets[0], "id", None)
    return getattr(node, "name", None)


def _imported(source, *, name):
    """Import Python source as a module."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source, "utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
