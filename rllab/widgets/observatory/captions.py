"""What the observatory says: its sentence, what the fitted laws tell, and the responses that it lays side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rllab.core.errors import LabError
from rllab.course.observatory import BEST_OF_N, DPO, PPO, Curve, Form, Point, Sample, Steered, forms_of
from rllab.plots.charts import decimated
from rllab.plots.text import fixed, plain, significant
from rllab.widgets.engine.components import Span, bold

Words = tuple[Span | str, ...]

UNIT = {PPO: "update", BEST_OF_N: "n =", DPO: "update"}
OPTIMISED = {PPO: "PPO raised", BEST_OF_N: "Choosing the best of n raised", DPO: "DPO raised"}
GALLERY = 5  # points of which one response each is shown


def laws(curve: Curve) -> list[Form]:
    """Return both laws fitted to a curve, the better first; none where too little was measured."""
    try:
        return forms_of(curve)
    except LabError:
        return []


def beginning(world: str, proxy: str) -> Words:
    """Say what will happen before anything has."""
    words = f"In {world} the policy will be optimised against “{proxy}”, a proxy. Gold, which is what we really want, "
    return (words + "is recorded along the way and trains nothing; you see it when you ask for it.",)


def reading(curve: Curve, *, gold: bool, guess: float | None) -> Words:
    """Say what one method has done to the proxy and, once it may be seen, to gold."""
    first, last = curve.points[0], curve.points[-1]
    if first is last:
        return (f"At the start the proxy is {fixed(first.proxy, signed=True)}; nothing optimised yet.",)
    words: Words = (
        f"{OPTIMISED[curve.method]} the proxy from {fixed(first.proxy, signed=True)} to ",
        bold(fixed(last.proxy, signed=True)),
        f" at √KL {fixed(last.d)}",
    )
    if not gold:
        return (*words, ". Guess at which distance gold is highest, then reveal it.")
    return (*words, *_gold_words(curve), *_guess_words(curve, guess))


def _gold_words(curve: Curve) -> Words:
    """Say where gold was highest and where it is now, with standard errors."""
    peak, last = curve.peak, curve.points[-1]
    start, end = (f"{fixed(one.gold, signed=True)} ± {fixed(one.gold_error)}" for one in (curve.points[0], last))
    if peak is last:
        return (f", and gold from {start} to ", bold(end), ", its highest so far.")
    if peak is curve.points[0]:
        return (f"; gold has not risen: it began at {start} and is now ", bold(end), ".")
    top = f"{fixed(peak.gold, signed=True)} ± {fixed(peak.gold_error)}"
    where = f"√KL {fixed(peak.d)} ({UNIT[curve.method]} {peak.step})"
    told: Words = (f"; gold began at {start}, was highest at {where} with {top}, and is now ", bold(end))
    if curve.over_optimised:
        return (*told, ": more proxy, less of what we want.")
    if last.proxy <= peak.proxy:
        return (*told, ", with no more proxy than there: so no over-optimisation.")
    return (*told, ": within three standard errors of its highest, so no proof of a turn.")


def _guess_words(curve: Curve, guess: float | None) -> Words:
    return () if guess is None else (f" You guessed {significant(guess)}; it was {fixed(curve.peak.d)}.",)


def law_words(forms: Sequence[Form], curve: Curve) -> str:
    """Say which of the two laws fits gold better, and where each has its highest point."""
    if not forms:
        return "Too few measurements so far to fit a law to gold."
    reach = max(point.d for point in curve.points)
    told = [f"{form.name} with α {fixed(form.alpha)}, β {fixed(form.beta, 3)}, {_peak(form, reach)}" for form in forms]
    better, other = (fixed(form.aic, 1) for form in forms)
    if not described(forms):
        worse = "; ".join(f"R² {fixed(form.r2)} for {form.name}" for form in forms)
        return f"Neither law describes these {len(curve.points)} measurements: {worse}. A level line would do better."
    return (
        f"Two laws fitted to gold, the better by AIC ({better} against {other}) first: {told[0]}; {told[1]}. "
        f"R² {fixed(forms[0].r2)} and {fixed(forms[1].r2)} on {len(curve.points)} measurements of one run."
    )


def described(forms: Sequence[Form]) -> list[Form]:
    """Return the better law, if it describes gold better than a level line does."""
    return [form for form in forms[:1] if form.r2 > 0]


def _peak(form: Form, reach: float) -> str:
    if not math.isfinite(form.peak) or form.alpha <= 0:
        return "without a highest point"
    if form.peak > 2 * reach:
        return "highest far beyond what was measured"
    return f"highest at d = {significant(form.peak)}"


def hacked_words(found: tuple[Point, Sample] | None, method: str) -> str:
    """Introduce the first response that pleases the proxy alone."""
    if found is None:
        return "No hacked response yet: none scores above every reference sample on the proxy and far below them on gold."
    point, sample = found
    where = (
        f"{UNIT[method]} {point.step}, proxy {fixed(sample.proxy, signed=True)}, gold {fixed(sample.gold, signed=True)}"
    )
    return (
        "First hacked response, which the proxy puts above all of the reference's and gold a standard deviation below "
        f"their mean ({where}):"
    )


def text_of(sample: Sample) -> str:
    """Write a response behind its prompt."""
    return f"{sample.prompt} → {sample.response}"


def gallery(curve: Curve, row: int, *, gold: bool) -> list[list[Span | str]]:
    """Return table rows: the response to one prompt, with the same seed, at some points of the way."""
    rows: list[list[Span | str]] = []
    for place in decimated(len(curve.points), limit=GALLERY):
        point = curve.points[place]
        sample = point.samples[row % len(point.samples)]
        numbers = [sample.proxy, *([sample.gold] if gold else [])]
        cells = [
            Span(fixed(number, signed=True), tone="up" if number > 0 else "down" if number < 0 else "")
            for number in numbers
        ]
        when = f"{UNIT[curve.method]} {point.step}".replace(" ", "\u00a0")  # it stays in one line
        rows.append([when, text_of(sample), *cells])
    return rows


def steering(steered: Sequence[Steered], wanted: float) -> str:
    """Say which price of KL was in force when."""
    told = ", ".join(
        f"{plain(one.kl_coef)} {'from the start' if one.step == 0 else f'after update {one.step}'}" for one in steered
    )
    waiting = f"; {plain(wanted)} from the next update on" if wanted != steered[-1].kl_coef else ""
    return f"KL coefficient of PPO: {told}{waiting}."


def where(world: str, proxy: str, curves: Mapping[str, Curve]) -> str:
    """Say what is loaded and how far each method is."""
    done = [f"{method} {curve.points[-1].step}" for method, curve in curves.items()]
    return " · ".join([world, f"proxy: {proxy}", *done])
