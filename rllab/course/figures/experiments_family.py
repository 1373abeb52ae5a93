"""Pictures of the experiments of the family: the length bias, DPO beside RL, the cliff."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from rllab.course.experiments import cliff, dpo_vs_rlhf, length_bias
from rllab.course.figures.experiments_training import length_curves
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

MUCH = 1.5  # a length that has grown by this factor has grown
WINDOW = 20  # episodes that a smoothed return is the mean of
NEAR = 0.02  # shares closer than this are the same
FEW = 300  # pairs that the prediction asks about
FLOOR = -150.0  # return: a few early episodes are far below, and would flatten what comes after
RULE_ROLES = {"SARSA": "policy", "Q-learning": "reward", "double Q-learning": "value"}


def lengths(result: length_bias.Result) -> Picture:
    """Draw the length bias; the outcome is who has become longer under GRPO's average, with batches of one group."""
    runs = result.of(length_bias.GRPO, 1)
    wrong, right = (statistics.fmean(getattr(run, side)[-1] for run in runs) for side in ("wrong", "right"))
    return replace(length_curves(result), outcome=_who_grew(wrong, right))


def _who_grew(wrong: float, right: float) -> str:
    """Say which answers have become longer: the id of an option."""
    grew = [name for name, end in (("wrong", wrong), ("right", right)) if end > MUCH * length_bias.START]
    return {0: "none", 1: grew[0] if grew else "", 2: "both"}[len(grew)]


def dpo_beside_rl(result: dpo_vs_rlhf.Result) -> Picture:
    """Draw how much of the gap to the optimum each arm closed, by the number of pairs."""
    counts = sorted({one.pairs for one in result.outcomes})
    styles = {
        dpo_vs_rlhf.ARMS[0]: ("value", "solid"),
        dpo_vs_rlhf.ARMS[1]: ("reward", "solid"),
        dpo_vs_rlhf.ARMS[2]: ("policy", "dot"),
    }
    lines = [
        Line(arm, counts, [result.closed(arm, pairs) for pairs in counts], role, dash, mode="lines+markers")
        for arm, (role, dash) in styles.items()
    ]
    axes = Axes("pairs (logarithmic)", "share of the gap closed", log_x=True, ticks=counts)
    asked = FEW if FEW in counts else counts[0]
    few = {arm: result.closed(arm, asked) for arm in dpo_vs_rlhf.ARMS}
    free, held = few[dpo_vs_rlhf.ARMS[1]], few[dpo_vs_rlhf.ARMS[0]]
    words = (
        f"With {asked} pairs DPO closes {fixed(free)} of the gap as it is (below 0 is worse than the reference), "
        f"{fixed(few[dpo_vs_rlhf.ARMS[2]])} when it is held back, and reward model plus RL {fixed(held)}; with "
        f"{counts[-1]:,} pairs they reach {fixed(result.closed(dpo_vs_rlhf.ARMS[1], counts[-1]))} and "
        f"{fixed(result.closed(dpo_vs_rlhf.ARMS[0], counts[-1]))}."
    )
    return Picture(line_chart(lines, axes), words, "share of the gap closed by number of pairs", _winner(few))


def _winner(closed: dict[str, float]) -> str:
    """Say who is best with few pairs: the id of an option."""
    reward, free, held = (closed[arm] for arm in dpo_vs_rlhf.ARMS)
    if free > max(reward, held) + NEAR:
        return "dpo"
    return "held" if abs(reward - held) <= NEAR else "reward"


def cliff_returns(result: cliff.Result) -> Picture:
    """Draw what each rule earns while it learns and explores, and say what its greedy path is worth."""
    lines, said, online = [], [], {}
    for arm in result.arms:
        smooth = _smoothed(arm.curve)
        episodes = list(range(WINDOW, WINDOW + len(smooth)))
        lines.append(Line(arm.rule, episodes, [max(one, FLOOR) for one in smooth], RULE_ROLES[arm.rule]))
        online[arm.rule] = statistics.fmean(arm.online)
        greedy = statistics.median(arm.greedy)
        said.append(f"{arm.rule} earns {fixed(online[arm.rule], 1)} while learning, {fixed(greedy, 0)} when greedy")
    said.append(f"what is below {fixed(FLOOR, 0)} at the start is drawn there")
    axes = Axes("episode", f"return, mean of {WINDOW} episodes")
    best = "sarsa" if online["SARSA"] > online["Q-learning"] else "q"
    return Picture(line_chart(lines, axes), "; ".join(said) + ".", "return of each rule while it learns", best)


def _smoothed(curve: Sequence[float]) -> list[float]:
    return [statistics.fmean(curve[at - WINDOW : at]) for at in range(WINDOW, len(curve) + 1)]
