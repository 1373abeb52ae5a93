"""Figures of the family: group advantages, silent groups, averages and length, DPO on three answers, old batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllab.core.records import UpdateRecord
from rllab.course.tabular.planning import importance_weights
from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.algorithms import ALGORITHMS
from rllab.maths.losses import REDUCERS, dpo_loss, reduce
from rllab.plots.charts import HEIGHT, Axes, Line, bars, line_chart
from rllab.plots.drawing import Picture, colour, drawing, faded
from rllab.plots.text import fixed, probability
from rllab.trainer.frozen_batch import BatchComparison
from rllab.truth import Tree

GROUP_SIZES = (2, 4, 8, 16)
SHORT = 2  # tokens of the short answer
HOUSE = {"token-mean": "DAPO", "seq-mean-token-mean": "GRPO", "seq-mean-token-sum": "sum", "constant": "Dr. GRPO"}
STEPS = 300  # of gradient descent: where A nearly always wins the last ones are small
CORNERS = {"A": (0.0, 0.0), "B": (1.0, 0.0), "C": (0.5, 0.75**0.5)}


def group_advantages(scores: str, shift: float) -> Picture:
    """Draw the advantages of one group in three ways.

    Args:
        scores: Numbers with spaces between them.
        shift: What is added to each.

    Returns:
        The picture.
    """
    given = torch.tensor([float(score) for score in scores.split()], dtype=torch.float64) + shift
    group = torch.zeros(len(given), dtype=torch.long)
    ways: Mapping[str, tuple[Tensor, str]] = {
        "RLOO": (leave_one_out(given, group), "policy"),
        "Dr. GRPO": (group_relative(given, group, scale=False), "value"),
        "GRPO": (group_relative(given, group), "reward"),
    }
    names = [f"answer {at + 1}: {score:g}" for at, score in enumerate(given.tolist())]
    series = [bars(names, advantages.tolist(), colour(role), name=way) for way, (advantages, role) in ways.items()]
    layout = {"height": HEIGHT, "barmode": "group", "showlegend": True, "margin": {"t": 36}}
    drawn = drawing(series, x="answer and its score", y="advantage", layout=layout)
    if bool((given == given[0]).all()):
        words = "All answers score the same: the group is silent, and no answer is pushed anywhere."
    else:
        mean, spread = float(given.mean()), float(given.std(unbiased=False))
        given_by_grpo = ", ".join(fixed(advantage, signed=True) for advantage in ways["GRPO"][0].tolist())
        words = f"Mean {fixed(mean)}, standard deviation {fixed(spread)}: GRPO gives {given_by_grpo}."
    return Picture(drawn, words, "advantages of each answer in RLOO, Dr. GRPO and GRPO")


def silent_groups(solved: float, size: int) -> Picture:
    """Draw the share of silent groups, p^G + (1 - p)^G, by the probability p that an answer is right.

    Args:
        solved: The probability that is marked.
        size: The size of the group that the sentence is about.

    Returns:
        The picture.
    """
    shares = [at / 100 for at in range(1, 100)]
    roles = ("reference", "policy", "value", "reward")
    lines = [
        Line(f"G = {each}", shares, [_silent(p, each) for p in shares], role, dash="solid" if each == size else "dot")
        for each, role in zip(GROUP_SIZES, roles, strict=True)
    ]
    axes = Axes("probability that an answer is right", "share of silent groups", around=0.0, mark=solved)
    words = (
        f"Where {solved:.0%} of the answers are right, {_silent(solved, size):.0%} of the groups of {size} are silent: "
        f"on average {1 / max(1 - _silent(solved, size), 1e-12):.1f} prompts are needed for one that teaches anything."
    )
    return Picture(line_chart(lines, axes), words, "share of silent groups by difficulty and group size")


def _silent(solved: float, size: int) -> float:
    return float(solved**size + (1 - solved) ** size)


def length_push(long: int) -> Picture:
    """Draw how hard a token of a long answer is pushed, compared with one of a short answer with the same advantage.

    Args:
        long: Tokens in the long answer.

    Returns:
        The picture.
    """
    ratios = [_push_ratio(mode, long) for mode in REDUCERS]
    names = [f"{mode.replace('-token', '-<br>token')}<br>({HOUSE[mode]})" for mode in REDUCERS]
    colours = [colour("down" if ratio < 1 else "policy") for ratio in ratios]
    series = bars(names, ratios, colours) | {"hovertemplate": "%{y:.3f}"}
    layout = {"height": HEIGHT, "yaxis": {"range": [0, 1.15]}, "xaxis": {"tickangle": 0}}
    drawn = drawing([series], x="how the loss is averaged", y="push per token, long : short", layout=layout)
    words = (
        f"Under GRPO's mean of means a token of the {long}-token answer gets {fixed(ratios[1])} of the push that a "
        f"token of the {SHORT}-token answer gets; in the other three both get the same."
    )
    return Picture(drawn, words, "push per token of a long and a short answer under four averages")


def _push_ratio(mode: str, long: int) -> float:
    """Return the gradient of the average in a token's loss, long answer over short."""
    mask = torch.zeros(2, max(long, SHORT), dtype=torch.bool)
    mask[0, :SHORT], mask[1, :long] = True, True
    leaf = torch.ones(mask.shape, dtype=torch.float64, requires_grad=True)
    denominator = float(mask.numel()) if mode == "constant" else None
    (push,) = torch.autograd.grad(reduce(leaf, mask, mode, denominator=denominator), leaf)
    return float(push[1, 0] / push[0, 0])


