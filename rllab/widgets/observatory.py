"""The observatory: a policy is optimised against a proxy, live; gold is recorded, and hidden until it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rllab.core.config import check_count, check_number
from rllab.core.errors import LabError
from rllab.core.jobs import Work
from rllab.course.figures.observatory import HEIGHT, compared, optimised
from rllab.course.observatory import (
    BEST_OF_N,
    DPO,
    PPO,
    Curve,
    Form,
    Observatory,
    Point,
    Sample,
    first_hacked,
    forms_of,
)
from rllab.plots.charts import decimated
from rllab.plots.text import fixed, plain, significant
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    finding,
    group,
    heading,
    note,
    number,
    radios,
    read_number,
    read_whole,
    row,
    signed,
    slider,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.worlds import WorldPanel, called
from rllab.worlds import World

STOPS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the KL coefficient, proxy units per nat
UNIT = {PPO: "update", BEST_OF_N: "n =", DPO: "update"}
OPTIMISED = {PPO: "PPO raised", BEST_OF_N: "Choosing the best of n raised", DPO: "DPO raised"}
GALLERY = 5  # points of which one response each is shown


class ObservatoryPanel(WorldPanel):
    """Optimise a policy against its world's reward by PPO, best of n and DPO; the runs are `panel.observatory`.

    The KL coefficient can be moved while PPO runs and takes effect with its next update. Stop ends a run at once, and
    the same button continues it. Another proxy: `world.replace(reward=...)`.

    Args:
        source: A world with a gold judge, or an observatory with its runs.
        updates: How many updates one press adds.
        kl_coef: The first KL coefficient, proxy units per nat.
        seed: Of the runs.

    Raises:
        LabError: The world has no gold judge, or `updates` is not a whole number of at least 1.
    """

    title = "Observatory"

    def __init__(self, source: World | Observatory, *, updates: int = 30, kl_coef: float = 0.0, seed: int = 0) -> None:
        made = source if isinstance(source, Observatory) else Observatory(source, kl_coef=kl_coef, seed=seed)
        check_count("updates", updates)
        self.observatory, self.updates = made, updates
        self.gold_shown = False
        self.guess: float | None = None
        self.method = next(iter(made.curves), PPO)
        self.row = 0
        self._charts: tuple[object, tuple[Component, ...]] = (None, ())
        super().__init__(made.world)

    def view(self) -> View:
        """Draw what has been measured so far."""
        world, curves, curve = self.observatory.world, self.observatory.curves, self.curve
        done = [f"{method} {curve.points[-1].step}" for method, curve in curves.items()]
        start = beginning(called(world), world.reward.name)
        return View(
            aside=note("where", " · ".join([called(world), f"proxy: {world.reward.name}", *done])),
            body=(self._controls(), self._steering(), *self._pictures(), *self._samples()),
            reading=reading(curve, gold=self.gold_shown, guess=self.guess) if curve is not None else start,
            badges=("monte-carlo",),
            foot=("keys: space starts PPO, g shows and hides gold",),
            shortcuts={" ": "ppo", "g": "gold"},
        )

    @property
    def curve(self) -> Curve | None:
        """The chosen method's measurements, or those of the first method while it has none."""
        curves = self.observatory.curves
        return curves.get(self.method, next(iter(curves.values()), None))

    def _controls(self) -> Component:
        busy, begun = self.busy, self.observatory.curves
        more = f"{self.updates} more updates" if PPO in begun else f"{self.updates} updates"
        return row(
            "controls",
            button("ppo", f"PPO: {more}", self.run_ppo, main=True, disabled=busy),
            button("best", "Best of n", self.run_best_of_n, disabled=busy),
            button("dpo", f"DPO: {self.updates} updates", self.run_dpo, disabled=busy),
            button("gold", "Reveal gold", self.toggle_gold, pressed=self.gold_shown, disabled=not begun),
            button("again", "Start over", self.start_over, disabled=busy or not begun),
            *self.working(),
        )

    def _steering(self) -> Component:
        made = self.observatory
        stops = sorted({*STOPS, made.kl_coef})
        options = [Option(str(stop), plain(stop)) for stop in stops]
        guess = "" if self.guess is None else plain(self.guess)
        steered = ", ".join(
            f"{plain(change.kl_coef)} {f'after update {change.step}' if change.step else 'from the start'}"
            for change in made.steered
        )
        waiting = f"; {plain(made.kl_coef)} from the next update on" if made.kl_coef != made.steered[-1].kl_coef else ""
        return row(
            "steering",
            self.world_choice(made.world),
            slider("kl-coef", "KL coefficient of PPO", options, stops.index(made.kl_coef), self._steer),
            number("updates", "updates", str(self.updates), self._set_updates, disabled=self.busy),
            number(
                "guess", "my guess of the √KL of the highest gold", guess, self._set_guess, disabled=self.gold_shown
            ),
            note("steered", f"KL coefficient of PPO: {steered}{waiting}."),
        )

    def _pictures(self) -> tuple[Component, ...]:
        """Draw the charts, new only when something has been measured or asked for."""
        curves = self.observatory.curves
        measured = tuple((curve.method, len(curve.points)) for curve in curves.values())
        stamp = (id(self.observatory), measured, self.method, self.gold_shown, self.guess)
        if self._charts[0] != stamp:
            self._charts = (stamp, tuple(self._draw()))
        return self._charts[1]

    def _draw(self) -> list[Component]:
        curves, curve = self.observatory.curves, self.curve
        if curve is None:
            return []
        forms = laws(curve) if self.gold_shown else []
        drawn = optimised(curve, gold=self.gold_shown, forms=described(forms), guess=self.guess)
        shown = "proxy and gold" if self.gold_shown else "proxy"
        first = [
            heading("pressed-title", f"{curve.method}: {shown} over √KL"),
            chart("pressed", drawn, f"{curve.method}: {shown} over the square root of the KL", height=HEIGHT),
        ]
        if self.gold_shown:
            first.append(note("laws", law_words(forms, curve)))
        parts = [group("pressed-group", *first)]
        if len(curves) > 1:
            parts.append(self._comparison())
        options = [Option(name, name) for name in curves]
        choice = row("choice", radios("method", "Method", options, curve.method, self._look_at))
        return [*([choice] if len(curves) > 1 else []), columns("pictures", *parts)]

    def _comparison(self) -> Component:
        curves, name = self.observatory.curves, "gold" if self.gold_shown else "proxy"
        drawn = compared(curves, gold=self.gold_shown)
        words = f"{name} over the square root of the KL: {', '.join(curves)}"
        bound = note("bound", "For best of n the KL drawn is its upper bound, log n − (n−1)/n.")
        remark = (bound,) if BEST_OF_N in curves else ()
        title = heading("compared-title", f"The methods at equal distance: {name}")
        return group("compared-group", title, chart("compared", drawn, words, height=HEIGHT), *remark)

    def _samples(self) -> tuple[Component, ...]:
        """Return responses to one prompt along the way and, with gold, the first that pleases the proxy alone."""
        curve = self.curve
        if curve is None:
            return ()
        gold = [Column("gold", numeric=True)] if self.gold_shown else []
        head = [Column("when"), Column("same prompt, same seed"), Column("proxy", numeric=True), *gold]
        rows = gallery(curve, self.row, gold=self.gold_shown)
        shown = table("samples", "Responses to one prompt along the way", head, rows)
        hacked: list[Component] = []
        if self.gold_shown:
            found = first_hacked(curve)
            words = hacked_words(found, curve.method)
            hacked = [finding("hacked", *words) if found else note("hacked", *words)]
        return (*hacked, shown, row("more", button("next", "Another prompt", self.next_prompt)))

    # What the learner can do.

    def run_ppo(self) -> None:
        """Run the chosen number of PPO updates."""
        self._run(PPO, lambda job: self.observatory.ppo(self.updates, job=job))

    def run_dpo(self) -> None:
        """Run the chosen number of DPO updates."""
        self._run(DPO, lambda job: self.observatory.dpo(self.updates, job=job))

    def run_best_of_n(self) -> None:
        """Choose the best of n by the proxy."""
        self._run(BEST_OF_N, lambda job: self.observatory.best_of_n(job=job))

    def toggle_gold(self) -> None:
        """Show gold, or hide it again."""
        self.gold_shown = not self.gold_shown

    def next_prompt(self) -> None:
        """Show the responses to another prompt."""
        self.row += 1

    def start_over(self) -> None:
        """Forget all runs; the KL coefficient stays as it is, and gold is hidden again."""
        self.enter(self.observatory.world)

    def enter(self, world: World) -> None:
        """Forget all runs and begin in another world.

        Args:
            world: The world.
        """
        old = self.observatory
        self.observatory = Observatory(world, kl_coef=old.kl_coef, seed=old.seed, plan=old.plan)
        self.gold_shown, self.guess, self.method = False, None, PPO

    # Inside.

    def _run(self, method: str, work: Work) -> None:
        self.start_job(f"{method} on {self.observatory.world.name}", work)
        self.method = method

    def _look_at(self, method: str) -> None:
        self.method = method

    def _steer(self, value: str) -> None:
        self.observatory.steer(float(value))

    def _set_updates(self, value: object) -> None:
        self.updates = read_whole("updates", value, low=1)

    def _set_guess(self, value: object) -> None:
        if not str(value).strip():
            self.guess = None
            return
        guess = read_number("guess", value)
        check_number("guess", guess)
        self.guess = guess


