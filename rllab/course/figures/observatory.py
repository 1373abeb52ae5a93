"""Figures of the observatory: proxy and gold over the distance from the reference, for one method or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rllab.course.observatory import BEST_OF_N, DPO, PPO, Curve, Form
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Drawing

DISTANCE = "√KL to the reference (√nats)"
ROLE = {PPO: "policy", BEST_OF_N: "value", DPO: "down"}
HEIGHT = 260
STEPS = 60  # places at which a fitted law is drawn


def optimised(curve: Curve, *, gold: bool, forms: Sequence[Form] = (), guess: float | None = None) -> Drawing:
    """Draw the proxy of one method over the distance, and with `gold` also gold and the laws fitted to it.

    Args:
        curve: The points of one method.
        gold: Whether gold may be seen.
        forms: The fitted laws, the better one first.
        guess: A distance to mark, where a learner expects gold to peak.

    Returns:
        The drawing.
    """
    d = [point.d for point in curve.points]
    drawn = [Line("proxy", d, [point.proxy for point in curve.points], "reward", mode="lines+markers")]
    if gold:
        heights = [point.gold for point in curve.points]
        drawn.append(Line("gold", d, heights, "reward", "dash", mode="lines+markers"))
        drawn += [_law(form, curve, dash) for form, dash in zip(forms, ("solid", "dot"), strict=False)]
    return line_chart(drawn, Axes(DISTANCE, "mean score of a response", mark=guess, height=HEIGHT))


def compared(curves: Mapping[str, Curve], *, gold: bool) -> Drawing:
    """Draw what several methods reach at the same distance.

    Args:
        curves: Their points, by method.
        gold: Draw gold; otherwise the proxy.

    Returns:
        The drawing.
    """
    lines = [
        Line(
            method,
            [point.d for point in curve.points],
            [point.gold if gold else point.proxy for point in curve.points],
            ROLE[method],
            "dash" if gold else "solid",
            mode="lines+markers",
        )
        for method, curve in curves.items()
    ]
    return line_chart(lines, Axes(DISTANCE, "mean gold" if gold else "mean proxy", height=HEIGHT))


def _law(form: Form, curve: Curve, dash: str) -> Line:
    """Return a fitted law over the distances that it was fitted to."""
    far = max(point.d for point in curve.points)
    near = min(point.d for point in curve.points if point.d > 0)
    d = [near + (far - near) * place / STEPS for place in range(STEPS + 1)]
    start = curve.points[0].gold
    return Line(form.name, d, [start + form.at(distance) for distance in d], "ink", dash)