def dpo_path(share_b: float, wins: float, beta: float) -> Tensor:
    """Return the policy over three answers while DPO fits pairs of A and B alone, by exact gradients.

    Args:
        share_b: The reference's probability of B; A and C share the rest.
        wins: The share of the pairs that A wins; no pair mentions C.
        beta: Reward per nat.

    Returns:
        (STEPS + 1, 3), from the reference on.
    """
    reference = torch.tensor([(1 - share_b) / 2, share_b, (1 - share_b) / 2], dtype=torch.float64).log()
    logits, path = reference.clone().requires_grad_(), []
    for _ in range(STEPS + 1):
        logps = logits.log_softmax(dim=0)
        path.append(logps.detach().exp())
        sides, fixed_sides = (logps[:1], logps[1:2]), (reference[:1], reference[1:2])
        right = dpo_loss(*sides, *fixed_sides, beta=beta).sum()
        wrong = dpo_loss(*sides[::-1], *fixed_sides[::-1], beta=beta).sum()
        (slope,) = torch.autograd.grad(wins * right + (1 - wins) * wrong, logits)
        logits = (logits - slope / beta**2).detach().requires_grad_()
    return torch.stack(path)


def dpo_triangle(share_b: float, wins: float, beta: float) -> Picture:
    """Draw `dpo_path` in the triangle of all policies over three answers, with all policies that fit as well.

    Args:
        share_b: The reference's probability of B.
        wins: The share of the pairs that A wins.
        beta: Reward per nat.

    Returns:
        The picture.
    """
    path = dpo_path(share_b, wins, beta)
    start, end = path[0].tolist(), path[-1].tolist()
    fits = [[end[0] * share, end[1] * share, 1 - (end[0] + end[1]) * share] for share in (0.0, 1 / (end[0] + end[1]))]
    traces = [
        _edge([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], "all policies", "edge", "solid"),
        _edge(fits, "fit the pairs as well", "value", "dot"),
        _edge(path.tolist(), "DPO", "policy", "solid"),
        _dots([start, end], ["reference", "end"]),
        _dots([[1, 0, 0], [0, 1, 0], [0, 0, 1]], ["always A", "always B", "always C"], role="edge"),
    ]
    still = {"visible": False, "fixedrange": True, "constrain": "domain"}
    layout = {
        "height": 320,
        "xaxis": still | {"range": [-0.25, 1.25]},
        "yaxis": still | {"range": [-0.16, 1.0], "scaleanchor": "x"},
    }
    words = (
        f"DPO moves A from {probability(start[0])} to {probability(end[0])}, B from {probability(start[1])} to "
        f"{probability(end[1])}, and C, which no pair mentions, from {probability(start[2])} to {probability(end[2])}."
    )
    return Picture(drawing(traces, x="", y="", layout=layout), words, "path of DPO over three answers")