def laws(curve: Curve) -> list[Form]:
    """Return both laws fitted to a curve, the better first; none after too few measurements."""
    try:
        return forms_of(curve)
    except LabError:
        return []


def beginning(world: str, proxy: str) -> Words:
    """Return what will happen, before anything has."""
    words = f"In {world} the policy will be optimised against “{proxy}”, a proxy. Gold, which is what we really want, "
    return (words + "is recorded along the way and trains nothing; you see it when you ask for it.",)


def reading(curve: Curve, *, gold: bool, guess: float | None) -> Words:
    """Return what one method has done to the proxy and, once it may be seen, to gold."""
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
    guessed = "" if guess is None else f" You guessed {significant(guess)}; it was {fixed(curve.peak.d)}."
    return (*words, *_gold_words(curve), guessed)


def _gold_words(curve: Curve) -> Words:
    """Return where gold was highest and what it is now, with standard errors."""
    peak, last = curve.peak, curve.points[-1]
    start, end = (f"{fixed(point.gold, signed=True)} ± {fixed(point.gold_error)}" for point in (curve.points[0], last))
    if peak is last:
        return (f", and gold from {start} to ", bold(end), ", its highest so far.")
    if peak is curve.points[0]:
        return (f"; gold has not risen: it began at {start} and is now ", bold(end), ".")
    top = f"{fixed(peak.gold, signed=True)} ± {fixed(peak.gold_error)}"
    where = f"√KL {fixed(peak.d)} ({UNIT[curve.method]} {peak.step})"
    words: Words = (f"; gold began at {start}, was highest at {where} with {top}, and is now ", bold(end))
    if curve.over_optimised:
        return (*words, ": more proxy, less of what we want.")
    if last.proxy <= peak.proxy:
        return (*words, ", with no more proxy than there: no over-optimisation.")
    return (*words, ": within three standard errors of its highest, so this does not prove a decline.")


