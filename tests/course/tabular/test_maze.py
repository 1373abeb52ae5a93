"""The maze is a sound environment, and value spreads from the cheese by one cell a sweep."""

import itertools

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rllab.core.errors import LabError
from rllab.course.tabular.loop import Wanderer, moments
from rllab.course.tabular.maze import MOVES, Maze, arrows, corridor_sweep, sweeps


def steps_from_cheese(maze: Maze) -> dict[int, int]:
    """Count the shortest way from every cell by breadth-first search, the independent oracle."""
    far, front = {maze.cheese: 0}, [maze.cheese]
    while front:
        reached = []
        for cell, other in itertools.product(front, maze.cells):
            if other not in far and any(maze.outcome(other, action)[0] == cell for action in range(len(MOVES))):
                far[other] = far[cell] + 1
                reached.append(other)
        front = reached
    return far


@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(Maze(), skip_render_check=True)


def test_walls_and_edges_leave_you_where_you_are() -> None:
    maze = Maze(("S#C", "..."), move_cost=0.0)
    assert maze.outcome(0, 0) == (0, 0.0, False)  # north: the edge
    assert maze.outcome(0, 1) == (0, 0.0, False)  # east: a wall
    assert maze.outcome(0, 2) == (3, 0.0, False)
    assert maze.outcome(5, 0) == (2, 1.0, True)


def test_a_cell_d_steps_away_gets_its_value_in_sweep_d() -> None:
    assert [corridor_sweep(distance) for distance in (1, 2, 5, 9)] == [1, 2, 5, 9]
    maze = Maze(move_cost=0.0)
    far = steps_from_cheese(maze)
    for number, (_, values) in enumerate(sweeps(maze), start=1):
        for cell, distance in far.items():
            if cell != maze.cheese:
                assert (values[cell] > 0) == (distance <= number), (number, cell)


def test_the_last_sweep_solves_bellmans_equation() -> None:
    maze = Maze()
    far = steps_from_cheese(maze)
    *_, (q, values) = sweeps(maze)
    for cell, distance in far.items():
        expected = 0.0 if cell == maze.cheese else 1 - 0.01 * distance
        assert values[cell] == pytest.approx(expected, abs=1e-12)
        assert np.max(q[cell]) == pytest.approx(values[cell], abs=1e-12)


def test_the_arrows_lead_to_the_cheese_by_a_shortest_way() -> None:
    maze = Maze()
    *_, (q, _) = sweeps(maze)
    state, _ = maze.reset(seed=0)
    total, over, count = 0.0, False, 0
    while not over:
        state, reward, over, _, _ = maze.step(int(q[state].argmax()))
        total, count = total + reward, count + 1
    assert count == steps_from_cheese(maze)[maze.start]
    assert total == pytest.approx(1 - 0.01 * count)
    picture = arrows(maze, q)
    assert picture.count("#") == "".join(maze.rows).count("#")
    assert picture.count("C") == 1


@pytest.mark.parametrize("rows", [("S..",), ("SC", "..."), ("SSC",), ("SCC",)])
def test_a_drawing_that_is_no_maze_is_refused(rows: tuple[str, ...]) -> None:
    with pytest.raises(LabError, match="one S and one C"):
        Maze(rows)


def test_a_wanderer_finds_the_cheese_in_the_end_and_the_same_way_with_the_same_seed() -> None:
    maze = Maze()
    ways = [list(moments(maze, Wanderer(maze, seed=4), episodes=1)) for _ in range(2)]
    assert [turn.action for turn in ways[0]] == [turn.action for turn in ways[1]]
    assert {turn.action for turn in ways[0]} == set(range(len(MOVES)))
    assert ways[0][-1].terminated
    assert sum(turn.reward for turn in ways[0]) == pytest.approx(1 - 0.01 * len(ways[0]))
