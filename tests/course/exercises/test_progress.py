"""Progress is kept on this machine, whole or not at all, and can be forgotten and looked over."""

import json
import threading
from pathlib import Path

import pytest

from rllab.core.errors import LabError
from rllab.course.exercises import Attempt, Progress, exercise_named, exercises, overview
from rllab.course.exercises.progress import KEPT, Prediction


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path / "progress")


def test_answers_are_kept_and_found_again(progress: Progress) -> None:
    first = Attempt("04.backup", progress=progress)
    assert not first.submit("0.4").right
    assert first.submit("0.34").right
    again = Attempt("04.backup", progress=Progress(progress.folder))
    assert (again.solved, again.count) == (True, 2)
    kept = progress.entry("04.backup")
    assert [answer.answer for answer in kept.tries] == ["0.4", "0.34"]
    assert "plain mean" in kept.tries[0].reason


def test_what_cannot_be_read_costs_no_try(progress: Progress) -> None:
    attempt = Attempt("04.backup", progress=progress)
    with pytest.raises(LabError):
        attempt.submit("half")
    assert attempt.count == 0
    assert attempt.verdict is None


def test_hints_come_in_steps_and_are_remembered(progress: Progress) -> None:
    attempt = Attempt("04.backup", progress=progress)
    first, second = exercise_named("04.backup").hints
    assert [attempt.hint(), attempt.hint(), attempt.hint()] == [first, second, second]
    assert Attempt("04.backup", progress=progress).hints == (first, second)


def test_one_exercise_or_all_are_forgotten(progress: Progress) -> None:
    for name in ("04.backup", "02.entropy"):
        Attempt(name, progress=progress).submit([0.0])
    Attempt("04.backup", progress=progress).reset()
    assert progress.entry("04.backup").count == 0
    assert progress.entry("02.entropy").count == 1
    progress.reset()
    assert progress.entry("02.entropy").count == 0


def test_a_function_is_kept_by_its_name(progress: Progress) -> None:
    def my_return(rewards: list[float], gamma: float) -> float:
        return rewards[0]

    Attempt("01.return", progress=progress).submit(my_return)
    assert progress.entry("01.return").tries[0].answer == "my_return"


def test_the_file_stays_small(progress: Progress) -> None:
    attempt = Attempt("01.sweep", progress=progress)
    for _ in range(KEPT + 5):
        attempt.submit("1")
    entry = progress.entry("01.sweep")
    assert (len(entry.tries), entry.count) == (KEPT, KEPT + 5)


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"tries": [1]}', '{"tries": [], "count": "many"}', "\x00\x00"])
def test_a_damaged_file_stops_nobody(damaged: str, progress: Progress) -> None:
    """A panel is made in a cell: what it cannot read must not stop the cells below, nor the overview of a room."""
    progress.folder.mkdir(parents=True)
    for name in ("01.sweep", "predict.curve"):
        (progress.folder / f"{name}.json").write_text(damaged, "utf-8")
    attempt = Attempt("01.sweep", progress=progress)
    assert (attempt.count, attempt.solved, attempt.hints) == (0, False, ())
    assert all(seen.begun == 0 for seen in overview(exercises("01"), [progress]))
    attempt.submit("4")
    assert Attempt("01.sweep", progress=progress).solved
    asked = Prediction("curve", "What?", options={"up": "it rises"}, progress=progress)
    assert not asked.unlocked
    asked.predict("up")
    assert asked.unlocked


def test_a_reader_never_sees_half_a_file(progress: Progress) -> None:
    attempt = Attempt("01.sweep", progress=progress)
    attempt.submit("1")
    broken: list[str] = []

    def read() -> None:
        for _ in range(200):
            try:
                json.loads((progress.folder / "01.sweep.json").read_text("utf-8"))
            except ValueError as error:
                broken.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        attempt.submit("5")
    reader.join()
    assert broken == []
    assert [path.name for path in progress.folder.iterdir()] == ["01.sweep.json"]


def test_the_leader_sees_who_stumbled_where(tmp_path: Path) -> None:
    room = [Progress(tmp_path / name) for name in ("ada", "ben", "cy")]
    Attempt("04.backup", progress=room[0]).submit("0.34")
    for answer in ("0.4", "0.4", "0.34"):
        Attempt("04.backup", progress=room[1]).submit(answer)
    seen = {row.exercise.id: row for row in overview(exercises("04"), room)}
    backup = seen["04.backup"]
    assert (backup.begun, backup.solved, backup.answers) == (2, 2, 2.0)
    assert backup.stumbles[0][1] == 2
    assert "plain mean" in backup.stumbles[0][0]
    assert (seen["04.td"].begun, seen["04.td"].answers) == (0, 0.0)


def test_a_prediction_is_kept_before_and_compared_after(progress: Progress) -> None:
    options = {"up": "it rises", "down": "it falls"}
    asked = Prediction("curve", "What will the curve do?", options=options, progress=progress)
    assert not asked.unlocked
    with pytest.raises(LabError, match="predict first"):
        asked.compare("up")
    with pytest.raises(LabError, match="it rises"):
        asked.predict("sideways")
    asked.predict("up")
    later = Prediction("curve", "What will the curve do?", options=options, progress=progress)
    assert later.unlocked
    verdict = later.compare("down")
    assert not verdict.right
    assert "You predicted “it rises”; it came out as “it falls”." in verdict.reason
    later.again()
    assert not later.unlocked


def test_a_number_is_right_within_its_tolerance(progress: Progress) -> None:
    asked = Prediction("factor", "By what factor?", unit="times", tolerance=0.25, progress=progress)
    asked.predict(20.0)
    assert asked.compare(21.1).right
    assert not asked.compare(434.0).right
    assert "20 times" in asked.compare(21.1).reason
