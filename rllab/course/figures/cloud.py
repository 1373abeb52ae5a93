"""The cloud of single-sample gradients around the true one, seen in the plane of the truth and the widest noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rllab.plots.charts import span
from rllab.plots.drawing import Drawing, Picture, colour, drawing, faded
from rllab.plots.text import esc, fixed, significant
from rllab.truth import Tree
from rllab.truth.estimators import Cloud, cloud

HEIGHT = 320
SHOWN = 200  # single gradients
SAME = 1e-9  # a bias below this is rounding
NAMES = {
    "nothing": "Nothing is subtracted",
    "V": "V of the prompt is subtracted",
    "exact A": "Each token is judged by its exact advantage",
    "its own reward": "Half of its own reward is subtracted",
}


def gradient_cloud(tree: Tree, *, seed: int = 0) -> Callable[[str, float, float], Picture]:
    """Return the picture of single-sample gradients at a prompt, by baseline, level of the reward, and batch size.

    What is drawn are gradients in the logits of the first token; a dot is the mean of a batch.
    """
    plane = _plane(cloud(tree, "V"))

    def draw(baseline: str, shift: float, batch: float) -> Picture:
        found, size = cloud(tree, baseline, shift=shift), int(batch)
        widest = cloud(tree, "nothing", shift=shift)  # one scale for all baselines
        dots, frame = (_means(sampled, size, seed=seed) @ plane for sampled in (found, widest))
        drawn = _figure(dots, found.truth @ plane, found.mean @ plane, frame)
        length, spread = float(found.truth.norm()), (found.variance / size) ** 0.5
        bias = "their mean is the truth" if found.bias < SAME else f"their mean is off by {fixed(found.bias)}"
        words = (
            f"{NAMES[baseline]}: the true gradient is {fixed(length)} long, one estimate from {size} "
            f"{'response' if size == 1 else 'responses'} scatters by {significant(spread)} around it, and {bias}."
        )
        return Picture(drawn, words, "single-sample gradients around the true gradient", found.variance)

    return draw


def _plane(found: Cloud) -> Tensor:
    """Return the direction of the truth, and across it the one of the widest noise, (A, 2)."""
    along = found.truth / found.truth.norm()
    apart = found.gradients - found.mean
    across = apart - (apart @ along)[:, None] * along
    covariance = (found.probs[:, None] * across).T @ across
    return torch.stack([along, torch.linalg.eigh(covariance).eigenvectors[:, -1]], dim=1)


def _means(found: Cloud, size: int, *, seed: int) -> Tensor:
    """Draw batches and average each, (SHOWN, A)."""
    return found.sample(SHOWN * size, seed=seed).reshape(SHOWN, size, -1).mean(dim=1)


def _figure(dots: Tensor, truth: Tensor, mean: Tensor, frame: Tensor) -> Drawing:
    """Draw the dots, the arrow of the truth and the cross of what the dots are on average."""
    (left, right), (low, high) = (span([*frame[:, at].tolist(), 0.0], least=0.2) for at in (0, 1))
    points = _dots(dots, "one estimate", {"color": faded("policy", 0.35), "size": 7})
    cross = _dots(mean[None], "mean of all", {"color": colour("down"), "size": 13, "symbol": "x-thin", "line": CROSS})
    layout = {"height": HEIGHT, "xaxis": {"range": [left, right]}, "yaxis": {"range": [low, high]}}
    x, y = "along the true gradient (arrow)", "across it, where it is noisiest"
    return drawing([points, _arrow(truth), cross], x=x, y=y, layout=layout)


CROSS = {"width": 3, "color": colour("down")}


def _arrow(tip: Tensor) -> dict[str, Any]:
    """Return an arrow to the right as a trace: one of plotly's own would lie over the cross."""
    arrow = _dots(torch.stack([torch.zeros_like(tip), tip]), "the true gradient", {"color": colour("ink")})
    head = {"symbol": ["circle", "triangle-right"], "size": [1, 20], "opacity": 1, "line": {"width": 0}}
    return arrow | {
        "mode": "lines+markers",
        "line": {"color": colour("ink"), "width": 3},
        "marker": arrow["marker"] | head,
    }


def _dots(places: Tensor, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    x, y = places.T.tolist()
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": marker}


def one_step(tree: Tree, *, count: int = 6) -> Callable[[float], Picture]:
    """Return the picture of one step along the exact gradient in the logits of the first token, by its size eta.

    Bars are the probabilities before and after; crosses are what the gradient predicted, a straight line from before.
    """
    pi, q = tree.pi(()), tree.Q(())
    slope = pi * tree.A(())
    predicted = pi * (slope - pi @ slope)  # d pi / d eta at 0
    shown = pi.argsort(descending=True)[:count]
    names = [esc(tree.policy.token_text(int(token))) for token in shown]

    def draw(eta: float) -> Picture:
        after, line = torch.softmax(pi.log() + eta * slope, dim=0), (pi + eta * predicted)[shown]
        low, high = span([*line.tolist(), 0.0, 1.0])  # a straight line knows no bounds
        traces = [
            _bars("before", names, pi[shown], faded("policy", 0.4)),
            _bars("after", names, after[shown], colour("policy")),
            _crosses("predicted", names, line),
        ]
        layout = {"height": HEIGHT - 60, "barmode": "group", "showlegend": True, "yaxis": {"range": [low, high]}}
        drawn = drawing(traces, x="first token", y="probability", layout=layout)
        gain = float(after @ q) - tree.J
        words = (
            f"With η = {eta:g} what the policy can expect goes from {fixed(tree.J, signed=True)} to "
            f"{fixed(float(after @ q), signed=True)}: a gain of {fixed(gain, 3)}, where the straight line predicted "
            f"{fixed(eta * float(slope.square().sum()), 3)}."
        )
        return Picture(drawn, words, "probabilities before and after one step", gain)

    return draw


def _crosses(name: str, names: list[str], heights: Tensor) -> dict[str, Any]:
    """Return the trace of one mark for each name."""
    marker = {"symbol": "x-thin", "size": 10, "line": {"width": 2, "color": colour("ink")}}
    return {"type": "scatter", "mode": "markers", "name": name, "x": names, "y": heights.tolist(), "marker": marker}


def _bars(name: str, names: list[str], heights: Tensor, paint: str) -> dict[str, Any]:
    return {"type": "bar", "name": name, "x": names, "y": heights.tolist(), "marker": {"color": paint}}
