"""The figures of the experiments on training.

Length, entropy, PPO's clip, temperature, the critic, details left out.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rllab.course.experiments import critic_foresight, entropy_bonus, length_bias, ppo_clip, ppo_details, temperature
from rllab.plots.charts import HEIGHT, Axes, Line, line_chart, log_axis
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed, significant

LOWEST = -1.0  # explained variance below which a line is told and not drawn: it would flatten the others
FIVE = ("policy", "value", "reward", "down", "kl")  # colours of lines that have no meaning of their own
DOTTED = "lines+markers"  # where every point was measured
SHORT = {length_bias.GRPO: "GRPO", length_bias.DAPO: "DAPO", length_bias.DR_GRPO: "Dr. GRPO"}
WALKED = {"paper, epsilon 0.2": "PPO's clip", "one-sided, epsilon 0.2": "one-sided clip", "no clip": "no clip"}


def length_curves(result: length_bias.Result, groups: int = 1) -> Picture:
    """Draw how long wrong and right answers grow under three ways to divide, mean over seeds.

    The outcome is how many times longer than at the start GRPO's wrong answers are at the end.
    """
    series, ends = [], {}
    for arm, role in zip(length_bias.ARMS, ("down", "reward", "policy"), strict=True):
        runs = result.of(arm.name, groups)
        updates = [length_bias.MARK * place for place in range(len(runs[0].wrong))]
        for path, dash in (("wrong", "solid"), ("right", "dot")):
            means = [statistics.fmean(column) for column in zip(*(getattr(run, path) for run in runs), strict=True)]
            ends[arm.name, path] = means[-1]
            series.append(Line(f"{SHORT[arm.name]}, {path}", updates, means, role, dash))
    drawn = line_chart(series, Axes("update", "mean length, tokens (log)", log_y=True))
    last = length_bias.MARK * (len(result.of(length_bias.GRPO, groups)[0].wrong) - 1)
    words = (
        f"All start at {length_bias.START:g} tokens. After {last} updates GRPO's wrong answers have "
        f"{significant(ends[length_bias.GRPO, 'wrong'])} tokens and its right ones "
        f"{significant(ends[length_bias.GRPO, 'right'], 2)}; a mean over all tokens gives "
        f"{significant(ends[length_bias.DAPO, 'wrong'])} and {significant(ends[length_bias.DAPO, 'right'])}, a constant"
        f" {significant(ends[length_bias.DR_GRPO, 'wrong'])} and {significant(ends[length_bias.DR_GRPO, 'right'])}. No "
        "reward looks at the length."
    )
    return Picture(
        drawn, words, "length of wrong and right answers by update", ends[length_bias.GRPO, "wrong"] / length_bias.START
    )


def weight_of_prompts(result: length_bias.Result) -> Picture:
    """Draw how hard a prompt's group pulls, relative to a prompt that is solved half the time."""
    solved = [one.solved for one in result.pushes]
    half = next(one for one in result.pushes if one.solved == 1 / 2)
    scaled = [one.scaled / half.scaled for one in result.pushes]
    plain = [one.plain / half.plain for one in result.pushes]
    series = [
        Line("divided by the spread", solved, scaled, "down", mode=DOTTED),
        Line("not divided", solved, plain, "policy", mode=DOTTED),
    ]
    drawn = line_chart(series, Axes("share of right answers", "pull, 1 where half are right"))
    words = (
        f"A prompt that is solved once in 32 pulls {fixed(plain[0])} as hard as one solved half the time; divided by "
        f"the group's spread it pulls {fixed(scaled[0])} as hard, {fixed(scaled[0] / plain[0], 1)} times as much."
    )
    return Picture(drawn, words, "pull of a prompt by how often it is solved", scaled[0] / plain[0])


