"""The figures of the experiments on gradients and values: baselines, lambda, estimators of KL."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.course.experiments import baselines, gae_lambda, kl_estimators
from rllab.plots.charts import HEIGHT, Axes, Line, line_chart
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed, significant

FOUR = ("policy", "reward", "value", "down")  # colours of lines that have no meaning of their own
SHOWN_BATCHES = (4, 16, 256, 1024)
STOPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of lambda, written under the axis


def baseline_variance(result: baselines.Result) -> Picture:
    """Draw the variance of the gradient under three baselines, over what is added to every reward.

    The outcome is the factor by which the variance without a baseline grows from no shift to the largest.
    """
    shifts = [one.shift for one in result.shifts]
    lines = [
        Line("no baseline", shifts, [one.none for one in result.shifts], "reward", mode="lines+markers"),
        Line("mean reward", shifts, [one.mean for one in result.shifts], "policy", mode="lines+markers"),
        Line("best constant", shifts, [one.best for one in result.shifts], "ink", "dot"),
    ]
    drawn = line_chart(lines, Axes("added to every reward", "variance of one gradient", log_y=True, ticks=shifts))
    first, last = result.shifts[0], result.shifts[-1]
    factor = last.none / first.none
    words = (
        f"With {last.shift:g} added to every reward the variance without a baseline is {significant(last.none)}, "
        f"{significant(factor, 3)} times that at level 0; with the mean reward subtracted it stays "
        f"{significant(last.mean)}. The mean of the gradient is the same in all of them."
    )
    return Picture(drawn, words, "variance of the gradient by baseline and level of the reward", factor, ("exact",))


def groups(result: baselines.Result, k: int = 4) -> Picture:
    """Draw leave-one-out's variance, in units of that with the true mean as the baseline, over the group's size."""
    sizes = [one.k for one in result.groups]
    ratios = [one.ratio for one in result.groups]
    lines = [
        Line("leave one out", sizes, ratios, "policy", mode="lines+markers"),
        Line("true mean", sizes, [1.0] * len(sizes), "ink", "dot"),
    ]
    axes = Axes("samples in the group, k", "variance × k, true mean = 1", log_x=True, around=1.0, ticks=sizes, mark=k)
    drawn = line_chart(lines, axes)
    ratio = next(one.ratio for one in result.groups if one.k == k)
    words = (
        f"With {k} samples the mean of the others costs {fixed(ratio)} times the variance, per sample, of the true "
        f"mean, which nobody knows. A rule of thumb says k/(k\u00a0\u2212\u00a01), here {fixed(k / (k - 1))}."
    )
    kinds = ("exact",) if k <= baselines.LISTED else ("average",)
    return Picture(drawn, words, "variance with leave-one-out by group size", kinds=kinds)


def best_lambda(result: gae_lambda.Result, critic: str = "noisy") -> Picture:
    """Draw the error of the gradient over lambda, for some batch sizes, each with its best lambda ringed.

    The outcome tells which way the best lambda moves from the smallest to the largest batch: up, same or down.
    """
    arm = result.arm(critic)
    lines = []
    for batch, role in zip(SHOWN_BATCHES, FOUR, strict=True):
        errors, best = arm.mse(batch), arm.best(batch)
        lines.append(Line(f"{batch:,} walks", gae_lambda.LAMBDAS, errors, role, mode="lines+markers"))
        lines.append(_dot(best, min(errors), role))
    drawn = line_chart(lines, Axes("λ", "squared error of the gradient", log_y=True, ticks=STOPS))
    few, many = (arm.best(batch) for batch in (SHOWN_BATCHES[0], SHOWN_BATCHES[-1]))
    words = (
        f"{critic.capitalize()} critic: with {SHOWN_BATCHES[0]} walks in a batch λ = {few:g} is best, "
        f"with {SHOWN_BATCHES[-1]:,} walks λ = {many:g} (large dots)."
    )
    way = "up" if many > few else "down" if many < few else "same"
    return Picture(drawn, words, f"error of the gradient over lambda, {critic} critic", way)


def bias_and_variance(result: gae_lambda.Result, critic: str, batch: int) -> Picture:
    """Draw of what the error is made over lambda: squared bias, and variance divided by the batch."""
    arm = result.arm(critic)
    noise = [variance / batch for variance in arm.variance]
    at = gae_lambda.LAMBDAS.index(arm.best(batch))
    lines = [
        Line("bias²", gae_lambda.LAMBDAS, arm.bias2, "down", mode="lines+markers"),
        Line("variance", gae_lambda.LAMBDAS, noise, "value", mode="lines+markers"),
        Line("error = sum", gae_lambda.LAMBDAS, arm.mse(batch), "ink"),
        _dot(gae_lambda.LAMBDAS[at], arm.mse(batch)[at], "ink"),
    ]
    drawn = line_chart(lines, Axes("λ", "squared error of the gradient", around=0.0, ticks=STOPS))
    words = (
        f"{critic.capitalize()} critic, {batch} walks: the error is least at λ = {gae_lambda.LAMBDAS[at]:g}, where "
        f"bias² is {significant(arm.bias2[at])} and variance {significant(noise[at])}."
    )
    return Picture(drawn, words, "bias and variance of the gradient over lambda")


def estimator_errors(result: kl_estimators.Result) -> Picture:
    """Draw the spread of k1, k2 and k3 for policies close together and far apart; under each its bias far apart."""
    near, far = kl_estimators.APART
    names = [slope.estimator for slope in result.slopes]
    traces = [
        _bars(names, [result.value(name, apart).deviation for name in names], label, role)
        for apart, label, role in ((near, "close together", "policy"), (far, "far apart", "reward"))
    ]
    under = [f"{name}<br>off by {_bias(result, name, far)}<br>far apart" for name in names]  # close by noise hides it
    ticks = {"tickvals": names, "ticktext": under}
    layout = {"height": HEIGHT, "barmode": "group", "showlegend": True, "xaxis": ticks, "bargap": 0.3}
    drawn = drawing(traces, x="estimator, and its bias", y="spread of one / true KL", layout=layout)
    k1, k3 = (result.value(name, near).deviation for name in ("k1", "k3"))
    words = (
        f"Close together one k1 scatters {significant(k1, 2)} times the KL itself, one k3 only "
        f"{significant(k3, 2)} times; far apart k2 is off by {_bias(result, 'k2', far)} on average."
    )
    least = min(names, key=lambda name: result.value(name, near).deviation + abs(result.value(name, far).bias))
    return Picture(drawn, words, "spread of the estimators of KL", least)


def _bias(result: kl_estimators.Result, name: str, apart: float) -> str:
    """Return the bias of an estimator, in percent of the KL."""
    return f"{fixed(100 * result.value(name, apart).bias, 0, signed=True)}%"


def _bars(names: Sequence[str], heights: Sequence[float], name: str, role: str) -> dict[str, object]:
    return {
        "type": "bar",
        "name": name,
        "x": list(names),
        "y": list(heights),
        "text": [significant(one, 2) for one in heights],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": colour(role)},
    }


def _dot(x: float, y: float, role: str) -> Line:
    """Return a large dot on a line."""
    return Line("", [x], [y], role, mode="markers", size=12)