def law_words(forms: Sequence[Form], curve: Curve) -> str:
    """Return which of the two laws fits gold better, and where each has its highest point."""
    if not forms:
        return "Too few measurements so far to fit a law to gold."
    reach = max(point.d for point in curve.points)
    told = [f"{form.name} with α {fixed(form.alpha)}, β {fixed(form.beta, 3)}, {_peak(form, reach)}" for form in forms]
    better, other = (fixed(form.aic, 1) for form in forms)
    if not described(forms):
        worse = "; ".join(f"R² {fixed(form.r2)} for {form.name}" for form in forms)
        return f"Neither law describes these {len(curve.points)} measurements: {worse}. A horizontal line fits better."
    return (
        f"Two laws fitted to gold, the better by AIC ({better} against {other}) first: {told[0]}; {told[1]}. "
        f"R² {fixed(forms[0].r2)} and {fixed(forms[1].r2)} on {len(curve.points)} measurements of one run."
    )


def described(forms: Sequence[Form]) -> list[Form]:
    """Return the better law, if it describes gold better than a horizontal line."""
    return [form for form in forms[:1] if form.r2 > 0]


def _peak(form: Form, reach: float) -> str:
    if not math.isfinite(form.peak) or form.alpha <= 0:
        return "without a highest point"
    if form.peak > 2 * reach:
        return "highest far beyond what was measured"
    return f"highest at d = {significant(form.peak)}"


def hacked_words(found: tuple[Point, Sample] | None, method: str) -> Words:
    """Return the first response that pleases the proxy alone, with its numbers."""
    if found is None:
        hidden = "none scores above every reference sample on the proxy and far below them on gold"
        return (f"No hacked response yet: {hidden}.",)
    point, sample = found
    numbers = f"proxy {fixed(sample.proxy, signed=True)}, gold {fixed(sample.gold, signed=True)}"
    where = f"{UNIT[method]} {point.step}, {numbers}"
    words = "First hacked response: the proxy puts it above every reference sample, gold a standard deviation below"
    return (f"{words} their mean ({where}): “", bold(f"{sample.prompt} → {sample.response}"), "”")


def gallery(curve: Curve, row: int, *, gold: bool) -> list[list[Span | str]]:
    """Return table rows: the response to one prompt, with the same seed, at some points along the way."""
    rows: list[list[Span | str]] = []
    for place in decimated(len(curve.points), limit=GALLERY):
        point = curve.points[place]
        sample = point.samples[row % len(point.samples)]
        numbers = [sample.proxy, sample.gold] if gold else [sample.proxy]
        when = f"{UNIT[curve.method]} {point.step}".replace(" ", "\u00a0")  # stays on one line
        rows.append([when, f"{sample.prompt} → {sample.response}", *map(signed, numbers)])
    return rows
