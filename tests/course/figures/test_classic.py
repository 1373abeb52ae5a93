"""The classics' pictures: what is drawn is what the headless functions say, and it is drawn quickly."""

import dataclasses
import time

import pytest

from rllab import World, load_world
from rllab.course.figures.classic import ACTION_COUNTS, SHARES, old_and_simulated, optimisers_curse, planning
from rllab.course.figures.maze import maze_wave
from rllab.course.tabular.control import maximisation_bias
from rllab.course.tabular.maze import Maze
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
    assert error == pytest.approx([one + two for one, two in zip(variance, bias, strict=True)])
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