def entropy_by_bonus(result: entropy_bonus.Result, bonuses: Sequence[float] = (0.0, 0.1, 0.2, 0.5)) -> Picture:
    """Draw the entropy of the policy over updates for some bonuses."""
    series = []
    for bonus, role in zip(bonuses, FIVE, strict=False):
        curve = result.arm(bonus).entropy
        updates = [entropy_bonus.MARK * place for place in range(len(curve))]
        series.append(Line(f"bonus {bonus:g}", updates, curve, role))
    drawn = line_chart(series, Axes("update", "entropy (nats)"))
    plain, best = result.arm(0.0), max(result.arms, key=lambda arm: arm.found)
    words = (
        f"With no bonus the entropy falls from {fixed(plain.entropy[0])} to {fixed(plain.entropy[-1])} nats and "
        f"{plain.found:.0%} of the seeds find the best answer; with {best.bonus:g} {best.found:.0%} do."
    )
    return Picture(drawn, words, "entropy by update and bonus", plain.entropy[-1])


def found_by_bonus(result: entropy_bonus.Result) -> Picture:
    """Draw how many seeds found the best answer over the bonus; the outcome is the bonus that is best."""
    bonuses, found = [arm.bonus for arm in result.arms], [100 * arm.found for arm in result.arms]
    best = found.index(max(found))
    axes = Axes("entropy bonus (reward per nat)", "seeds that found the best answer (%)", ticks=bonuses)
    drawn = line_chart(_pointed_at(Line("found", bonuses, found, "policy", mode=DOTTED), best), axes)
    words = (
        f"A bonus of {bonuses[best]:g} finds the best answer on {found[best]:.0f}% of the seeds; without one it is "
        f"{found[0]:.0f}%, and with {bonuses[-1]:g}, which pays more for trying than for finding, {found[-1]:.0f}%."
    )
    return Picture(drawn, words, "share of seeds that found the best answer by bonus", bonuses[best])


def step_size(result: ppo_clip.Result) -> Picture:
    """Draw how far a policy goes on one batch of a bandit, epoch by epoch, mean over seeds.

    The outcome is how many times further the unclipped policy went.
    """
    series, ends, least = [], [], []
    for (form, name), role in zip(WALKED.items(), ("policy", "reward", "down"), strict=True):
        walks = result.of(form)
        means = [statistics.fmean(column) for column in zip(*(walk.kl for walk in walks), strict=True)]
        ends.append(means[-1])
        least.append(min(walk.least_ratio for walk in walks))
        series.append(Line(name, [ppo_clip.MARK * (place + 1) for place in range(len(means))], means, role))
    drawn = line_chart(series, Axes("epoch on the same batch", "KL(new ‖ old) (nats, log)", log_y=True))
    words = (
        f"After {ppo_clip.EPOCHS} epochs PPO's clip has let the policy go {fixed(ends[0], 3)} nats from where it was, "
        f"the one-sided clip {fixed(ends[1])} and none {fixed(ends[2])}. Its smallest ratio is {fixed(least[0])}, the "
        f"one-sided clip's {fixed(least[1])}: that form never stops pushing a bad answer down. This is the size of the "
        "step and says nothing about reward."
    )
    return Picture(drawn, words, "KL between new and old policy by epoch", ends[2] / ends[0])


def clip_corners(result: ppo_clip.Result, advantage: float = 1.0) -> Picture:
    """Draw the slope of both forms of the surrogate over the ratio, for a good or a bad token."""
    corners = [one for one in result.corners if one.advantage == advantage]
    ratios = [one.ratio for one in corners]
    series = [
        Line("PPO's clip", ratios, [one.paper for one in corners], "policy", mode=DOTTED),
        Line("one-sided clip", ratios, [one.one_sided for one in corners], "reward", "dash", mode=DOTTED),
    ]
    drawn = line_chart(series, Axes("ratio ρ", "slope of the surrogate", ticks=(0.5, 0.8, 1, 1.2, 1.5)))
    silent = ", ".join(f"{one.ratio:g}" for one in corners if one.paper == 0)
    theirs = ", ".join(f"{one.ratio:g}" for one in corners if one.one_sided == 0)
    which = "good" if advantage > 0 else "bad"
    words = (
        f"For a {which} token PPO's clip has no slope at ratio {silent}, the one-sided clip's at {theirs}; ε is 0.2."
    )
    return Picture(drawn, words, f"slope of the surrogate by ratio for a {which} token")


