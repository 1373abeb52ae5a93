"""The preflight check of a workshop runs cells as a learner does, and names the one that fails."""

import json
from pathlib import Path

import pytest

import lab
from rllab.cli import doctor, preflight
from rllab.cli.doctor import Finding

SMALL = """from rllab import load_world
from rllab.widgets import StepperPanel, TrainingPanel

world = load_world("micro")
stepper, training = StepperPanel(world), TrainingPanel(world, updates=2)"""


def notebook(path: Path, *sources: str) -> Path:
    cells = [{"cell_type": "markdown", "source": "# words"}]
    cells += [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    return path


@pytest.mark.timeout(300)
def test_a_whole_tour_is_stepped_and_trained(tmp_path: Path) -> None:
    found = list(preflight.run_tour(notebook(tmp_path / "tour.ipynb", "1 + 1", SMALL)))
    assert [finding.topic for finding in found] == ["folder", "server", "tour", "step", "train", "seat"]
    # a busy machine may step slowly
    assert [str(finding) for finding in found if finding.topic != "step" and not finding.ok] == []
    assert "2 cells of tour.ipynb ran" in found[2].text
    assert "GiB for itself" in found[5].text


@pytest.mark.timeout(300)
def test_the_cell_that_fails_is_named_and_ends_the_check(tmp_path: Path) -> None:
    found = list(preflight.run_tour(notebook(tmp_path / "tour.ipynb", "1 + 1", "1 / 0", SMALL)))
    assert [finding.topic for finding in found] == ["folder", "server", "tour"]
    assert "code cell 2 of tour.ipynb stops with ZeroDivisionError" in found[2].text
    assert not found[2].ok


def test_a_missing_tour_is_reported(tmp_path: Path) -> None:
    assert [finding.ok for finding in preflight.run_tour(tmp_path / "nowhere.ipynb")] == [True, False]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path / "file"))
    first = next(preflight.run_tour())
    assert not first.ok
    assert "RLLAB_HOME" in first.remedy


@pytest.mark.parametrize(("remedy", "status"), [("", 0), ("close other programs", 1)])
def test_before_a_workshop_what_is_missing_is_a_failure(
    remedy: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(lambda: iter([Finding("tour", "ran", remedy)]), strict=True) == status
    assert doctor.main(lambda: iter([Finding("tour", "ran", remedy)])) == 0
    assert ("1 missing" in capsys.readouterr().out) == bool(remedy)


def test_lab_py_passes_workshop_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(lab, "ready_python", lambda *_: "python")
    monkeypatch.setattr(lab, "run", lambda *command: asked.append(command) or 1)
    assert lab.main(["doctor", "--workshop"]) == 1
    assert lab.main(["doctor"]) == 1
    assert asked == [("python", "-m", "rllab", "doctor", "--workshop"), ("python", "-m", "rllab", "doctor")]
    with pytest.raises(SystemExit):
        lab.parse(["setup", "--workshop"])
    assert "setup takes no names or options such as --workshop" in capsys.readouterr().err
