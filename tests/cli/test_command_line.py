"""The command line reports trouble in one sentence, and the doctor finds what is missing."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import lab
from rllab.cli import doctor
from rllab.cli import main as command_line
from rllab.core.errors import LabError, Stopped
from rllab.core.files import write_manifest
from rllab.core.jobs import Job


def topics(check: Callable[[], Iterator[doctor.Finding]]) -> dict[str, bool]:
    return {finding.text: finding.ok for finding in check()}


def test_doctor_reports_and_exits_with_0(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rllab", "doctor"], cwd=root, check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    told = {line.split()[1] for line in lines[:-2]}
    assert told == {"Python", "package", "model", "memory", "threads", "GPU", "widgets"}
    assert {line.split()[0] for line in lines[:-2]} <= {"ok", "missing"}
    assert "Traceback" not in done.stderr


def test_the_command_line_never_loads_widgets() -> None:
    look = "from rllab.cli import doctor; list(doctor.examine())"
    code = f"import sys, rllab.__main__; {look}; print('ipywidgets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("installed", [True, False])
def test_a_python_without_packages_hands_over_or_says_so(root: Path, tmp_path: Path, *, installed: bool) -> None:
    """README's `python -m rllab train ...` is typed with the system's Python, and the packages are in .venv."""
    shutil.copytree(root / "rllab", tmp_path / "rllab", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").touch()
    if installed:
        python = tmp_path / lab.venv_python().relative_to(root)
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho handed over: $@\n", "utf-8")
        python.chmod(0o755)
    bare = [sys.executable, "-S", "-m", "rllab", "fetch", "smollm2"]
    done = subprocess.run(bare, cwd=tmp_path, env={"PATH": ""}, check=False, capture_output=True, text=True)
    if installed:
        assert done.stdout == "handed over: -m rllab fetch smollm2\n"
    else:
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert "is not installed; run: python lab.py setup" in done.stderr


@pytest.mark.parametrize("version", [None, "2.9.1"])
def test_doctor_sees_a_package_that_is_absent_or_too_old(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.metadata.version

    def told(name: str) -> str:
        if name != "torch":
            return there(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", told)
    wrong = [finding for finding in doctor.packages() if not finding.ok]
    assert [finding.text.split(">")[0].split()[0] for finding in wrong] == ["torch"]
    assert "python lab.py setup" in str(wrong[0])


def test_doctor_sees_a_changed_model_and_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "changed"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "weights").write_bytes(b"0123")
        write_manifest(tmp_path / "models" / name)
    (tmp_path / "models" / "changed" / "weights").write_bytes(b"0124")
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    changed, whole = doctor.models()
    assert whole.ok
    assert not changed.ok
    assert "python -m rllab build changed" in str(changed)


def test_doctor_sees_that_no_models_came_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    assert [finding.ok for finding in doctor.models()] == [False]


def test_doctor_sees_that_widgets_cannot_render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(topics(doctor.widgets).values())
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path)])
    assert not any(topics(doctor.widgets).values())


def test_doctor_sees_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEM_LIMIT", str(2**29))
    assert not any(topics(doctor.memory).values())


def test_a_check_without_its_package_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert [finding.topic for finding in doctor.examine() if not finding.ok] == ["memory"]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put a recipe of the test's own behind `build`."""
    there = SimpleNamespace(act=lambda **_: None, asked=[])

    def build(name: str, *, job: Job) -> None:
        there.asked.append(name)
        there.act(job=job)

    module = ModuleType("rllab.course.recipes")
    module.build = build
    monkeypatch.setitem(sys.modules, "rllab.course.recipes", module)
    return there


def test_build_shows_its_progress(recipe: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    def act(*, job: Job) -> None:
        job.report(1, 4, "counting")
        job.report(4, 4, "done")

    recipe.act = act
    assert command_line.main(["build", "micro"]) == 0
    assert recipe.asked == ["micro"]
    shown = capsys.readouterr().err
    assert "done" in shown
    assert "4.00/4.00" in shown


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (LabError("world", "mirco", "did you mean micro?"), 2, "world is 'mirco': did you mean micro?"),
        (Stopped(), 130, "Stopped"),
        (KeyboardInterrupt(), 130, "Stopped"),
    ],
)
def test_trouble_is_one_sentence(
    error: BaseException, status: int, sentence: str, recipe: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(**_: object) -> None:
        raise error

    recipe.act = act
    assert command_line.main(["build", "mirco"]) == status
    assert sentence in capsys.readouterr().err


def test_no_command_says_what_there_is() -> None:
    done = subprocess.run([sys.executable, "-m", "rllab"], check=False, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2
    assert "doctor" in done.stderr or "COMMAND" in done.stderr
