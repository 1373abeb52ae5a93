"""Pictures for the explorers of the classics: the optimiser's curse, planning, old data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from torch import Tensor

from rllab.course.tabular.control import maximisation_bias
from rllab.course.tabular.planning import look_ahead, mixed_targets, sampled_mean
from rllab.plots.charts import EndLabel, end_labels, span
from rllab.plots.drawing import Drawing, Picture, colour, drawing
from rllab.plots.text import esc, fixed
from rllab.truth import Tree

ACTION_COUNTS = (2, 4, 10, 20, 50)
HEIGHT = 240
SHARES = tuple(number / 10 for number in range(11))


def optimisers_curse(actions: int) -> Picture:
    """Draw the mean of the largest of so many estimates, all of them of things worth 0, beside the double estimator."""
    points = _curse()
    curves = [
        ("largest estimate", [points[one][0] for one in ACTION_COUNTS], "value"),
        ("double estimator", [points[one][1] for one in ACTION_COUNTS], "policy"),
    ]
    drawn = _lines(ACTION_COUNTS, curves, x="actions, all worth 0", y="mean estimate of the best", mark=actions)
    single, double = (fixed(point) for point in points[actions])
    words = f"Of {actions} actions worth 0 the best looks worth {single}; a second estimate of that one says {double}."
    return Picture(drawn, words, "bias of the maximum by number of actions")


@functools.cache
def _curse() -> dict[int, tuple[float, float]]:
    return {actions: maximisation_bias(actions) for actions in ACTION_COUNTS}


def planning(tree: Tree, values: Sequence[Tensor]) -> Callable[[int], Picture]:
    """Return the picture of looking `depth` tokens ahead, beside sampling and best-of-n at as many states read."""

    def draw(depth: int) -> Picture:
        plan = look_ahead(tree, values, depth=depth)
        samples = max(1, round(plan.states_read / float(tree.leaf_logprobs.exp() @ tree.leaves.lengths.double().cpu())))
        heights = [sampled_mean(tree), tree.best_of(samples).reward, plan.paid, float(tree.scores.total.max())]
        names = ["one sample", f"best of {samples}", f"look-ahead {depth}", "best there is"]
        roles = ["policy", "policy", "value", "ink"]
        bars = {"type": "bar", "x": names, "y": heights, "marker": {"color": [colour(role) for role in roles]}}
        written = {"text": [fixed(height, 3) for height in heights], "textposition": "outside", "cliponaxis": False}
        drawn = drawing([bars | written], x="", y="score (reward)", layout={"height": HEIGHT, "margin": {"t": 24}})
        text = tree.policy.decode(plan.ids)
        said = (
            f"Looking {depth} ahead reads {plan.states_read} states and writes “{text}”, scoring {fixed(plan.paid, 3)}"
        )
        words = f"{said}; best-of-{samples} reads as many and scores {fixed(heights[1], 3)} on average."
        return Picture(drawn, words, "score of sampling, best-of-n and look-ahead")

    return draw


def old_and_simulated(present: Tree, behaviour: Tree, values: Sequence[Tensor]) -> Callable[[float, int], Picture]:
    """Return the picture of a value target that mixes played returns with simulated ones, by share and depth."""

    def draw(share: float, depth: int) -> Picture:
        mixes = mixed_targets(present, behaviour, values, depth=depth, shares=SHARES)
        chosen = min(mixes, key=lambda mix: abs(mix.share - share))
        best = min(mixes, key=lambda mix: mix.error)
        curves = [
            ("mean squared error", [mix.error for mix in mixes], "ink"),
            ("variance", [mix.variance for mix in mixes], "value"),
            ("bias squared", [mix.bias**2 for mix in mixes], "down"),
        ]
        drawn = _lines(SHARES, curves, x="share of played returns", y="error of the target", mark=chosen.share)
        said = f"With {chosen.share:.0%} played returns the bias is {fixed(chosen.bias, 3, signed=True)}"
        words = f"{said} and the mean squared error {fixed(chosen.error, 3)}; the best mix plays {best.share:.0%}."
        return Picture(drawn, words, "bias, variance and error of the mixed target")

    return draw


def _lines(
    stops: Sequence[float], curves: Sequence[tuple[str, Sequence[float], str]], *, x: str, y: str, mark: float
) -> Drawing:
    """Draw lines over the stops of a slider, named at their ends, with a mark where the slider stands."""
    low, high = span([value for _, values, _ in curves for value in values], around=0.0, least=0.1)
    labels = [EndLabel(name, values[-1], role) for name, values, role in curves]
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": list(stops),
            "y": list(values),
            "name": esc(name),
            "line": {"color": colour(role)},
        }
        for name, values, role in curves
    ]
    here = {"type": "line", "x0": mark, "x1": mark, "yref": "paper", "y0": 0, "y1": 1}
    layout = {
        "height": HEIGHT,
        "yaxis": {"range": [low, high]},
        "shapes": [here | {"line": {"width": 1, "color": colour("edge")}}],
    } | end_labels(labels, low=low, high=high, height=HEIGHT - 60.0)
    return drawing(traces, x=x, y=y, layout=layout)