def epochs_grid(result: ppo_clip.Result) -> Picture:
    """Draw KL(new || old) on `micro` as a map: epochs across, epsilon up."""
    grid, columns = [one.kl for one in result.epochs], list(range(1, len(result.epochs[0].kl) + 1))
    heat = {
        "type": "heatmap",
        "x": columns,
        "y": [f"{one.clip_eps:g}" for one in result.epochs],
        "z": [list(row) for row in grid],
        "colorscale": [[0, colour("line")], [1, colour("policy")]],
        "colorbar": {"title": {"text": "nats per token", "side": "right"}},
        "hovertemplate": "epoch %{x}, ε %{y}: %{z:.4f} nats",
    }
    drawn = drawing([heat], x="epoch", y="ε", layout={"height": HEIGHT, "yaxis": {"type": "category"}})
    first, last = result.epochs[0], result.epochs[-1]
    words = (
        f"After {len(columns)} epochs on one batch the policy has gone {fixed(first.kl[-1], 3)} nats per token at "
        f"ε {first.clip_eps:g} and {fixed(last.kl[-1], 3)} at {last.clip_eps:g}. The first epoch is the same for all: "
        f"ratio {fixed(first.ratio[0])}, {first.clipped[0]:.0%} clipped."
    )
    return Picture(drawn, words, "KL between new and old policy by epoch and epsilon", last.kl[-1] / first.kl[-1])


def entropy_slope(result: temperature.Result) -> Picture:
    """Draw how fast the entropy grows with the temperature: measured, and by Var(z) / tau^3."""
    taus = [one.tau for one in result.slopes]
    series = [
        Line("measured", taus, [one.measured for one in result.slopes], "policy", mode="markers"),
        Line("Var(z) / τ³", taus, [one.law for one in result.slopes], "ink"),
    ]
    drawn = line_chart(series, Axes("temperature τ", "dH/dτ (nats)"))
    one = next(one for one in result.slopes if one.tau == 1.0)
    off = max(abs(each.measured / each.law - 1) for each in result.slopes)
    words = (
        f"At τ = 1 the entropy is {fixed(one.entropy)} nats and grows by {fixed(one.measured, 5)} per unit of τ; the "
        f"law says {fixed(one.law, 5)}. Nowhere are the two further apart than {significant(off, 1)} of themselves."
    )
    return Picture(drawn, words, "slope of the entropy by temperature", one.measured)


def passes_by_temperature(result: temperature.Result, seed: int = 0) -> Picture:
    """Draw the share of tasks solved in k tries over the temperature, the best one ringed.

    The outcome tells which way the best temperature moves with k: up, same or down.
    """
    shown = [one for one in result.passes if one.seed == seed]
    series = []
    for one, role in zip(shown, FIVE, strict=True):
        solved = Line(f"pass@{one.tries}", temperature.TAUS, [100 * share for share in one.solved], role, mode=DOTTED)
        series += _pointed_at(solved, temperature.TAUS.index(one.best))
    drawn = line_chart(series, Axes("temperature τ", "tasks solved (%)"))
    said = ", ".join(f"{one.best:g} for {one.tries}" for one in shown)
    words = (
        f"The best temperature by number of tries: {said} (large dots). A spread pays when only one try has to be "
        "right."
    )
    way = shown[-1].best - shown[0].best
    return Picture(drawn, words, "tasks solved by temperature", "up" if way > 0 else "down" if way < 0 else "same")


