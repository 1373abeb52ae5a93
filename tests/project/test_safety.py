"""No code arrives through data: no pickle, no remote code, weights only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.source import imports, python_files, tree

EXECUTING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def call_problem(call: ast.Call) -> str:
    """Say what is unsafe in one call, or return an empty text."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    name = ast.unparse(call.func)
    if "trust_remote_code" in keywords and not is_false(keywords["trust_remote_code"]):
        return "trust_remote_code runs code that came with a model"
    if "allow_pickle" in keywords and not is_false(keywords["allow_pickle"]):
        return "allow_pickle runs code that came with data"
    if name == "torch.load" and not is_true(keywords.get("weights_only", ast.Constant(None))):
        return "torch.load without weights_only=True runs code that came with weights"
    if name in {"eval", "exec", "compile", "os.system"}:
        return f"{name} runs text as code"
    return ""


def problems(folder: Path) -> list[str]:
    """Say where a folder's Python files could run code that came as data."""
    return sorted({problem for path in python_files(folder) for problem in file_problems(path)})


def file_problems(path: Path) -> Iterator[str]:
    for item in imports(path):
        library = item.module.split(".")[0]
        if library in EXECUTING:
            yield f"{path.name}:{item.line}: {library} runs code while it loads"
        if item.module == "torch.load":
            yield f"{path.name}:{item.line}: call it torch.load, so that this test sees it"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and (problem := call_problem(node)):
            yield f"{path.name}:{node.lineno}: {problem}"


def test_nothing_runs_code_that_came_as_data(root: Path) -> None:
    assert problems(root / "rllab") == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=trusted)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load",
        "numpy.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_a_planted_hole_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "hole.py").write_text(line + "\n", "utf-8")
    assert len(problems(tmp_path)) == 1


@pytest.mark.parametrize("line", ["torch.load(path, weights_only=True)", "model.eval()", "json.load(file)"])
def test_a_safe_line_passes(line: str, tmp_path: Path) -> None:
    (tmp_path / "safe.py").write_text(line + "\n", "utf-8")
    assert problems(tmp_path) == []
