"""How open a state is at each temperature: the entropy, and the slope that the variance of the logits gives it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor

from rllab.maths.divergence import entropy
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, probability

TAUS = tuple(number / 20 for number in range(2, 81))  # 0.1 to 4
REACH = 0.5  # how far the tangent is drawn to both sides


def entropy_by_temperature(states: Mapping[str, Tensor], names: Mapping[int, str]) -> Callable[[str, float], Picture]:
    """Return the picture of one of the states' entropy over tau, with the tangent at one tau.

    `states` are logits (A,) by name, `names` the words of the tokens. The tangent's slope is Var(z) / tau^3, with
    the variance of the logits z under the policy at tau; the curve is computed apart from it.
    """

    def draw(state: str, tau: float) -> Picture:
        z = states[state].double()
        pi = (z / tau).softmax(dim=0)
        here, mean = float(entropy(z / tau)), float(pi @ z)
        slope = float(pi @ (z - mean).square()) / tau**3
        ends = [max(TAUS[0], tau - REACH), tau + REACH]
        curve = Line("H(τ)", TAUS, [float(entropy(z / temperature)) for temperature in TAUS], "policy")
        tangent = Line("", ends, [here + slope * (end - tau) for end in ends], "ink", "dash")
        most = math.log(len(z))
        ceiling = Line("log |V|", [TAUS[0], TAUS[-1]], [most, most], "edge", "dot")
        drawn = line_chart([curve, tangent, ceiling], Axes("temperature τ", "entropy H (nats)", around=0.0, mark=tau))
        best = int(pi.argmax())
        words = (
            f"At τ = {tau:g} the likeliest token is “{names[best].strip()}” with {probability(float(pi[best]))}, "
            f"and H = {fixed(here)} of at most {fixed(most)} nats. The dashed slope is Var(z)/τ³ = {fixed(slope)}."
        )
        return Picture(drawn, words, "entropy over temperature, with its slope")

    return draw
