"""Pictures of cat and maze say what the headless functions say."""

import numpy as np
import pytest

from rllab.course.figures.feeder import many_cats, one_cat
from rllab.course.figures.maze import SHOWS, maze_map
from rllab.course.tabular.loop import press_curve
from rllab.course.tabular.maze import Maze, sweeps
from rllab.plots.text import fixed


def test_one_cat_is_drawn_as_it_learned() -> None:
    picture = one_cat(0.08, 0.9, 0.3, 2)
    (curve,) = press_curve(1, seed=2)
    assert list(picture.figure.data[0].y) == pytest.approx(curve.tolist())
    assert fixed(curve[-1]) in picture.words
    assert "has not come to press" in one_cat(1e-3, 0.9, 0.05, 0).words


def test_the_mean_of_many_cats_is_quoted_and_its_shape_named() -> None:
    curves = press_curve(30)
    picture = many_cats(curves)
    assert fixed(curves.mean(axis=0)[50]) in picture.words
    assert picture.outcome == "middle"
    straight = np.tile(np.linspace(0.1, 0.9, 200), (5, 1)) + np.random.default_rng(0).normal(0, 1e-3, (5, 200))
    assert many_cats(straight).outcome == "even"
    assert many_cats(np.clip(4 * straight, 0, 0.9)).outcome == "early"


@pytest.mark.parametrize("show", SHOWS)
def test_the_map_shows_states_values_or_arrows(show: str) -> None:
    maze = Maze()
    *_, (_, values) = sweeps(maze)
    picture = maze_map(maze, [0, 1, 2], show)
    written = [text for line in picture.figure.data[1].text for text in line]
    assert written[maze.cheese] == "cheese"
    assert written[6] == ""  # a wall
    assert picture.figure.data[0].z[1][1] == 1
    assert picture.figure.data[0].z[0][0] is None
    assert written[0] == {"cells": "0", "values": f"{values[0]:.2f}", "arrows": written[0]}[show]
    assert (written[0] in "\u2191\u2192\u2193\u2190") == (show == "arrows")
    way, robot = picture.figure.data[2:]
    assert (list(robot.x), list(robot.y)) == ([2], [0])
    assert [round(x - 0.34) for x in way.x] == [0, 1, 2]
