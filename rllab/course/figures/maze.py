"""The maze as the robot's panel shows it: where it stands, what each cell is worth, which way to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rllab.course.tabular.maze import Maze, arrows, sweeps
from rllab.plots.drawing import Drawing, Picture, colour, drawing, faded

HEIGHT = 300
ASIDE = 0.34  # of a cell: the way runs below and right of what is written in the cells, not through it
SHOWS = {"cells": "states", "values": "values", "arrows": "a policy"}
MEANINGS = {
    "cells": "Each number is a state: the cell in which the robot stands.",
    "values": "Each number is a value: what the best way from there on will still collect.",
    "arrows": "Each arrow is a choice: together they are a policy, the best one for this maze.",
}


def maze_map(maze: Maze, trail: Sequence[int], show: str = "cells") -> Picture:
    """Draw the maze with the robot at the end of its trail; the values and arrows are exact, by value iteration."""
    *_, (q, values) = sweeps(maze)
    signs = "".join(maze.rows)
    ways = arrows(maze, q).replace("\n", "")
    shown = {
        "cells": [str(cell) for cell in range(len(signs))],
        "values": [f"{value:.2f}" for value in values],
        "arrows": list(ways),
    }[show]
    texts = ["" if sign == "#" else "cheese" if sign == "C" else text for sign, text in zip(signs, shown, strict=True)]
    heights = [None if sign == "#" else value for sign, value in zip(signs, values.tolist(), strict=True)]
    tinted = heights if show == "values" else [None if one is None else 0.0 for one in heights]
    drawn = _drawn(maze, tinted, texts, _way(maze, trail), _robot(maze, trail[-1]))
    return Picture(drawn, MEANINGS[show], f"the maze, {SHOWS[show]} shown, the robot in state {trail[-1]}")


def maze_wave(sweep: int, *, gamma: float = 1.0) -> Picture:
    """Draw the value of every cell and the greedy arrows after so many sweeps; moves cost nothing here."""
    maze = Maze(move_cost=0.0)
    done = list(sweeps(maze, gamma=gamma))[:sweep]
    q, values = done[-1]
    signs, ways, worth = "".join(maze.rows), arrows(maze, q).replace("\n", ""), values.tolist()
    heights = [None if sign == "#" else value for sign, value in zip(signs, worth, strict=True)]
    known = [f"{way} {value:.2f}" if value > 0 else "" for way, value in zip(ways, worth, strict=True)]
    texts = ["cheese" if sign == "C" else text for sign, text in zip(signs, known, strict=True)]
    count = int((values[maze.cells] > 0).sum())
    words = f"After sweep {len(done)}, {count} of {len(maze.cells) - 1} cells know of the cheese."
    return Picture(_drawn(maze, heights, texts), words, "value of every cell of the maze, with arrows")


def _drawn(maze: Maze, heights: Sequence[float | None], texts: Sequence[str], *over: dict[str, Any]) -> Drawing:
    """Draw walls and floor as a square map without axes, and over it what moves there."""
    hidden = {"showticklabels": False, "ticks": "", "showline": False, "showgrid": False}
    axes = {"xaxis": hidden, "yaxis": hidden | {"autorange": "reversed", "scaleanchor": "x"}}
    traces = [_walls(maze), _floor(maze, heights, texts), *over]
    return drawing(traces, x="", y="", layout=axes | {"height": HEIGHT})


def _walls(maze: Maze) -> dict[str, Any]:
    """Draw the walls as full cells of one colour."""
    rows = [[1.0 if sign == "#" else None for sign in line] for line in maze.rows]
    solid = [[0, colour("edge")], [1, colour("edge")]]
    return {"type": "heatmap", "z": rows, "colorscale": solid, "showscale": False, "hoverinfo": "skip"}


def _floor(maze: Maze, heights: Sequence[float | None], texts: Sequence[str]) -> dict[str, Any]:
    width = maze.width
    rows = [list(heights[at : at + width]) for at in range(0, len(heights), width)]
    return {
        "type": "heatmap",
        "z": rows,
        "text": [list(texts[at : at + width]) for at in range(0, len(texts), width)],
        "texttemplate": "%{text}",
        "textfont": {"color": colour("ink"), "size": 13},
        "colorscale": [[0, faded("value", 0.05)], [1, faded("value", 0.5)]],
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hoverinfo": "text",
    }


def _way(maze: Maze, trail: Sequence[int]) -> dict[str, Any]:
    """Draw the last moves as a line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [cell % maze.width + ASIDE for cell in trail],
        "y": [cell // maze.width + ASIDE for cell in trail],
        "line": {"color": colour("policy"), "width": 2},
        "name": "the robot's way",
        "hoverinfo": "skip",
    }


def _robot(maze: Maze, cell: int) -> dict[str, Any]:
    """Draw the robot as a ring around the text of its cell."""
    ring = {"size": 38, "symbol": "circle-open", "color": colour("policy"), "line": {"width": 4}}
    place = {"x": [cell % maze.width], "y": [cell // maze.width]}
    return {"type": "scatter", "mode": "markers", "marker": ring, "name": "the robot", "hoverinfo": "skip"} | place
