"""Figures of tabular learning: what is drawn and put into words is what the headless functions give, and quickly."""

import dataclasses
import time

import numpy as np
import pytest

from rllab import World, load_world
from rllab.course.tabular.control import maximisation_bias
from rllab.course.tabular.figures import (
    ACTION_COUNTS,
    SHARES,
    SHOWS,
    many_cats,
    maze_map,
    maze_wave,
    old_and_simulated,
    one_cat,
    optimisers_curse,
    planning,
)
from rllab.course.tabular.loop import press_curve
from rllab.course.tabular.maze import Maze, sweeps
from rllab.course.tabular.planning import look_ahead, sampled_mean
from rllab.plots.text import fixed
from rllab.truth import Tree, exact


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro-tabular")


@pytest.fixture(scope="module")
def tree(world: World) -> Tree:
    objective = dataclasses.replace(world.objective, kl_coef=0.0)
    return exact(world, "cat is", objective=objective, horizon=3)


def test_each_sweep_reaches_further() -> None:
    known = []
    for sweep in range(1, 10):
        picture = maze_wave(sweep)
        known.append(sum((value or 0) > 0 for row in picture.figure.data[1].z for value in row))
        assert f" {known[-1]} of {len(Maze().cells) - 1} cells" in picture.words
    assert known == sorted(known)
    assert known[0] == 2
    assert known[-1] == len(Maze().cells) - 1


def test_the_curse_grows_with_the_number_of_actions() -> None:
    pictures = [optimisers_curse(actions) for actions in ACTION_COUNTS]
    single = list(pictures[0].figure.data[0].y)
    assert single == sorted(single)
    assert fixed(maximisation_bias(10)[0]) in pictures[2].words


def test_the_sentence_of_a_plan_quotes_the_bars(tree: Tree) -> None:
    picture = planning(tree, tree.v)(2)
    sample, best_of, planned, most = picture.figure.data[0].y
    assert sample == pytest.approx(sampled_mean(tree))
    assert planned == pytest.approx(look_ahead(tree, tree.v, depth=2).paid)
    assert sample <= best_of <= most + 1e-12
    assert fixed(planned, 3) in picture.words
    assert fixed(best_of, 3) in picture.words


def test_the_error_of_a_mix_is_bias_squared_plus_variance(tree: Tree) -> None:
    draw = old_and_simulated(tree, tree, [values + 0.2 for values in tree.v])
    error, variance, bias = (list(line.y) for line in draw(0.3, 1).figure.data)
    assert error == pytest.approx([sum(parts) for parts in zip(variance, bias, strict=True)])
    assert list(draw(0.3, 1).figure.data[0].x) == list(SHARES)
    assert "30% played returns" in draw(0.3, 1).words


def test_every_picture_is_there_within_200_ms(tree: Tree) -> None:
    mix, plan = old_and_simulated(tree, tree, tree.v), planning(tree, tree.v)
    for draw in (lambda: maze_wave(9), lambda: optimisers_curse(10), lambda: plan(3), lambda: mix(0.5, 2)):
        draw()
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            draw()
            seconds.append(time.perf_counter() - started)
        assert sorted(seconds)[2] < 0.2


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
