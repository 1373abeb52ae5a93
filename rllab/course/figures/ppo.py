"""PPO by itself: the surrogate over the ratio in two forms, the loss beside the score, the account of the rewards."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllab.maths.losses import clipped_surrogate_loss, course_clipped_loss
from rllab.plots.charts import HEIGHT, Axes, Line, line_chart
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import apportioned, esc, fixed

GOOD, BAD = "good: A = +1", "bad: A = −1"
LEGEND = {
    "showlegend": True,
    "margin": {"t": 36},
}
GRID = tuple(at / 100 for at in range(20, 181))  # ratios


def surrogate(token: str, ratio: float, clip_eps: float) -> Picture:
    """Draw what one good or bad token adds to the objective by its ratio, and say which form pushes it where."""
    advantage = 1.0 if token == GOOD else -1.0
    lines = [Line("no clip", GRID, [advantage * one for one in GRID], "reference", "dot")]
    for name, form, role, dash in (
        ("PPO's clip", clipped_surrogate_loss, "policy", "solid"),
        ("one-sided clip", course_clipped_loss, "reward", "dash"),
    ):
        lines.append(Line(name, GRID, _heights(form, GRID, advantage, clip_eps)[0].tolist(), role, dash))
    pushes = [
        float(_heights(form, (ratio,), advantage, clip_eps)[1])
        for form in (clipped_surrogate_loss, course_clipped_loss)
    ]
    ours, theirs = map(_push, pushes)
    words = (
        f"The policy gives this token {fixed(ratio)} times the probability that it had when it was written. PPO's clip "
        f"{ours}; the one-sided form {theirs}."
    )
    axes = Axes("ratio ρ = π / π_old", "share in the objective", mark=ratio)
    return Picture(line_chart(lines, axes), words, "surrogate by ratio")


def _push(slope: float) -> str:
    return "leaves it alone" if slope == 0 else "pushes it up" if slope > 0 else "pushes it down"


def _heights(
    form: Callable[..., Tensor], ratios: tuple[float, ...], advantage: float, clip_eps: float
) -> tuple[Tensor, Tensor]:
    """Return the surrogate at some ratios and its slope in the log-probs, (R,) each."""
    logprobs = torch.tensor([ratios], dtype=torch.float64).log().requires_grad_()
    weights, mask = torch.full_like(logprobs, advantage), torch.ones_like(logprobs, dtype=torch.bool)
    heights = -form(logprobs, torch.zeros_like(logprobs), weights, mask, clip_eps=clip_eps)
    (slopes,) = torch.autograd.grad(heights.sum(), logprobs)
    return heights[0].detach(), slopes[0]


def loss_beside_score(history: Sequence[Mapping[str, float]]) -> Picture:
    """Draw the policy's loss and the score of a run, `history` being the metrics of update 1, 2, ..."""
    updates = list(range(1, len(history) + 1))
    loss, score = ([record[name] for record in history] for name in ("loss/policy_avg", "objective/scores"))
    lines = [Line("score", updates, score, "reward"), Line("policy loss", updates, loss, "ink")]
    fell = sum(after < before for before, after in itertools.pairwise(loss))
    words = (
        f"The score went from {fixed(score[0])} to {fixed(score[-1])}. The loss went from {fixed(loss[0])} to "
        f"{fixed(loss[-1])} and fell in {fell} of {len(loss) - 1} steps: it is about a new batch every time."
    )
    return Picture(line_chart(lines, Axes("update", "reward units", around=0.0)), words, "loss and score by update")


def account(row: Mapping[str, Any], kl_coef: float) -> Picture:
    """Draw what each token of one response is paid: the score at its end, and the price of the KL everywhere.

    `row` is one response of an opened update, lists over its tokens: `tokens`, `paid` and `kl`, its sample in nats.
    """
    names = [f"{at + 1} {esc(token)}" for at, token in enumerate(row["tokens"])]
    scores, prices = row["paid"], [-kl_coef * kl for kl in row["kl"]]
    traces = [
        {"type": "bar", "name": name, "x": names, "y": heights, "marker": {"color": colour(role)}}
        for name, heights, role in (("score", scores, "reward"), ("\u2212\u03b2 KL", prices, "kl"))
    ]
    total = sum(scores) + sum(prices)
    score, price = apportioned([sum(scores), sum(prices)], total)
    words = (
        f"The score {fixed(score, signed=True)} is paid at the end; the KL costs {fixed(-price)} over all tokens. "
        f"Together the response is paid {fixed(total, signed=True)}."
    )
    drawn = drawing(traces, x="token", y="reward", layout={"height": HEIGHT, "barmode": "relative"} | LEGEND)
    return Picture(drawn, words, "reward of each token: score and price of the KL")
