"""The maze panel without a browser: moves, walls, the log, the end of an episode."""

import pytest

from rllab.widgets import MazePanel
from tests.widgets.panels import sent, words


def test_a_move_is_a_line_of_the_log() -> None:
    panel = MazePanel()
    assert words(panel) == "The robot is in state 0. Choose an action."
    panel.press("go-e")
    moment = panel.turns[-1]
    assert (moment.state, moment.action, moment.following) == (0, "E", 1)
    assert moment.reward == pytest.approx(-0.01)
    row = [cell["text"] for cell in panel.component("log")["rows"][-1]]
    assert row == ["1", "0", "East", "\u22120.01", "1"]
    assert words(panel) == "East took it to state 1; the reward was \u22120.01."


def test_a_wall_changes_nothing_but_costs() -> None:
    panel = MazePanel()
    panel.press("go-n")
    assert panel.turns[-1].following == 0
    assert "hit a wall" in words(panel)
    assert panel.collected == pytest.approx(-0.01)


def test_the_cheese_ends_the_episode_and_again_begins_one() -> None:
    panel = MazePanel()
    for direction in "EEESSESS":
        assert not panel.over
        panel.press(f"go-{direction.lower()}")
    assert panel.over
    assert panel.collected == pytest.approx(1 - 0.01 * len(panel.turns))
    assert words(panel).startswith("The episode is over: +0.99")
    assert panel.component("go-n")["disabled"]
    count = len(panel.turns)
    panel.press("wander")
    assert len(panel.turns) == count
    panel.press("again")
    assert panel.turns == []


def test_wandering_is_chance_with_a_seed() -> None:
    one, two = MazePanel(seed=3), MazePanel(seed=3)
    for panel in (one, two):
        panel.press("wander")
    assert [moment.action for moment in one.turns] == [moment.action for moment in two.turns]
    assert len(one.turns) <= 10


def test_values_and_arrows_can_be_shown() -> None:
    panel = MazePanel()
    for show, meaning in (("values", "value"), ("arrows", "policy"), ("cells", "state")):
        panel.set("show", show)
        assert meaning in words(panel, "meaning")
    panel.set("show", "nonsense")
    assert panel.alert
    assert sent(panel)["c_maze"]["alt"].startswith("the maze")
