"""The maze panel: you are the robot, and every move is a line of the log that all agents share."""

from __future__ import annotations

import random
from functools import partial

from rllab.course.tabular.figures import SHOWS, maze_map
from rllab.course.tabular.loop import Moment
from rllab.course.tabular.maze import MOVES, Maze
from rllab.plots.text import fixed
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import Component, Option, Words, bold, button, columns, group, note, radios, row
from rllab.widgets.engine.panel import Panel, View

LABELS = {"N": "North", "E": "East", "S": "South", "W": "West"}
WANDER = 10  # random moves
SHOWN = 8  # lines of the log
TRAIL = 8  # cells of the way that are drawn
HEAD = (
    Column("t", numeric=True),
    Column("state s", numeric=True),
    Column("action a"),
    Column("reward r", numeric=True),
    Column("next state s′", numeric=True),
)


class MazePanel(Panel):
    """Walk a robot through a maze and watch state, action, reward and next state; the log is `panel.turns`.

    Args:
        maze: The maze; by default the course's own.
        seed: Of the random moves.
    """

    title = "The robot in the maze"

    def __init__(self, maze: Maze | None = None, *, seed: int = 0) -> None:
        self.maze = maze or Maze()
        self.show = "cells"
        self.turns: list[Moment] = []
        self._state, _ = self.maze.reset()
        self._chance = random.Random(seed)  # noqa: S311 - a robot that wanders
        super().__init__()

    @property
    def over(self) -> bool:
        """Return whether the robot has the cheese."""
        return bool(self.turns) and self.turns[-1].terminated

    @property
    def collected(self) -> float:
        """Return the sum of the rewards so far."""
        return sum(moment.reward for moment in self.turns)

    def view(self) -> View:
        """Return the maze, the moves and the log."""
        trail = [*(moment.state for moment in self.turns[-TRAIL:]), self._state]
        picture = maze_map(self.maze, trail, self.show)
        drawn = chart("maze", picture.drawing, picture.alt, height=300)
        shows = [Option(name, words) for name, words in SHOWS.items()]
        return View(
            aside=note("where", f"step {len(self.turns) + 1} · collected {fixed(self.collected, 2, signed=True)}"),
            body=(
                self._controls(),
                row("shows", radios("show", "In the cells", shows, self.show, self._choose_show)),
                columns(
                    "pictures",
                    group("map", drawn, note("meaning", picture.words)),
                    group("history", self._table()),
                ),
            ),
            reading=self._reading(),
            badges=("exact",),
            foot=("keys: n, e, s, w to move, r to start again",),
            shortcuts={name.lower(): f"go-{name.lower()}" for name in MOVES} | {"r": "again"},
        )

    def go(self, direction: str) -> None:
        """Make one move.

        Args:
            direction: N, E, S or W; after the end of the episode nothing moves.
        """
        if self.over:
            return
        following, reward, found, cut, info = self.maze.step(list(MOVES).index(direction))
        moment = Moment(0, len(self.turns), self._state, direction, reward, following, found, cut, info)
        self.turns, self._state = [*self.turns, moment], following

    def wander(self) -> None:
        """Make some random moves, as a robot does that knows nothing."""
        for _ in range(WANDER):
            self.go(self._chance.choice(list(MOVES)))

    def again(self) -> None:
        """Go back to the start: a new episode."""
        self._state, _ = self.maze.reset()
        self.turns = []

    def _controls(self) -> Component:
        moves = [
            button(f"go-{name.lower()}", words, partial(self.go, name), main=True, disabled=self.over)
            for name, words in LABELS.items()
        ]
        wander = button("wander", f"{WANDER} random moves", self.wander, disabled=self.over)
        return row("controls", *moves, wander, button("again", "Start again", self.again))

    def _table(self) -> Component:
        rows = [
            [
                str(moment.t + 1),
                str(moment.state),
                LABELS[moment.action],
                fixed(moment.reward, 2, signed=True),
                str(moment.following),
            ]
            for moment in self.turns[-SHOWN:]
        ]
        return table("log", "the log, the latest moves at the bottom", HEAD, rows)

    def _reading(self) -> Words:
        if not self.turns:
            return ("The robot is in state ", bold(str(self._state)), ". Choose an action.")
        last = self.turns[-1]
        paid = fixed(last.reward, 2, signed=True)
        if last.terminated:
            words = f" at the last step and {fixed(self.collected, 2, signed=True)} over all {len(self.turns)} steps."
            return ("The episode is over: ", bold(paid), words)
        moved = (
            f"took it to state {last.following}" if last.following != last.state else "hit a wall and changed nothing"
        )
        return (f"{LABELS[last.action]} {moved}; the reward was ", bold(paid), ".")

    def _choose_show(self, value: str) -> None:
        self.show = value
