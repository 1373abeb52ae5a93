"""A robot in a maze with a cheese, and dynamic programming: value spreads back from the cheese.

One sweep of value iteration computes V(s) = max_a [r + gamma V(s')] for every cell from the values of the previous
sweep, so the cheese reaches one cell further each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rllab.core.errors import LabError

Cell = tuple[int, int]  # row, column
Floats = NDArray[np.float64]

MAP = ("S....", ".##.#", ".#...", "...#.", "##..C")
MOVES: dict[str, Cell] = {"N": (-1, 0), "E": (0, 1), "S": (1, 0), "W": (0, -1)}


class Maze(gymnasium.Env[Any, Any]):
    """Walk from S to C; a wall (#) or the edge leaves you where you are. The state is the number of the cell.

    Args:
        rows: The map, a text for each row.
        move_cost: What each move costs; the cheese gives +1.

    Raises:
        LabError: If the rows differ in length, or there is not one S and one C.
    """

    def __init__(self, rows: Sequence[str] = MAP, *, move_cost: float = 0.01) -> None:
        if len({len(line) for line in rows}) != 1 or any("".join(rows).count(sign) != 1 for sign in "SC"):
            raise LabError("maze", "\n".join(rows), "give lines of one length with one S and one C in them")
        self.rows, self.move_cost = tuple(rows), move_cost
        self.width = len(rows[0])
        self.start, self.cheese = "".join(rows).index("S"), "".join(rows).index("C")
        self.observation_space = gymnasium.spaces.Discrete(len(rows) * self.width)
        self.action_space = gymnasium.spaces.Discrete(len(MOVES))
        self.state = self.start

    @property
    def cells(self) -> list[int]:
        """Return the cells that are not walls."""
        return [cell for cell, sign in enumerate("".join(self.rows)) if sign != "#"]

    def outcome(self, state: int, action: int) -> tuple[int, float, bool]:
        """Return what an action leads to, without moving.

        Args:
            state: The cell.
            action: The number of a move.

        Returns:
            The next cell, the reward, and whether the episode is over.
        """
        row, column = divmod(state, self.width)
        down, right = list(MOVES.values())[action]
        there = (row + down, column + right)
        inside = 0 <= there[0] < len(self.rows) and 0 <= there[1] < self.width
        free = inside and self.rows[there[0]][there[1]] != "#"
        following = there[0] * self.width + there[1] if free else state
        found = following == self.cheese
        return following, float(found) - self.move_cost, found

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Go back to the start and return it; see gymnasium."""
        super().reset(seed=seed, options=options)
        self.state = self.start
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Make one move and return what it leads to; see gymnasium."""
        self.state, reward, found = self.outcome(self.state, int(action))
        return self.state, reward, found, False, {}


def sweeps(maze: Maze, *, gamma: float = 1.0) -> Iterator[tuple[Floats, Floats]]:
    """Yield Q (cells, actions) and V (cells,) after each sweep of value iteration, until nothing changes.

    Args:
        maze: The maze, whose outcomes are known.
        gamma: The discount.
    """
    values = np.zeros(len(maze.rows) * maze.width)
    while True:
        q = np.full((len(values), len(MOVES)), np.nan)
        for cell in maze.cells:
            for action in range(len(MOVES)):
                following, reward, over = maze.outcome(cell, action)
                q[cell, action] = reward + (0.0 if over else gamma * values[following])
        q[maze.cheese] = 0.0  # the episode is over there
        best = np.nan_to_num(np.max(q, axis=1, initial=-np.inf, where=~np.isnan(q)), neginf=0.0)
        yield q, best
        if np.allclose(best, values, atol=1e-12):
            return
        values = best


def arrows(maze: Maze, q: Floats) -> str:
    """Return the greedy policy as a picture: an arrow in every cell, # for walls, C for the cheese.

    Args:
        maze: The maze.
        q: The value of each action in each cell, (cells, actions).
    """
    signs = np.array(list("".join(maze.rows)))
    for cell in maze.cells:
        if cell != maze.cheese:
            signs[cell] = "\u2191\u2192\u2193\u2190"[int(np.argmax(q[cell]))]
    return "\n".join("".join(line) for line in signs.reshape(len(maze.rows), maze.width))


def corridor_sweep(distance: int) -> int:
    """Return the number of the sweep in which a cell first gets a value, by sweeping a corridor.

    Args:
        distance: The cell's steps from the cheese.
    """
    maze = Maze(("S" + "." * (distance - 1) + "C",), move_cost=0.0)
    return next(number for number, (_, values) in enumerate(sweeps(maze), start=1) if values[maze.start] > 0)
