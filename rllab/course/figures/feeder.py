"""Pictures of the cat at the feeder: how likely it is to press the lever, trial by trial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllab.course.tabular.loop import press_curve
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Drawing, Picture, faded
from rllab.plots.text import fixed, significant

TRIALS = 200
FOUND = 0.5  # a cat that presses more often than not has found the lever
AXES = Axes("trial", "probability to press", around=0.0)


def one_cat(press: float, pay_off: float, lr: float, cat: int) -> Picture:
    """Let one cat learn, and draw its policy before each trial."""
    (curve,) = press_curve(1, trials=TRIALS, press=press, pay_off=pay_off, lr=lr, seed=cat)
    trials = list(range(1, TRIALS + 1))
    drawn = line_chart([Line("press", trials, curve.tolist(), "policy"), _ceiling()], AXES)
    over = np.flatnonzero(curve > FOUND)
    if len(over):
        said = f"from trial {over[0] + 1} on it presses more often than not"
    else:
        said = f"in {TRIALS} trials it has not come to press more often than not"
    words = f"Cat {cat} begins with {significant(press)}; {said}. At the end the probability is {fixed(curve[-1])}."
    return Picture(drawn, words, "probability to press over trials, one cat", kinds=())


def many_cats(curves: NDArray[np.float64]) -> Picture:
    """Draw the mean over cats with its 95% band; the outcome says when the mean grows fastest.

    `curves` is (cats, trials). `early`, `middle` and `even` are about the gain in each tenth of the trials.
    """
    count, trials = curves.shape
    mean = curves.mean(axis=0)
    error = 1.96 * curves.std(axis=0, ddof=1) / count**0.5
    drawn = line_chart([Line("mean", list(range(1, trials + 1)), mean.tolist(), "policy"), _ceiling(trials)], AXES)
    there = [*range(1, trials + 1), *range(trials, 0, -1)]
    edge = [*(mean + error).tolist(), *(mean - error)[::-1].tolist()]
    look = {"fill": "toself", "fillcolor": faded("policy", 0.2), "line": {"width": 0}, "hoverinfo": "skip"}
    band = {"type": "scatter", "mode": "lines", "x": there, "y": edge, "name": "95% band"} | look
    places = [at for at in (0, 50, 100, trials - 1) if at < trials]
    said = ", ".join(f"{fixed(mean[at])} (trial {at + 1})" for at in places)
    words = f"Mean of {count} cats, with its 95% band: {said}. {_shape(mean)[1]}"
    drawn = Drawing([*drawn.data, band], drawn.layout)
    return Picture(drawn, words, "mean probability to press over trials, many cats", _shape(mean)[0])


def _shape(mean: NDArray[np.float64]) -> tuple[str, str]:
    """Say in which tenth of the trials the mean grows fastest: the id of an option, and words."""
    ends = np.linspace(0, len(mean) - 1, 11).round().astype(int)
    gains = np.diff(mean[ends])
    if gains.max() < 2 * gains.mean():
        return "even", "It gains about as much in every tenth of the trials."
    fastest = int(gains.argmax())
    told = f"It gains most from trial {ends[fastest] + 1} to trial {ends[fastest + 1] + 1}."
    return ("early" if fastest == 0 else "middle"), told


def _ceiling(trials: int = TRIALS) -> Line:
    """Return the line that no probability passes."""
    return Line("", [1, trials], [1.0, 1.0], "edge", "dot")
