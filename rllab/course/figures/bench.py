"""Estimators of the gradient beside each other: how far one of them is from the truth, and of what that is made."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import significant
from rllab.truth.estimators import BenchRow


def noise_of_estimators(rows: Sequence[BenchRow]) -> Picture:
    """Draw the variance of each estimator of the gradient; the outcome is the name of the quietest unbiased one."""
    names, heights = [row.name for row in rows], [row.variance for row in rows]
    colours = [colour("down" if row.is_biased else "policy") for row in rows]
    bars = {"type": "bar", "orientation": "h", "y": names[::-1], "x": heights[::-1], "marker": {"color": colours[::-1]}}
    texts = {"text": [significant(one) for one in heights[::-1]], "textposition": "outside", "cliponaxis": False}
    layout = {"height": 70 + 34 * len(rows), "margin": {"r": 40}}
    drawn = drawing([bars | texts], x="variance, summed over all weights", y="", layout=layout)
    honest = [row for row in rows if not row.is_biased]
    best, worst = (choose(honest, key=lambda row: row.variance) for choose in (min, max))
    off = [row.name for row in rows if row.is_biased]
    words = (
        f"Over {rows[0].gradients} gradients each: {best.name} is quietest with {significant(best.variance)}, "
        f"{worst.name} loudest with {significant(worst.variance)}. "
        + (f"Off on average, more than chance explains: {', '.join(off)}." if off else "None is off on average.")
    )
    return Picture(drawn, words, "variance of estimators of the gradient", best.name)
