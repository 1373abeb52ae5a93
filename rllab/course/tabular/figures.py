"""Figures of tabular learning: the cat at the feeder, the maze, the optimiser's curse, planning and old data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rllab.course.tabular.control import maximisation_bias
from rllab.course.tabular.loop import press_curve
from rllab.course.tabular.maze import Maze, arrows, sweeps
from rllab.course.tabular.planning import look_ahead, mixed_targets, sampled_mean
from rllab.plots.charts import Axes, Line, bars, line_chart
from rllab.plots.drawing import Drawing, Picture, colour, drawing, faded
from rllab.plots.text import fixed, significant
from rllab.truth import Tree

TRIALS = 200  # of a cat at the feeder
FOUND = 0.5  # a cat that presses more often than not has found the lever
PRESSING = Axes("trial", "probability to press", around=0.0)
MAZE_HEIGHT, LINES_HEIGHT = 300, 240
ASIDE = 0.34  # of a cell: the way runs below and right of the text in the cells, not through it
SHOWS = {"cells": "states", "values": "values", "arrows": "a policy"}
MEANINGS = {
    "cells": "Each number is a state: the cell that the robot is in.",
    "values": "Each number is a value: what the best way from there on will still collect.",
    "arrows": "Each arrow is a choice: together they are a policy, the best one for this maze.",
}
ACTION_COUNTS = (2, 4, 10, 20, 50)
SHARES = tuple(number / 10 for number in range(11))


# ---- The cat at the feeder ----


def one_cat(press: float, pay_off: float, lr: float, cat: int) -> Picture:
    """Draw the policy of one cat before each trial, while it learns.

    Args:
        press: Its probability to press at first.
        pay_off: The probability that the lever gives food.
        lr: The learning rate.
        cat: The seed.

    Returns:
        The picture.
    """
    (curve,) = press_curve(1, trials=TRIALS, press=press, pay_off=pay_off, lr=lr, seed=cat)
    line = Line("press", list(range(1, TRIALS + 1)), curve.tolist(), "policy")
    over = np.flatnonzero(curve > FOUND)
    if len(over):
        found = f"from trial {over[0] + 1} on it presses more often than not"
    else:
        found = f"in {TRIALS} trials it has not come to press more often than not"
    words = f"Cat {cat} begins with {significant(press)}; {found}. At the end the probability is {fixed(curve[-1])}."
    drawn = line_chart([line, _ceiling(TRIALS)], PRESSING)
    return Picture(drawn, words, "probability to press over trials, one cat", kinds=())


def many_cats(curves: NDArray[np.float64]) -> Picture:
    """Draw the mean over cats with its 95% band.

    Args:
        curves: (cats, trials), each cat's probability to press before each trial.

    Returns:
        The picture; its outcome says when the mean grows fastest: "early", "middle" or "even", by the gain in each
        tenth of the trials.
    """
    count, trials = curves.shape
    mean = curves.mean(axis=0)
    error = 1.96 * curves.std(axis=0, ddof=1) / count**0.5
    drawn = line_chart([Line("mean", list(range(1, trials + 1)), mean.tolist(), "policy"), _ceiling(trials)], PRESSING)
    there = [*range(1, trials + 1), *range(trials, 0, -1)]
    edge = [*(mean + error).tolist(), *(mean - error)[::-1].tolist()]
    look = {"fill": "toself", "fillcolor": faded("policy", 0.2), "line": {"width": 0}, "hoverinfo": "skip"}
    band = {"type": "scatter", "mode": "lines", "x": there, "y": edge, "name": "95% band"} | look
    quoted = ", ".join(f"{fixed(mean[at])} (trial {at + 1})" for at in (0, 50, 100, trials - 1) if at < trials)
    ends = np.linspace(0, trials - 1, 11).round().astype(int)
    gains = np.diff(mean[ends])
    fastest = int(gains.argmax())
    if gains.max() < 2 * gains.mean():
        outcome, growth = "even", "It gains about as much in every tenth of the trials."
    else:
        outcome = "early" if fastest == 0 else "middle"
        growth = f"It gains most from trial {ends[fastest] + 1} to trial {ends[fastest + 1] + 1}."
    words = f"Mean of {count} cats, with its 95% band: {quoted}. {growth}"
    drawn = Drawing([*drawn.data, band], drawn.layout)
    return Picture(drawn, words, "mean probability to press over trials, many cats", outcome)


def _ceiling(trials: int) -> Line:
    """Return the line that no probability passes."""
    return Line("", [1, trials], [1.0, 1.0], "edge", "dot")


# ---- The maze ----


def maze_map(maze: Maze, trail: Sequence[int], show: str = "cells") -> Picture:
    """Draw the maze with the robot; values and arrows are exact, by value iteration.

    Args:
        maze: The maze.
        trail: The cells of the robot's way, ending where it is now.
        show: What the cells contain, one of SHOWS.

    Returns:
        The picture.
    """
    *_, (q, values) = sweeps(maze)
    signs = "".join(maze.rows)
    shown = {
        "cells": [str(cell) for cell in range(len(signs))],
        "values": [f"{value:.2f}" for value in values],
        "arrows": list(arrows(maze, q).replace("\n", "")),
    }[show]
    texts = ["" if sign == "#" else "cheese" if sign == "C" else text for sign, text in zip(signs, shown, strict=True)]
    tints = values.tolist() if show == "values" else [0.0] * len(signs)
    steps = {"x": [cell % maze.width + ASIDE for cell in trail], "y": [cell // maze.width + ASIDE for cell in trail]}
    way = {"mode": "lines", "line": {"color": colour("policy"), "width": 2}, "name": "the robot's way"} | steps
    ring = {"size": 38, "symbol": "circle-open", "color": colour("policy"), "line": {"width": 4}}
    place = {"x": [trail[-1] % maze.width], "y": [trail[-1] // maze.width]}
    robot = {"mode": "markers", "marker": ring, "name": "the robot"} | place
    over = [{"type": "scatter", "hoverinfo": "skip"} | trace for trace in (way, robot)]
    drawn = _maze(maze, tints, texts, *over)
    return Picture(drawn, MEANINGS[show], f"the maze, {SHOWS[show]} shown, the robot in state {trail[-1]}")


def maze_wave(sweep: int, *, gamma: float = 1.0) -> Picture:
    """Draw the value of every cell and the greedy arrows after some sweeps of value iteration; moves cost nothing here.

    Args:
        sweep: How many sweeps.
        gamma: The discount.

    Returns:
        The picture.
    """
    maze = Maze(move_cost=0.0)
    done = list(sweeps(maze, gamma=gamma))[:sweep]
    q, values = done[-1]
    ways = arrows(maze, q).replace("\n", "")
    texts = [
        "cheese" if sign == "C" else f"{way} {value:.2f}" if value > 0 else ""
        for sign, way, value in zip("".join(maze.rows), ways, values.tolist(), strict=True)
    ]
    count = int((values[maze.cells] > 0).sum())
    words = f"After sweep {len(done)}, {count} of {len(maze.cells) - 1} cells know of the cheese."
    return Picture(_maze(maze, values.tolist(), texts), words, "value of every cell of the maze, with arrows")


def _maze(maze: Maze, tints: Sequence[float], texts: Sequence[str], *over: dict[str, Any]) -> Drawing:
    """Draw walls and floor as a square map without axes, and over it what moves there."""
    width, signs = maze.width, "".join(maze.rows)
    heights = [None if sign == "#" else tint for sign, tint in zip(signs, tints, strict=True)]
    walls = {
        "type": "heatmap",
        "z": [[1.0 if sign == "#" else None for sign in line] for line in maze.rows],
        "colorscale": [[0, colour("edge")], [1, colour("edge")]],
        "showscale": False,
        "hoverinfo": "skip",
    }
    floor = {
        "type": "heatmap",
        "z": [heights[at : at + width] for at in range(0, len(signs), width)],
        "text": [list(texts[at : at + width]) for at in range(0, len(signs), width)],
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
    hidden = {"showticklabels": False, "ticks": "", "showline": False, "showgrid": False}
    axes = {"xaxis": hidden, "yaxis": hidden | {"autorange": "reversed", "scaleanchor": "x"}}
    return drawing([walls, floor, *over], x="", y="", layout=axes | {"height": MAZE_HEIGHT})


# ---- The optimiser's curse, planning, old data ----


def optimisers_curse(actions: int) -> Picture:
    """Draw the mean of the largest of some estimates, all of them of actions worth 0, with the double estimator.

    Args:
        actions: One of ACTION_COUNTS, which is marked.

    Returns:
        The picture.
    """
    single, double = zip(*_biases(), strict=True)
    lines = [
        Line("largest estimate", ACTION_COUNTS, single, "value", mode="lines+markers"),
        Line("double estimator", ACTION_COUNTS, double, "policy", mode="lines+markers"),
    ]
    axes = Axes("actions, all worth 0", "mean estimate of the best", around=0.0, mark=actions, height=LINES_HEIGHT)
    largest, second = (fixed(means[ACTION_COUNTS.index(actions)]) for means in (single, double))
    words = f"The best of {actions} actions worth 0 looks worth {largest}; a second estimate of it is {second}."
    return Picture(line_chart(lines, axes), words, "bias of the maximum by number of actions")


@functools.cache
def _biases() -> list[tuple[float, float]]:
    return [maximisation_bias(actions) for actions in ACTION_COUNTS]


def planning(tree: Tree, values: Sequence[Tensor]) -> Callable[[int], Picture]:
    """Return the picture of looking ahead, next to sampling and to best-of-n with as many states read.

    Args:
        tree: All responses to a prompt.
        values: V of every state, (N,) for each level.

    Returns:
        A function of the depth, in tokens.
    """

    def draw(depth: int) -> Picture:
        plan = look_ahead(tree, values, depth=depth)
        samples = max(1, round(plan.states_read / float(tree.leaf_logprobs.exp() @ tree.leaves.lengths.double().cpu())))
        scores = [sampled_mean(tree), tree.best_of(samples).reward, plan.paid, float(tree.scores.total.max())]
        names = ["one sample", f"best of {samples}", f"look-ahead {depth}", "best there is"]
        colours = [colour(role) for role in ("policy", "policy", "value", "ink")]
        series = bars(names, scores, colours, texts=[fixed(score, 3) for score in scores])
        drawn = drawing([series], x="", y="score (reward)", layout={"height": LINES_HEIGHT, "margin": {"t": 24}})
        words = (
            f"Looking {depth} ahead reads {plan.states_read} states and writes “{tree.policy.decode(plan.ids)}”, "
            f"scoring {fixed(plan.paid, 3)}; best-of-{samples} reads as many and scores {fixed(scores[1], 3)} on "
            "average."
        )
        return Picture(drawn, words, "score of sampling, best-of-n and look-ahead")

    return draw


def old_and_simulated(present: Tree, behaviour: Tree, values: Sequence[Tensor]) -> Callable[[float, int], Picture]:
    """Return the picture of a value target that mixes played returns with simulated ones.

    Args:
        present: The tree of the policy to evaluate.
        behaviour: The tree of the policy that played.
        values: V of every state, (N,) for each level.

    Returns:
        A function of the share of played returns and the depth of the simulation.
    """

    def draw(share: float, depth: int) -> Picture:
        mixes = mixed_targets(present, behaviour, values, depth=depth, shares=SHARES)
        chosen = min(mixes, key=lambda mix: abs(mix.share - share))
        best = min(mixes, key=lambda mix: mix.error)
        lines = [
            Line("mean squared error", SHARES, [mix.error for mix in mixes], "ink", mode="lines+markers"),
            Line("variance", SHARES, [mix.variance for mix in mixes], "value", mode="lines+markers"),
            Line("bias squared", SHARES, [mix.bias**2 for mix in mixes], "down", mode="lines+markers"),
        ]
        axes = Axes(
            "share of played returns", "error of the target", around=0.0, mark=chosen.share, height=LINES_HEIGHT
        )
        words = (
            f"With {chosen.share:.0%} played returns the bias is {fixed(chosen.bias, 3, signed=True)} and the mean "
            f"squared error {fixed(chosen.error, 3)}; the best mix plays {best.share:.0%}."
        )
        return Picture(line_chart(lines, axes), words, "bias, variance and error of the mixed target")

    return draw
