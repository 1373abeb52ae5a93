"""The exercise panel without a browser: every kind of answer, verdicts, hints, retries."""

from pathlib import Path

import pytest

from rllab.course.exercises import Exercise, Progress, exercises
from rllab.course.exercises.grading import Choice, Code, Number, Words
from rllab.widgets import ExercisePanel
from tests.widgets.panels import sent, words

OPTION_KINDS = [one for one in exercises() if isinstance(one.task, Choice)]
NUMBER_KINDS = [one for one in exercises() if isinstance(one.task, Number)]
CODE_KINDS = [one for one in exercises() if isinstance(one.task, Code)]


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path)


@pytest.mark.parametrize("exercise", OPTION_KINDS, ids=lambda one: one.id)
def test_options_wrong_and_right(exercise: Exercise, progress: Progress) -> None:
    panel = ExercisePanel(exercise, progress=progress)
    for answer, reason in exercise.task.wrong_answers():
        panel.set("answer", answer)
        assert words(panel) == "No answer yet."
        panel.press("check")
        assert reason in words(panel)
    panel.set("answer", exercise.task.right_answer())
    panel.press("check")
    assert words(panel) == f"Right. {exercise.explanation}"
    marks = {item["value"]: item["mark"] for item in panel.component("answer")["options"]}
    assert {name for name, mark in marks.items() if mark == "right"} == set(exercise.task.right_answer())
    assert "wrong" not in marks.values()
    assert "solved" in words(panel, "status")


@pytest.mark.parametrize("exercise", NUMBER_KINDS, ids=lambda one: one.id)
def test_numbers_wrong_and_right(exercise: Exercise, progress: Progress) -> None:
    panel = ExercisePanel(exercise, progress=progress)
    for answer, reason in exercise.task.wrong_answers():
        panel.set("answer", " ".join(map(str, answer)))
        panel.press("check")
        assert reason in words(panel)
    panel.set("answer", ", ".join(f"{number:.6f}" for number in exercise.task.right_answer()))
    panel.press("check")
    assert words(panel).startswith("Right.")


@pytest.mark.parametrize("exercise", CODE_KINDS, ids=lambda one: one.id)
def test_functions_are_handed_over_in_a_cell(exercise: Exercise, progress: Progress) -> None:
    panel = ExercisePanel(exercise, progress=progress)
    for answer, reason in exercise.task.wrong_answers():
        assert reason in str(panel.submit(answer))
        assert reason in words(panel)
    assert repr(panel.submit(exercise.task.right_answer())).startswith("Right.")
    assert words(panel).startswith("Right.")
    assert "c_check" not in sent(panel)


@pytest.mark.parametrize("exercise", CODE_KINDS, ids=lambda one: one.id)
@pytest.mark.parametrize("unready", [lambda **_: ..., "text"])
def test_a_function_that_is_not_written_yet_costs_no_try(exercise: Exercise, progress: Progress, unready) -> None:
    panel = ExercisePanel(exercise, progress=progress)
    said = repr(panel.submit(unready))
    assert said.startswith("Not yet.")
    assert "replace the dots" in said or "pass your function" in said
    assert panel.attempt.count == 0
    assert words(panel) == "No answer yet."


def test_words_are_compared_by_the_learner(progress: Progress) -> None:
    (exercise,) = [one for one in exercises() if isinstance(one.task, Words)]
    panel = ExercisePanel(exercise, progress=progress)
    panel.set("answer", "too short")
    panel.press("check")
    assert "at least" in panel.alert
    panel.set("answer", "the controller is the agent and the room with its temperature is the state " * 2)
    panel.press("check")
    assert "A model answer" in words(panel)


def test_boards_are_shown_too(progress: Progress) -> None:
    panel = ExercisePanel("01.delay", progress=progress)
    assert panel.table is not None
    panel.table.arrange(panel.attempt.board.right_answer())
    panel.press("check")
    assert words(panel).startswith("Right.")
    panel.set("cards", {"card": "spam", "place": "tray", "at": 0})
    assert words(panel) == "You have solved this one before; you may solve it again."


def test_bad_input_is_a_sentence_and_costs_no_try(progress: Progress) -> None:
    panel = ExercisePanel("04.td", progress=progress)
    panel.set("answer", "a b c d")
    panel.press("check")
    assert panel.component("alert")["text"].startswith("answer is 'a b c d': write numbers")
    panel.set("answer", ["x"])
    panel.press("check")
    assert panel.alert
    assert panel.attempt.count == 0


def test_options_that_are_none_are_refused(progress: Progress) -> None:
    panel = ExercisePanel("01.feeder", progress=progress)
    for value in ("law", ["nonsense"], None, [["law"]]):
        panel.set("answer", value)
        assert panel.alert
        assert panel.answer == []


def test_a_new_panel_knows_what_was_done_before(progress: Progress) -> None:
    first = ExercisePanel("04.backup", progress=progress)
    first.press("hint")
    first.submit("0.34")
    again = ExercisePanel("04.backup", progress=progress)
    assert "solved · 1 try" in words(again, "status")
    assert "Hint: First Q of each token" in words(again, "hint-0")
    again.press("again")
    assert "not tried yet" in words(again, "status")
    assert again.component("hint")["label"] == "Hint (2 left)"


def test_the_title_is_the_exercise_and_all_is_strict_json(progress: Progress) -> None:
    for exercise in exercises():
        panel = ExercisePanel(exercise, progress=progress)
        assert sent(panel)["c_root"]["title"] == exercise.title
        assert words(panel, "question") == exercise.question
