"""What values tell about whole runs: which token the luck falls on, and from where on a critic foresees the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rllab.plots.charts import span
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed
from rllab.truth import Tree
from rllab.truth.calibration import Part

HEIGHT = 240
EARLY, EVENLY, LATE = "early", "evenly", "late"
KINDS = ("monte-carlo", "learned")  # what a critic has learned, held against sampled stories
MUCH = 0.6  # a part that knows this share of what the last one knows, knows already


def luck_by_token(trees: Mapping[str, Tree]) -> Callable[[str], Picture]:
    """Return the picture of E[A_t^2] of each token of a prompt's responses; they add up to the variance of the return.

    The outcome is the token with the largest share, the first one being 1.
    """

    def draw(prompt: str) -> Picture:
        tree = trees[prompt]
        shares = tree.variance_by_token().tolist()
        probs, returns = tree.leaf_logprobs.exp(), tree.leaf_returns
        whole = float(probs @ (returns - probs @ returns).square())
        names = [f"token {at + 1}" for at in range(len(shares))]
        texts = {"text": [fixed(share) for share in shares], "textposition": "outside", "cliponaxis": False}
        bars = {"type": "bar", "x": names, "y": shares, "marker": {"color": colour("value")}} | texts
        drawn = drawing([bars], x="", y="E[A²] (reward²)", layout={"height": HEIGHT, "bargap": 0.4})
        most = shares.index(max(shares))
        words = (
            f"“{prompt} …”: the shares add up to {fixed(sum(shares), 3)}, and the variance of the return, counted over "
            f"{len(returns):,} responses, is {fixed(whole, 3)}. Most luck falls on token {most + 1}."
        )
        return Picture(drawn, words, "variance of the return by token", float(most + 1))

    return draw


def foresight(parts: Sequence[Part]) -> Picture:
    """Draw how much of the outcome a critic knows in each part of the responses, with one standard error.

    The outcome says from where on it knows: early, late, or evenly more and more.
    """
    known = [part.explained for part in parts]
    width = 1 / len(parts)
    low, high = span([*known, 1.0], around=0.0)
    bars = {
        "type": "bar",
        "x": [f"{part.start:.0%} to {part.start + width:.0%}" for part in parts],
        "y": known,
        "error_y": {"type": "data", "array": [part.error for part in parts], "color": colour("ink"), "thickness": 1},
        "marker": {"color": colour("value")},
        "hovertemplate": "%{y:.2f}",
    }
    layout = {"height": HEIGHT, "bargap": 0.4, "yaxis": {"range": [low, high]}}
    drawn = drawing([bars], x="part of the response that is written", y="explained variance", layout=layout)
    words = (
        f"Over {len(parts[0].forecasts)} responses the critic explains {fixed(known[0])} ± {fixed(parts[0].error)} of "
        f"the variance in the first part, {fixed(known[len(known) // 2])} ± {fixed(parts[len(known) // 2].error)} in "
        f"the middle and {fixed(known[-1])} ± {fixed(parts[-1].error)} in the last; 1 would be everything."
    )
    return Picture(drawn, words, "explained variance of the critic by part of the response", _when(known), KINDS)


def _when(known: Sequence[float]) -> str:
    """Say from where on a critic knows what it knows at the end."""
    last = known[-1]
    if known[0] >= MUCH * last:
        return EARLY
    return LATE if known[len(known) // 2] < (1 - MUCH) * last else EVENLY
