"""Figures of PPO: the surrogate over the ratio in two forms, the loss with the score, the rewards of one response."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllab.maths.losses import clipped_surrogate_loss, course_clipped_loss
from rllab.plots.charts import HEIGHT, Axes, Line, bars, line_chart
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import apportioned, esc, fixed

GOOD, BAD = "good: A = +1", "bad: A = −1"
GRID = tuple(at / 100 for at in range(20, 181))  # ratios


def surrogate(token: str, ratio: float, clip_eps: float) -> Picture:
    """Draw what one token adds to the objective over its ratio, without a clip and in both clipped forms.

    Args:
        token: GOOD or BAD.
        ratio: Where the slopes are put into words.
        clip_eps: Epsilon of both clips.

    Returns:
        The picture.
    """
    advantage = 1.0 if token == GOOD else -1.0
    lines, pushes = [Line("no clip", GRID, [advantage * at for at in GRID], "reference", "dot")], []
    for name, form, role, dash in (
        ("PPO's clip", clipped_surrogate_loss, "policy", "solid"),
        ("one-sided clip", course_clipped_loss, "reward", "dash"),
    ):
        lines.append(Line(name, GRID, _heights(form, GRID, advantage, clip_eps)[0].tolist(), role, dash))
        slope = float(_heights(form, (ratio,), advantage, clip_eps)[1])
        pushes.append("leaves it alone" if slope == 0 else "pushes it up" if slope > 0 else "pushes it down")
    words = (
        f"The policy gives this token {fixed(ratio)} times the probability that it had when it was sampled. PPO's clip "
        f"{pushes[0]}; the one-sided form {pushes[1]}."
    )
    axes = Axes("ratio ρ = π / π_old", "share in the objective", mark=ratio)
    return Picture(line_chart(lines, axes), words, "surrogate by ratio")


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
    """Draw the policy's loss and the score of a run.

    Args:
        history: The metrics of update 1, 2, ...

    Returns:
        The picture.
    """
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
    """Draw the reward of each token of one response: the score at its end, and the KL penalty everywhere.

    Args:
        row: One response of an opened update, lists over its tokens: `tokens`, `paid` and `kl`, its sample in nats.
        kl_coef: The price of a nat.

    Returns:
        The picture.
    """
    names = [f"{at + 1} {esc(token)}" for at, token in enumerate(row["tokens"])]
    scores, costs = row["paid"], [-kl_coef * kl for kl in row["kl"]]
    traces = [
        bars(names, scores, colour("reward"), name="score"),
        bars(names, costs, colour("kl"), name="\u2212\u03b2 KL"),
    ]
    total = sum(scores) + sum(costs)
    score, cost = apportioned([sum(scores), sum(costs)], total)
    words = (
        f"The score {fixed(score, signed=True)} is paid at the end; the KL costs {fixed(-cost)} over all tokens. "
        f"Together the response is paid {fixed(total, signed=True)}."
    )
    layout = {"height": HEIGHT, "barmode": "relative", "showlegend": True, "margin": {"t": 36}}
    drawn = drawing(traces, x="token", y="reward", layout=layout)
    return Picture(drawn, words, "reward of each token: score and KL penalty")
