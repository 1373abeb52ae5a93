"""The progress panel without a browser: one's own, a room's, and a reset that asks twice."""

from pathlib import Path

import pytest

from rllab.course.exercises import Attempt, Progress
from rllab.widgets import ProgressPanel
from tests.widgets.panels import words


def cell(panel: ProgressPanel, name: str) -> list[str]:
    rows = [[span["text"] for span in line] for line in panel.component("exercises")["rows"]]
    return next(line for line in rows if line[0].startswith(name))


def test_the_leader_sees_a_room(tmp_path: Path) -> None:
    for name, answers in (("ada", ["0.34"]), ("ben", ["0.4", "0.34"]), ("cy", [])):
        for answer in answers:
            Attempt("04.backup", progress=Progress(tmp_path / name / "progress")).submit(answer)
    panel = ProgressPanel([tmp_path / name for name in ("ada", "ben", "cy")])
    assert cell(panel, "04.backup")[1:4] == ["2", "2", "1.5"]
    assert "plain mean" in cell(panel, "04.backup")[4]
    assert words(panel).startswith("3 learners, 2 exercises started, 2 solved")
    panel.set("notebook", "05")
    assert all(line[0]["text"].startswith("05.") for line in panel.component("exercises")["rows"])
    assert "c_reset" not in panel.get_state()


def test_a_reset_asks_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path))
    Attempt("04.backup").submit("0.34")
    panel = ProgressPanel()
    assert cell(panel, "04.backup")[1:3] == ["1", "1"]
    panel.press("reset")
    assert "Press once more" in words(panel)
    assert Progress().entry("04.backup").count == 1
    panel.press("reset")
    assert Progress().entry("04.backup").count == 0
    assert cell(panel, "04.backup")[1:4] == ["0", "0", "\u2013"]
