"""The figures of the experiments on credit: noise by length, samples by length, shaping."""

from __future__ import annotations

from rllab.course.experiments import noise_by_length, samples_by_length, shaping
from rllab.plots.charts import HEIGHT, Axes, Line, line_chart
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed, significant

ROLE = {"terminal": "reward", "reward-to-go": "value", "own token": "policy"}
NAME = {"terminal": "one score at the end", "reward-to-go": "reward to go", "own token": "own token"}
NOISY = 16  # tokens: in shorter texts the step size limits learning, not the noise
GROWTH = {0.0: "none", 0.5: "root", 1.0: "length", 2.0: "square"}  # slope on a log-log picture -> how it grows


def growth(slope: float) -> str:
    """Name how a number grows with the length, by its slope on a log-log picture.

    >>> growth(0.9), growth(0.1)
    ('length', 'none')
    """
    return GROWTH[min(GROWTH, key=lambda known: abs(known - slope))]


def noise_growth(result: noise_by_length.Result) -> Picture:
    """Draw the noise-to-signal ratio over the length of the text, both logarithmic; dots measured, lines exact.

    The outcome says how the ratio grows with one score at the end, see GROWTH.
    """
    lines = []
    for arm in noise_by_length.ARMS:
        ratios = [one for one in result.ratios if one.arm == arm]
        lengths = [one.length for one in ratios]
        lines.append(Line("", lengths, [one.measured for one in ratios], ROLE[arm], mode="markers"))
        lines.append(Line(NAME[arm], lengths, [one.exact for one in ratios], ROLE[arm]))
    stops = sorted({one.length for one in result.ratios})
    axes = Axes("tokens in a text", "noise / signal of one text", log_x=True, log_y=True, ticks=stops)
    drawn = line_chart(lines, axes)
    ends = [one.measured for one in result.ratios if one.arm == "terminal"]
    slopes = ", ".join(f"{fixed(result.slope(arm))} for {NAME[arm]}" for arm in noise_by_length.ARMS)
    words = (
        f"From {stops[0]} to {stops[-1]} tokens the ratio grows from {significant(ends[0])} to {significant(ends[-1])} "
        f"with one score at the end (dots: measured; lines: exact). Slopes on this log-log picture: {slopes}; 1 means "
        "in proportion to the length."
    )
    grows = growth(result.slope("terminal"))
    return Picture(drawn, words, "noise-to-signal ratio by length of the text", grows, ("exact", "average"))


def samples_growth(result: samples_by_length.Result) -> Picture:
    """Draw how many texts it takes to learn over their length, each arm at its own best learning rate.

    The outcome says how their number grows with one score at the end, see GROWTH.
    """
    lines = []
    for arm in noise_by_length.ARMS:
        costs = [cost for cost in result.costs if cost.arm == arm]
        lengths, texts = [one.length for one in costs], [one.texts for one in costs]
        lines.append(Line(NAME[arm], lengths, texts, ROLE[arm], mode="lines+markers"))
    exact = [cost for cost in result.costs if cost.arm == samples_by_length.EXACT]
    lengths, texts = [one.length for one in exact], [one.texts for one in exact]
    lines.append(Line("all or nothing", lengths, texts, "down", "dash", mode="lines+markers"))
    stops = sorted({cost.length for cost in result.costs if cost.arm != samples_by_length.EXACT} | {1, 4})
    axes = Axes("tokens in a text", "texts until it is learned", log_x=True, log_y=True, ticks=stops)
    drawn = line_chart(lines, axes)
    words = (
        f"At {max(stops)} tokens one score at the end needs {result.texts('terminal', max(stops)):,.0f} texts, a score "
        f"for each single token {result.texts('own token', max(stops)):,.0f}. All or nothing needs "
        f"{texts[-1]:,.0f} at only {lengths[-1]} tokens."
    )
    return Picture(drawn, words, "texts needed by length", growth(result.slope("terminal", beyond=NOISY)))


def shaping_arms(result: shaping.Result) -> Picture:
    """Draw how many texts each use of one and the same potential needs; the outcome is the quickest that is fair.

    Fair are those that leave the objective as it is: all but the progress bonus.
    """
    names, texts = [arm.name for arm in result.arms], [arm.texts for arm in result.arms]
    colours = [colour("edge" if name == "progress bonus" else "reward") for name in names]
    bars = {"type": "bar", "orientation": "h", "y": names[::-1], "x": texts[::-1], "marker": {"color": colours[::-1]}}
    labels = {"text": [f"{one:,.0f}" for one in texts[::-1]], "textposition": "outside", "cliponaxis": False}
    layout = {"height": HEIGHT - 40, "margin": {"r": 50}}
    drawn = drawing([bars | labels], x="texts until the right one is as likely as not", y="", layout=layout)
    whole, step = result.texts("shaped, whole return"), result.texts("shaped, one step")
    words = (
        f"Sparse: {result.texts('sparse'):,.0f} texts. The same potential does not help with whole returns "
        f"({whole:,.0f}), and helps much where each step is trusted by itself ({step:,.0f}). The progress bonus is "
        "another objective."
    )
    fair = [arm for arm in result.arms if arm.name != "progress bonus"]
    return Picture(drawn, words, "texts needed by use of the potential", min(fair, key=lambda arm: arm.texts).name)
