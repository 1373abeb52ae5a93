"""A potential over the states of one text, painted by hand: what shaping pays where, and what it does to the sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from rllab.plots.charts import HEIGHT
from rllab.plots.drawing import Picture, colour, drawing, faded
from rllab.plots.text import esc, fixed
from rllab.reward.shaping import potential_shaping


def painted_shaping(tokens: Sequence[str], rewards: Sequence[float]) -> Callable[[float, float, float], Picture]:
    """Return the picture of one text of three tokens under a potential that is 0 at its prompt.

    The two inner states have the potentials `second` and `third`, the finished text has `last`, which ought to be 0.
    """
    plain = torch.tensor([list(rewards)], dtype=torch.float64)

    def draw(second: float, third: float, last: float) -> Picture:
        potentials = torch.tensor([[0.0, second, third, 0.0]], dtype=torch.float64)
        shaped = plain + potential_shaping(potentials, torch.ones_like(plain, dtype=torch.bool), gamma=1.0)
        shaped[0, -1] += last
        traces = [
            _bars("paid without shaping", tokens, rewards, faded("reward", 0.35)),
            _bars("paid with shaping", tokens, shaped[0].tolist(), colour("reward")),
        ]
        layout = {"height": HEIGHT - 40, "barmode": "group", "showlegend": True, "yaxis": {"range": [-3.2, 4.2]}}
        drawn = drawing(traces, x="token", y="reward", layout=layout)
        total, before = float(shaped.sum()), float(plain.sum())
        moved = (
            "the same as without shaping" if last == 0 else f"moved from {fixed(before, signed=True)} by Φ at the end"
        )
        words = f"Each token is paid its step of Φ besides. The sum is {fixed(total, signed=True)}, {moved}."
        return Picture(drawn, words, "what each token is paid with and without shaping", total - before)

    return draw


def _bars(name: str, tokens: Sequence[str], heights: Sequence[float], paint: str) -> dict[str, Any]:
    names = [f"{at + 1} {esc(token)}" for at, token in enumerate(tokens)]
    edged = {"color": paint, "line": {"color": colour("reward"), "width": 1.5}}  # a pale bar is seen by its edge
    return {"type": "bar", "name": name, "x": names, "y": list(heights), "marker": edged}
