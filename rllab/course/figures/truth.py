"""Figures of what exact trees show: luck by token, foresight, and estimates of the gradient around the true one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllab.plots.charts import bars, span
from rllab.plots.drawing import Drawing, Picture, colour, drawing, faded
from rllab.plots.text import esc, fixed, significant
from rllab.truth import Tree
from rllab.truth.calibration import Part
from rllab.truth.estimators import BenchRow, Cloud, cloud

HEIGHT = 240
CLOUD_HEIGHT = 320
MUCH = 0.6  # a critic knows where it explains this share of what it explains at the end
SHOWN = 200  # single gradients
SAME = 1e-9  # a bias below this is rounding
NAMES = {
    "nothing": "Nothing is subtracted",
    "V": "V of the prompt is subtracted",
    "exact A": "Each token is judged by its exact advantage",
    "its own reward": "Half of its own reward is subtracted",
}


# ---- Whole responses: which token decides, and how early a critic can predict ----


def luck_by_token(trees: Mapping[str, Tree]) -> Callable[[str], Picture]:
    """Return the picture of E[A_t^2] of each token of a prompt's responses; they add up to the variance of the return.

    Args:
        trees: All responses, by prompt.

    Returns:
        A function of the prompt; the outcome of its picture is the token with the largest share, counted from 1.
    """

    def draw(prompt: str) -> Picture:
        tree = trees[prompt]
        shares = tree.variance_by_token().tolist()
        probs, returns = tree.leaf_logprobs.exp(), tree.leaf_returns
        variance = float(probs @ (returns - probs @ returns).square())
        names = [f"token {at + 1}" for at in range(len(shares))]
        series = bars(names, shares, colour("value"), texts=[fixed(share) for share in shares])
        drawn = drawing([series], x="", y="E[A²] (reward²)", layout={"height": HEIGHT, "bargap": 0.4})
        most = 1 + shares.index(max(shares))
        words = (
            f"“{prompt} …”: the shares add up to {fixed(sum(shares), 3)}, and the variance of the return, computed "
            f"over {len(returns):,} responses, is {fixed(variance, 3)}. Token {most} decides most."
        )
        return Picture(drawn, words, "variance of the return by token", float(most))

    return draw


def foresight(parts: Sequence[Part]) -> Picture:
    """Draw how much of the outcome a critic explains in each part of the responses, with one standard error.

    Args:
        parts: The critic's forecasts against sampled responses, part by part.

    Returns:
        The picture; its outcome says from where on the critic knows: "early", "late" or "evenly" more and more.
    """
    known, width, middle = [part.explained for part in parts], 1 / len(parts), len(parts) // 2
    names = [f"{part.start:.0%} to {part.start + width:.0%}" for part in parts]
    errors = {"type": "data", "array": [part.error for part in parts], "color": colour("ink"), "thickness": 1}
    series = bars(names, known, colour("value")) | {"error_y": errors, "hovertemplate": "%{y:.2f}"}
    layout = {"height": HEIGHT, "bargap": 0.4, "yaxis": {"range": span([*known, 1.0], around=0.0)}}
    drawn = drawing([series], x="part of the response that is written", y="explained variance", layout=layout)
    first, half, last = (f"{fixed(parts[at].explained)} ± {fixed(parts[at].error)}" for at in (0, middle, -1))
    words = (
        f"Over {len(parts[0].forecasts)} responses the critic explains {first} of the variance in the first part, "
        f"{half} in the middle and {last} in the last; 1 would be everything."
    )
    if known[0] >= MUCH * known[-1]:
        outcome = "early"
    else:
        outcome = "late" if known[middle] < (1 - MUCH) * known[-1] else "evenly"
    alt = "explained variance of the critic by part of the response"
    return Picture(drawn, words, alt, outcome, ("monte-carlo", "learned"))


# ---- The gradient: estimators of it, a cloud of single estimates, and one step along it ----


def noise_of_estimators(rows: Sequence[BenchRow]) -> Picture:
    """Draw the variance of each estimator of the gradient.

    Args:
        rows: The estimators, measured on the same policy.

    Returns:
        The picture; its outcome is the name of the unbiased estimator with the least variance.
    """
    names, variances = [row.name for row in rows], [row.variance for row in rows]
    colours = [colour("down" if row.is_biased else "policy") for row in rows]
    texts = [significant(variance) for variance in variances]
    series = bars(names, variances, colours, texts=texts, horizontal=True)
    layout = {"height": 70 + 34 * len(rows), "margin": {"r": 40}}
    drawn = drawing([series], x="variance, summed over all weights", y="", layout=layout)
    unbiased = [row for row in rows if not row.is_biased]
    best, worst = (choose(unbiased, key=lambda row: row.variance) for choose in (min, max))
    biased = [row.name for row in rows if row.is_biased]
    words = (
        f"Over {rows[0].gradients} gradients each: {best.name} has the least variance, {significant(best.variance)}, "
        f"{worst.name} the most, {significant(worst.variance)}. "
        + (f"Off on average, more than chance explains: {', '.join(biased)}." if biased else "None is off on average.")
    )
    return Picture(drawn, words, "variance of estimators of the gradient", best.name)


def gradient_cloud(tree: Tree, *, seed: int = 0) -> Callable[[str, float, float], Picture]:
    """Return the picture of single-sample gradients at a prompt, in the logits of the first token.

    They are seen in the plane of the true gradient and the direction in which they vary most.

    Args:
        tree: All responses to the prompt.
        seed: Of the samples.

    Returns:
        A function of the baseline, the shift of the reward, and the batch whose mean is a dot.
    """
    around = cloud(tree, "V")
    along = around.truth / around.truth.norm()
    apart = around.gradients - around.mean
    across = apart - (apart @ along)[:, None] * along
    covariance = (around.probs[:, None] * across).T @ across
    plane = torch.stack([along, torch.linalg.eigh(covariance).eigenvectors[:, -1]], dim=1)  # (A, 2)

    def means(sampled: Cloud, size: int) -> Tensor:
        """Return the means of sampled batches in the plane, (SHOWN, 2)."""
        return sampled.sample(SHOWN * size, seed=seed).reshape(SHOWN, size, -1).mean(dim=1) @ plane

    def draw(baseline: str, shift: float, batch: float) -> Picture:
        found, size = cloud(tree, baseline, shift=shift), int(batch)
        frame = means(cloud(tree, "nothing", shift=shift), size)  # one scale for all baselines
        drawn = _cloud(means(found, size), found.truth @ plane, found.mean @ plane, frame)
        length, spread = float(found.truth.norm()), (found.variance / size) ** 0.5
        bias = "their mean is the truth" if found.bias < SAME else f"their mean is off by {fixed(found.bias)}"
        words = (
            f"{NAMES[baseline]}: the true gradient is {fixed(length)} long, one estimate from {size} "
            f"{'response' if size == 1 else 'responses'} scatters by {significant(spread)} around it, and {bias}."
        )
        return Picture(drawn, words, "single-sample gradients around the true gradient", found.variance)

    return draw


def _cloud(dots: Tensor, truth: Tensor, mean: Tensor, frame: Tensor) -> Drawing:
    """Draw the dots, the arrow of the truth and the cross of the dots' expectation; all are points (N, 2)."""
    cross = {"color": colour("down"), "size": 13, "symbol": "x-thin", "line": {"width": 3, "color": colour("down")}}
    # The arrow is a trace: an arrow of plotly's own would cover the cross.
    head = {"symbol": ["circle", "triangle-right"], "size": [1, 20], "opacity": 1, "line": {"width": 0}}
    arrow = _points(torch.stack([torch.zeros_like(truth), truth]), "the true gradient", {"color": colour("ink")} | head)
    traces = [
        _points(dots, "one estimate", {"color": faded("policy", 0.35), "size": 7}),
        arrow | {"mode": "lines+markers", "line": {"color": colour("ink"), "width": 3}},
        _points(mean[None], "mean of all", cross),
    ]
    x_range, y_range = (span([*frame[:, at].tolist(), 0.0], least=0.2) for at in (0, 1))
    layout = {"height": CLOUD_HEIGHT, "xaxis": {"range": x_range}, "yaxis": {"range": y_range}}
    x, y = "along the true gradient (arrow)", "across it, where it is noisiest"
    return drawing(traces, x=x, y=y, layout=layout)


