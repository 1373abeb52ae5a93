"""The price of a nat: the best policy for each beta on a world that is known exactly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, probability
from rllab.truth import Tree

BETAS = (5.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05)
BETWEEN = 6  # policies drawn from one beta to the next, so that the line bends where the frontier does


def price_of_kl(tree: Tree, betas: Sequence[float] = BETAS) -> Callable[[float], Picture]:
    """Return the picture of the frontier of reward against KL, with the best policy for one beta pointed at."""
    best = {beta: tree.optimum(beta) for beta in betas}
    steps = [(one, two, at / BETWEEN) for one, two in itertools.pairwise(betas) for at in range(BETWEEN)]
    edge = [best[one] if share == 0 else tree.optimum(one ** (1 - share) * two**share) for one, two, share in steps]
    edge.append(best[betas[-1]])

    def draw(beta: float) -> Picture:
        chosen = best[beta]
        frontier = Line(
            "frontier", [best_policy.kl for best_policy in edge], [best_policy.reward for best_policy in edge], "ink"
        )
        here = Line(f"β = {beta:g}", [chosen.kl], [chosen.reward], "policy", mode="markers")
        likely = int(chosen.leaf_logprobs.argmax())
        words = (
            f"At β = {beta:g} the best policy earns {fixed(chosen.reward)} at {fixed(chosen.kl)} nats. Its likeliest "
            f"text is “{tree.leaves.responses[likely]}”, with probability "
            f"{probability(float(chosen.leaf_logprobs[likely].exp()))}."
        )
        axes = Axes("KL to the reference (nats)", "expected reward", height=240)
        return Picture(line_chart([frontier, here], axes), words, "reward over KL, the best policy for each beta")

    return draw
