"""Pictures of what goes wrong: best of n, a learned reward, the frontier, the two by two."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from rllab.course.experiments import (
    best_of_n_gold,
    best_of_n_kl,
    credit_or_objective,
    entropy_bonus,
    kl_frontier,
    learned_reward,
)
from rllab.course.figures.experiments_training import found_by_bonus
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, significant

MANY = ("policy", "value", "reward", "down", "kl")
KINDS = {
    "gaussian": ("Gaussian", "policy"),
    "heavy tails": ("heavy tails", "value"),
    "keyword stuffing": ("keyword stuffing", "reward"),
}
LATER = 1.1  # a peak that lies further away by this factor is later


def best_of_kl(result: best_of_n_kl.Result) -> Picture:
    """Draw how far the best of n is from one sample, for few and for many answers, beside the bound."""
    counts = sorted({row.answers for row in result.rows})
    lines = [
        Line(f"{count:,} answers", best_of_n_kl.NS, [row.kl for row in result.of(count)], role)
        for count, role in zip(counts, MANY, strict=False)
    ]
    most = result.of(counts[-1])
    lines.append(Line("bound", best_of_n_kl.NS, [row.bound for row in most], "ink", "dot"))
    axes = Axes("n (logarithmic)", "KL(best of n ‖ one) (nats)", log_x=True, ticks=best_of_n_kl.NS)
    at = best_of_n_kl.NS.index(16)
    words = (
        f"At n = 16 the bound is {fixed(most[at].bound, 3)} nats. With {counts[-1]:,} answers the KL is "
        f"{fixed(most[at].kl, 3)}, with {counts[0]} answers only {fixed(result.of(counts[0])[at].kl, 3)}."
    )
    return Picture(line_chart(lines, axes), words, "KL of best-of-n by n and number of answers")


def best_of_gold(result: best_of_n_gold.Result) -> Picture:
    """Draw what gold does as n grows, for three ways in which a proxy can be wrong; mean over seeds.

    The outcome names the kinds after which gold falls again, joined by a plus sign, or "none".
    """
    lines, ends, falls = [], [], []
    for kind, (name, role) in KINDS.items():
        curves = result.of(kind)
        gold = _means([curve.gold for curve in curves])
        lines.append(Line(name, result.ns, gold, role, mode="lines+markers"))
        peak = max(range(len(gold)), key=gold.__getitem__)
        ends.append(f"{name} {fixed(gold[peak])} at n = {result.ns[peak]:,}, {fixed(gold[-1])} at {result.ns[-1]:,}")
        if sum(curve.turns for curve in curves) > len(curves) / 2:
            falls.append(kind)
    axes = Axes("n (logarithmic)", "gold of the best of n", log_x=True, ticks=result.ns[::2], around=0.0)
    words = f"The highest gold and the last: {'; '.join(ends)}. The proxy rises with every n in all three."
    return Picture(line_chart(lines, axes), words, "gold by n for three kinds of error", " + ".join(falls) or "none")


def learned_reward_curves(result: learned_reward.Result) -> Picture:
    """Draw gold over the KL for reward models of few and of many pairs; mean over seeds, update by update.

    The outcome: with the most pairs gold peaks "later", at the "same" place, or "never" turns.
    """
    counts = sorted({curve.pairs for curve in result.curves})
    lines, told = [], []
    for count, role in zip(counts, MANY, strict=False):
        runs = result.of(count)
        kl, gold = _means([run.kl for run in runs]), _means([run.gold for run in runs])
        lines.append(Line(f"{count:,} pairs", [max(one, 0.0) ** 0.5 for one in kl], gold, role))
        peak, accuracy = statistics.median(result.peak_kl(count)), statistics.fmean(run.accuracy for run in runs)
        told.append(f"{count:,} pairs: accuracy {fixed(accuracy)}, gold peaks at {fixed(peak, 1)} nats")
    few, most = (statistics.median(result.peak_kl(count)) for count in (counts[0], counts[-1]))
    runs = result.of(counts[-1])
    humps = sum(run.humps for run in runs) > len(runs) / 2
    rising = all(run.proxy[-1] > run.proxy[run.peak] for run in result.curves)
    words = "; ".join(told) + f". The proxy goes on rising in {'every run' if rising else 'most runs'}."
    axes = Axes("√KL to the reference (√nats)", "gold, expected", around=0.0)
    outcome = "never" if not humps else "later" if most > LATER * few else "same"
    return Picture(line_chart(lines, axes), words, "gold over distance by number of pairs", outcome)


def frontier(result: kl_frontier.Result) -> Picture:
    """Draw the best reward for every KL, a policy on its way there, and best of 16; the outcome is a slope."""
    points = [result.trained[0].point, *(one.point for one in result.frontier), result.optimum_there]
    kl, reward = zip(*sorted((one.kl, one.reward) for one in points), strict=True)
    steps = [one.point for one in result.trained]
    lines = [
        Line("frontier", kl, reward, "ink", mode="lines+markers"),
        Line("trained", [one.kl for one in steps], [one.reward for one in steps], "policy", mode="markers"),
        Line("best of 16", [result.best_of.kl], [result.best_of.reward], "reward", mode="markers"),
    ]
    half = next(one for one in result.frontier if one.beta == 0.5)
    words = (
        f"At β = 0.5 the slope of the frontier is {fixed(half.slope, 3)}. Best of 16 gets "
        f"{fixed(result.best_of.reward)} where the best policy at the same KL gets "
        f"{fixed(result.optimum_there.reward)}. After {result.trained[1].step} steps the trained policy lies below J* "
        f"by {significant(result.trained[1].below)}, and β·KL(π‖π*) is "
        f"{significant(result.trained[1].explained)}."
    )
    axes = Axes("KL to the reference (nats)", "expected reward")
    return Picture(line_chart(lines, axes), words, "reward over KL", half.slope)


def two_by_two(result: credit_or_objective.Result) -> Picture:
    """Draw gold over the updates for two judges and two timings, mean over seeds.

    The outcome: paying at every token makes a scorer that is easy to please fail "sooner", or it does not: "later".
    """
    lines, ends, lost = [], {}, {}
    styles = {"honest": "policy", "easy to please": "reward"}
    for judge, role in styles.items():
        for timing, dash in (("end", "solid"), ("token", "dot")):
            arms = result.of(judge, timing)
            gold = _means([arm.gold for arm in arms])
            when = "at the end" if timing == "end" else "each token"
            lines.append(Line(f"{judge}, {when}", arms[0].updates, gold, role, dash))
            ends[judge, timing] = gold[-1]
            lost[judge, timing] = statistics.median(arm.lost for arm in arms)
    late, early = lost["easy to please", "end"], lost["easy to please", "token"]
    words = (
        f"Under the easy judge gold is back below its start after {_update(late)} when it pays at the end and after "
        f"{_update(early)} when it pays each token, and ends at {fixed(ends['easy to please', 'end'], 1)} and "
        f"{fixed(ends['easy to please', 'token'], 1)}. Under the honest judge it ends at "
        f"{fixed(ends['honest', 'end'], 1)} and {fixed(ends['honest', 'token'], 1)}."
    )
    sooner = "sooner" if early < late else "later"
    return Picture(line_chart(lines, Axes("update", "gold")), words, "gold by update in the two by two", sooner)


def _update(at: float) -> str:
    return f"{at:.0f} updates" if math.isfinite(at) else "no update of this run"


def who_finds(result: entropy_bonus.Result) -> Picture:
    """Draw which entropy bonus finds the rare best answer; the outcome is "smallest", "largest" or "between"."""
    drawn, bonuses = found_by_bonus(result), [arm.bonus for arm in result.arms]
    place = bonuses.index(float(drawn.outcome))
    outcome = "smallest" if place == 0 else "largest" if place == len(bonuses) - 1 else "between"
    return replace(drawn, outcome=outcome)


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.fmean(column) for column in zip(*rows, strict=True)]