def first_epoch_ratio(result: temperature.Result) -> Picture:
    """Draw the share that is clipped before anything was learned, by the temperature of sampling."""
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [f"{one.sampled_at:g}" for one in result.mismatches if one.scored_alike == alike],
            "y": [100 * one.clipped for one in result.mismatches if one.scored_alike == alike],
            "marker": {"color": colour(role)},
        }
        for alike, name, role in ((True, "scored alike", "policy"), (False, "scored at 1", "down"))
    ]
    layout = {"height": HEIGHT, "barmode": "group", "showlegend": True, "xaxis": {"type": "category"}}
    drawn = drawing(traces, x="temperature of sampling", y="clipped in the first epoch (%)", layout=layout)
    worst = max(result.mismatches, key=lambda one: one.clipped)
    words = (
        f"Sampled at {worst.sampled_at:g} and scored at 1, {worst.clipped:.0%} of the tokens are clipped and the mean "
        f"ratio is {fixed(worst.ratio)} before anything was learned; scored alike it is 1 and nothing is clipped."
    )
    return Picture(drawn, words, "tokens clipped in the first epoch by temperature", worst.clipped)


def explained_by_position(result: critic_foresight.Result) -> Picture:
    """Draw how much of the variance of the return each critic explains, by quarter of the text, median over seeds."""
    quarters, series, overall = list(range(1, critic_foresight.QUARTERS + 1)), [], []
    for arm, role in zip(critic_foresight.ARMS, ("value", "edge", "down", "policy"), strict=True):
        own = result.of(arm)
        typical = [statistics.median(column) for column in zip(*(one.explained for one in own), strict=True)]
        overall.append(statistics.median(one.overall for one in own))
        if min(typical) > LOWEST:
            series.append(Line(arm, quarters, typical, role, mode=DOTTED))
    drawn = line_chart(series, Axes("quarter of the text", "explained variance, fresh texts", ticks=quarters))
    first, last = series[0].y[0], max(series[0].y)
    worst = fixed(min(one.overall for one in result.of(critic_foresight.ARMS[2])), 0)
    below = f" ({worst} on the worst seed" + (
        ")" if len(series) == len(critic_foresight.ARMS) else "; too low for this picture)"
    )
    words = (
        f"The fitted critic explains {fixed(first)} of the variance in the first quarter and up to {fixed(last)} later "
        f"on. With a value believed in after the end it explains {fixed(overall[2])} in all{below} instead "
        f"of {fixed(overall[0])}, without learning {fixed(overall[1])}; padding in the fit changes little here "
        f"({fixed(overall[3])}), because nothing before the end looks at what stands after it. Medians of seeds."
    )
    return Picture(drawn, words, "explained variance by position in the text", last - first)


def details_left_out(result: ppo_details.Result) -> Picture:
    """Draw, for each detail, how many times as large the number that betrays its absence is without it."""
    pairs = [result.means(switch.name) for switch in ppo_details.SWITCHES]
    times = [without / max(kept, 1e-3) for kept, without in pairs]
    dots = {
        "type": "scatter",
        "mode": "markers+text",
        "y": [f"{switch.name}: {switch.number}" for switch in ppo_details.SWITCHES],
        "x": times,
        "text": [f"  {fixed(kept)} → {fixed(without)}" for kept, without in pairs],
        "textposition": "middle right",
        "cliponaxis": False,
        "marker": {"color": colour("down"), "size": 9},
    }
    here = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": colour("edge")}}
    layout = {
        "height": HEIGHT,
        "xaxis": log_axis(min(times) / 1.5, 1.5 * max(times)),
        "yaxis": {"autorange": "reversed"},
        "margin": {"r": 90},
        "shapes": [here],
    }
    drawn = drawing([dots], x="times as large when left out (log)", y="", layout=layout)
    seeds = len(result.of(ppo_details.SWITCHES[0].name))
    words = f"Mean of {seeds} seeds; each number moves the same way on every one of them when its detail is left out."
    return Picture(drawn, words, "six details, with and without")


def _pointed_at(line: Line, place: int) -> list[Line]:
    """Return a line with a large dot at one of its points."""
    return [line, Line("", [line.x[place]], [line.y[place]], line.role, mode="markers", size=12)]