def margins(history: Sequence[UpdateRecord]) -> Picture:
    """Draw the log-probs of chosen and rejected responses over a run of DPO, both relative to the reference.

    Args:
        history: The records of its updates.

    Returns:
        The picture.
    """
    updates = [record.index for record in history]
    first = history[0].metrics
    moved = {
        side: [record.metrics[f"rewards/{side}"] / record.config["beta"] for record in history]
        for side in ("chosen", "rejected")
    }
    lines = [Line("chosen", updates, moved["chosen"], "up"), Line("rejected", updates, moved["rejected"], "down")]
    axes = Axes("update", "log π − log π_ref (nats)", around=0.0, height=240)
    words = (
        f"The loss starts at {fixed(first['loss'], 3)} = log 2 and falls to {fixed(history[-1].metrics['loss'], 3)}. "
        f"Against the reference the chosen responses moved by {fixed(moved['chosen'][-1], signed=True)} nats and the "
        f"rejected ones by {fixed(moved['rejected'][-1], signed=True)}: only the distance between them is trained."
    )
    return Picture(line_chart(lines, axes), words, "log-probs of chosen and rejected responses by update")


def batch_age(trees: Sequence[Tree]) -> Callable[[int], Picture]:
    """Return the picture of an old batch's effective sample size.

    Args:
        trees: Tree k is that of the policy after k updates; the batch was sampled at 0.

    Returns:
        A function of the batch's age in updates.
    """
    behaviour = trees[0]
    mu = behaviour.leaf_logprobs.exp()
    sizes = [1 / float(mu @ importance_weights(tree, behaviour).square()) for tree in trees]
    means = [float(mu @ importance_weights(tree, behaviour)) for tree in trees]

    def draw(age: int) -> Picture:
        lines = [Line("effective share", list(range(len(trees))), sizes, "policy", mode="lines+markers")]
        axes = Axes("age of the batch, in updates", "effective sample size / samples", around=0.0, mark=age, height=240)
        kl = behaviour.kl(trees[age].policy) if age == 0 else trees[age].kl(behaviour.policy)
        words = (
            f"After {age} updates 100 old texts count for {100 * sizes[age]:.0f}; the policy is {fixed(kl)} nats away. "
            f"The weights still average {fixed(means[age], 3)}: unbiased, and increasingly noisy."
        )
        return Picture(line_chart(lines, axes), words, "effective sample size by age of the batch")

    return draw


def same_direction(comparison: BatchComparison) -> Picture:
    """Draw how far the algorithms' gradients on one batch point the same way: the cosine of each pair.

    Args:
        comparison: One batch, seen by each algorithm.

    Returns:
        The picture.
    """
    names = [ALGORITHMS[view.algorithm].title for view in comparison.views]
    cosines = comparison.cosines.tolist()
    heat = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": cosines,
        "text": [[fixed(cosine) for cosine in row] for row in cosines],
        "texttemplate": "%{text}",
        "textfont": {"color": colour("ink")},  # plotly would choose by the light theme's colours
        "colorscale": [[0, faded("policy", 0.04)], [1, faded("policy", 0.5)]],
        "zmin": 0.5,
        "zmax": 1,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    yaxis = {"autorange": "reversed", "showgrid": False}
    drawn = drawing([heat], x="", y="", layout={"height": HEIGHT, "yaxis": yaxis})
    apart = min((cosines[i][j], names[i], names[j]) for i in range(len(names)) for j in range(i))
    words = f"One batch of {len(comparison.rollout)} texts, one gradient each: furthest apart are "
    words += f"{apart[2]} and {apart[1]}, cosine {fixed(apart[0])}."
    return Picture(drawn, words, "cosines between the algorithms' gradients")


def _place(probs: Sequence[float]) -> tuple[float, float]:
    """Return the place of a policy over A, B and C in the triangle."""
    corners = list(CORNERS.values())
    return (
        sum(p * x for p, (x, _) in zip(probs, corners, strict=True)),
        sum(p * y for p, (_, y) in zip(probs, corners, strict=True)),
    )


def _edge(policies: Sequence[Sequence[float]], name: str, role: str, dash: str) -> dict[str, Any]:
    x, y = zip(*map(_place, policies), strict=True)
    return Line(name, x, y, role, dash=dash).trace() | {"hoverinfo": "name", "hovertemplate": None}


def _dots(policies: Sequence[Sequence[float]], names: Sequence[str], role: str = "ink") -> dict[str, Any]:
    x, y = zip(*map(_place, policies), strict=True)
    sides = [
        "bottom center" if height < 0.05 else "middle left" if name == "end" else "top center"
        for height, name in zip(y, names, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": x,
        "y": y,
        "text": list(names),
        "textposition": sides,
        "marker": {"color": colour(role), "size": 8},
        "hoverinfo": "text",
    }