def _points(places: Tensor, name: str, marker: Mapping[str, Any]) -> dict[str, Any]:
    x, y = places.T.tolist()
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": dict(marker)}


def one_step(tree: Tree, *, count: int = 6) -> Callable[[float], Picture]:
    """Return the picture of one step along the exact gradient in the logits of the first token.

    Bars are the probabilities before and after; crosses are the gradient's prediction, a straight line from before.

    Args:
        tree: All responses to a prompt.
        count: How many tokens are drawn, the most likely first.

    Returns:
        A function of the step size; the outcome of its picture is the gain in expected reward.
    """
    pi, q = tree.pi(()), tree.Q(())
    slope = pi * tree.A(())
    change = pi * (slope - pi @ slope)  # d pi / d eta at 0
    shown = pi.argsort(descending=True)[:count]
    names = [esc(tree.policy.token_text(int(token))) for token in shown]
    cross = {"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": colour("ink")}}

    def draw(eta: float) -> Picture:
        after = torch.softmax(pi.log() + eta * slope, dim=0)
        predicted = (pi + eta * change)[shown].tolist()
        traces = [
            bars(names, pi[shown].tolist(), faded("policy", 0.4), name="before"),
            bars(names, after[shown].tolist(), colour("policy"), name="after"),
            {"type": "scatter", "mode": "markers", "name": "predicted", "x": names, "y": predicted, "marker": cross},
        ]
        heights = span([*predicted, 0.0, 1.0])  # a straight line has no bounds
        layout = {"height": CLOUD_HEIGHT - 60, "barmode": "group", "showlegend": True, "yaxis": {"range": heights}}
        drawn = drawing(traces, x="first token", y="probability", layout=layout)
        gain = float(after @ q) - tree.J
        words = (
            f"With η = {eta:g} the policy's expected reward goes from {fixed(tree.J, signed=True)} to "
            f"{fixed(float(after @ q), signed=True)}: a gain of {fixed(gain, 3)}, where the straight line predicted "
            f"{fixed(eta * float(slope.square().sum()), 3)}."
        )
        return Picture(drawn, words, "probabilities before and after one step", gain)

    return draw
