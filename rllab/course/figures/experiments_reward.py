"""Pictures of experiments about reward models."""

from __future__ import annotations

from rllab.course.experiments import label_noise
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture

ROLES = ("value", "policy", "reward")
NEAR = 0.04  # a share this close to the ceiling has come to it
ALL = 0.97


def accuracy_by_pairs(result: label_noise.Result) -> Picture:
    """Draw how many fresh labels a reward model foresees, over the pairs it has seen; ceilings dotted.

    The outcome says where the noisiest judge's model ends: `all`, `ceiling` or `below`.
    """
    series = []
    for noise, role in zip(label_noise.NOISES, ROLES, strict=True):
        shares = [100 * result.mean(noise, pairs)[0] for pairs in result.pairs]
        ceiling = 100 * result.mean(noise, result.pairs[-1])[1]
        series.append(Line(f"noise {noise:g}", result.pairs, shares, role, mode="lines+markers"))
        series.append(Line("", [result.pairs[0], result.pairs[-1]], [ceiling] * 2, role, "dot"))
    axes = Axes("labelled pairs", "fresh labels foreseen (%)", log_x=True, ticks=result.pairs)
    drawn = line_chart(series, axes)
    accuracy, ceiling, gold = result.mean(label_noise.NOISES[-1], result.pairs[-1])
    words = (
        f"Noise {label_noise.NOISES[-1]:g}, {result.pairs[-1]:,} pairs: {accuracy:.0%} of fresh labels foreseen; the "
        f"ceiling (dotted) is {ceiling:.0%}. The same model ranks {gold:.0%} of the pairs as gold does. Means of "
        f"{_seeds(result)} tasks."
    )
    outcome = "all" if accuracy > ALL else "ceiling" if ceiling - accuracy < NEAR else "below"
    return Picture(drawn, words, "held-out accuracy of reward models by pairs and noise", outcome)


def _seeds(result: label_noise.Result) -> int:
    return len({one.seed for one in result.points})
