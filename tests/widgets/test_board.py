"""The board without a browser: moves, checks, marks, and the play of the learner's order."""

from pathlib import Path

import pytest

from rllab import Trainer, World
from rllab.core.errors import LabError
from rllab.course.exercises import Progress
from rllab.course.exercises.boards import Board
from rllab.widgets import BoardPanel
from tests.widgets.panels import sent, words

RIGHT = ("state", "action", "score", "value", "update")


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path)


def lay(panel: BoardPanel, *moves: tuple[str, str]) -> None:
    for card, place in moves:
        at = len(panel.table.rows[place])
        panel.set("cards", {"card": card, "place": place, "at": at})


def cards_in(panel: BoardPanel, place: str) -> list[str]:
    zones = {zone["id"]: zone["cards"] for zone in panel.component("cards")["zones"]}
    found: list[str] = zones[place]
    return found


def test_cards_move_and_the_page_sees_where_they_lie(progress: Progress) -> None:
    panel = BoardPanel("01.maze", progress=progress)
    lay(panel, ("robot", "agent"), ("map", "agent"))
    assert cards_in(panel, "agent") == ["map"]
    assert "robot" in cards_in(panel, "tray")
    assert panel.alert == ""
    assert sent(panel)["c_cards"]["cards"]["robot"]["text"] == "the robot"


@pytest.mark.parametrize(
    "move",
    [
        None,
        {},
        {"card": "robot", "place": "agent"},
        {"card": "robot", "place": "moon", "at": 0},
        {"card": "dog", "place": "agent", "at": 0},
        {"card": "robot", "place": "agent", "at": True},
        {"card": ["robot"], "place": "agent", "at": 0},
    ],
)
def test_a_move_that_the_page_cannot_make_changes_nothing(progress: Progress, move: object) -> None:
    panel = BoardPanel("01.maze", progress=progress)
    before = panel.table.placement
    panel.set("cards", move)
    assert panel.table.placement == before
    assert panel.alert


def test_a_wrong_card_is_marked_and_told_why_and_a_move_takes_the_verdict_away(progress: Progress) -> None:
    panel = BoardPanel("01.maze", progress=progress)
    lay(panel, ("robot", "agent"), ("cheese", "state"))
    panel.press("check")
    assert "Not yet" in words(panel)
    assert "Being at the cheese is a state" in words(panel)
    marks = {card: item["mark"] for card, item in panel.component("cards")["cards"].items()}
    assert (marks["robot"], marks["cheese"], marks["map"]) == ("right", "wrong", "")
    lay(panel, ("cheese", "reward"))
    assert not any(item["mark"] for item in panel.component("cards")["cards"].values())
    assert words(panel) == "No answer yet."


@pytest.mark.parametrize("name", ["01.maze", "01.bot", "02.matching", "07.order", "07.iteration", "09.methods"])
def test_the_key_is_accepted_on_every_kind_of_board(progress: Progress, name: str) -> None:
    panel = BoardPanel(name, progress=progress)
    for place, cards in panel.board.right_answer().items():
        lay(panel, *((card, place) for card in cards))
    panel.press("check")
    assert words(panel).startswith("Right.")
    assert all(item["mark"] in {"right", ""} for item in panel.component("cards")["cards"].values())
    panel.press("again")
    assert panel.attempt.count == 0
    assert cards_in(panel, "tray") == panel.board.shuffled()


def test_an_empty_board_is_a_sentence_and_no_try(progress: Progress) -> None:
    panel = BoardPanel("01.maze", progress=progress)
    panel.press("check")
    assert "place at least one card" in panel.alert
    assert panel.attempt.count == 0


def test_hints_come_one_by_one(progress: Progress) -> None:
    panel = BoardPanel("01.maze", progress=progress)
    for number in range(3):
        panel.press("hint")
        assert panel.component(f"hint-{number}")["spans"]
    assert panel.component("hint")["disabled"]


def test_the_play_stops_at_the_missing_record(progress: Progress, micro: World) -> None:
    trainer = Trainer(micro, config=micro.config("ppo", batch_size=4, micro_batch_size=4, epochs=1))
    panel = BoardPanel("07.order", trainer=trainer, progress=progress)
    lay(panel, ("state", "order"), ("score", "order"))
    panel.press("play")
    assert panel.job is not None
    assert panel.job.settle(20)
    assert "needs Rollout" in words(panel, "played-1")
    assert "the policy is unchanged" in words(panel, "played-end")
    assert trainer.index == 0
    panel.table.arrange({"order": list(RIGHT)})
    panel.refresh()
    panel.press("play")
    assert panel.job.settle(20)
    assert "UpdateRecord" in words(panel, "played-4")
    assert trainer.index == 1


def test_without_a_trainer_there_is_no_play(progress: Progress) -> None:
    panel = BoardPanel("07.order", progress=progress)
    assert "c_play" not in sent(panel)


def test_an_exercise_without_a_board_is_refused(progress: Progress) -> None:
    with pytest.raises(LabError, match="ExercisePanel"):
        BoardPanel("04.td", progress=progress)


def test_every_board_is_shown(progress: Progress) -> None:
    from rllab.course.exercises import exercises

    for exercise in exercises():
        if isinstance(exercise.task, Board):
            panel = BoardPanel(exercise, progress=progress)
            assert panel.title == exercise.title
            assert {zone["id"] for zone in panel.component("cards")["zones"]} >= {"tray"}
