"""The observatory: a policy is pressed against a proxy, live; gold is recorded, and hidden until it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rllab.core.config import check_count, check_number
from rllab.core.jobs import Job
from rllab.course.figures.observatory import HEIGHT, compared, pressed
from rllab.course.observatory import BEST_OF_N, DPO, PPO, Curve, Observatory, first_hacked
from rllab.plots.text import plain
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import (
    Component,
    Option,
    bold,
    button,
    columns,
    finding,
    group,
    heading,
    note,
    number,
    progress,
    radios,
    read_number,
    read_whole,
    row,
    slider,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.observatory.captions import (
    Words,
    beginning,
    described,
    gallery,
    hacked_words,
    law_words,
    laws,
    reading,
    steering,
    text_of,
    where,
)
from rllab.widgets.shared.worlds import called
from rllab.worlds import World

STOPS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the KL coefficient, proxy units per nat

Press = Callable[[Job], None]


class ObservatoryPanel(Panel):
    """Press a world's policy against its reward by PPO, best of n and DPO; the runs are `panel.observatory`.

    The KL coefficient can be moved while PPO runs and holds from its next update on. Stop ends a run at once, and
    pressing again goes on from there. `world.replace(reward=...)` puts another proxy in.
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
        super().__init__()

    def view(self) -> View:
        """Draw what was measured so far."""
        made = self.observatory
        return View(
            aside=note("where", where(called(made.world), made.world.reward.name, made.curves)),
            body=(self._controls(), self._steering(), self._progress(), *self._pictures(), *self._samples()),
            reading=self._reading(),
            badges=("monte-carlo",),
            foot=("keys: space starts PPO, s stops, g shows and hides gold",),
            shortcuts={" ": "ppo", "s": "stop", "g": "gold"},
        )

    @property
    def curve(self) -> Curve | None:
        """Return the method that is looked at, or the first there is while nothing of it was measured."""
        curves = self.observatory.curves
        return curves.get(self.method, next(iter(curves.values()), None))

    def _controls(self) -> Component:
        busy, begun = self.busy, self.observatory.curves
        more = f"{self.updates} updates more" if PPO in begun else f"{self.updates} updates"
        return row(
            "controls",
            button("ppo", f"PPO: {more}", self.press_ppo, main=True, disabled=busy),
            button("best", "Best of n", self.press_best_of_n, disabled=busy),
            button("dpo", f"DPO: {self.updates} updates", self.press_dpo, disabled=busy),
            button("stop", "Stop", self.stop, disabled=not busy),
            button("gold", "Reveal gold", self.toggle_gold, pressed=self.gold_shown, disabled=not begun),
            button("again", "Start over", self.start_over, disabled=busy or not begun),
        )

    def _steering(self) -> Component:
        made = self.observatory
        stops = sorted({*STOPS, made.kl_coef})
        options = [Option(str(stop), plain(stop)) for stop in stops]
        guess = "" if self.guess is None else plain(self.guess)
        return row(
            "steering",
            slider("kl-coef", "KL coefficient of PPO", options, stops.index(made.kl_coef), self._steer),
            number("updates", "updates", str(self.updates), self._set_updates, disabled=self.busy),
            number(
                "guess", "my guess of the √KL of the highest gold", guess, self._set_guess, disabled=self.gold_shown
            ),
            note("steered", steering(made.steered, made.kl_coef)),
        )

    def _progress(self) -> Component:
        if not self.busy or self.job is None:
            return progress("progress", "Progress of the run", 0, 1, "")
        at = self.job.progress
        return progress("progress", "Progress of the run", at.done, at.total, at.text)

    def _pictures(self) -> tuple[Component, ...]:
        """Draw the charts, new only when something was measured or asked for."""
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
        drawn = pressed(curve, gold=self.gold_shown, forms=described(forms), guess=self.guess)
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
        curve = self.curve
        if curve is None:
            return ()
        gold = [Column("gold", numeric=True)] if self.gold_shown else []
        head = [Column("when"), Column("same prompt, same seed"), Column("proxy", numeric=True), *gold]
        rows = gallery(curve, self.row, gold=self.gold_shown)
        shown = table("samples", "Responses to one prompt along the way", head, rows)
        return (*self._hacked(curve), shown, row("more", button("next", "Another prompt", self.next_prompt)))

    def _hacked(self, curve: Curve) -> tuple[Component, ...]:
        if not self.gold_shown:
            return ()
        found = first_hacked(curve)
        words = hacked_words(found, curve.method)
        if found is None:
            return (note("hacked", words),)
        return (finding("hacked", words, " “", bold(text_of(found[1])), "”"),)

    def _reading(self) -> Words:
        curve, world = self.curve, self.observatory.world
        if curve is None:
            return beginning(called(world), world.reward.name)
        return reading(curve, gold=self.gold_shown, guess=self.guess)

    # What the learner can do.

    def press_ppo(self) -> None:
        """Do the chosen number of PPO updates more."""
        self._run(PPO, partial(self._updates, self.observatory.ppo))

    def press_dpo(self) -> None:
        """Do the chosen number of DPO updates more."""
        self._run(DPO, partial(self._updates, self.observatory.dpo))

    def press_best_of_n(self) -> None:
        """Choose the best of n by the proxy."""
        self._run(BEST_OF_N, lambda job: self.observatory.best_of_n(job=job))

    def stop(self) -> None:
        """End the run at once; an unfinished update is dropped."""
        if self.job is not None:
            self.job.stop()

    def toggle_gold(self) -> None:
        """Show what the runs have really given, or hide it again."""
        self.gold_shown = not self.gold_shown

    def next_prompt(self) -> None:
        """Show the responses to another prompt."""
        self.row += 1

    def start_over(self) -> None:
        """Forget all runs; the KL coefficient stays where it is, and gold is hidden again."""
        old = self.observatory
        self.observatory = Observatory(old.world, kl_coef=old.kl_coef, seed=old.seed, plan=old.plan)
        self.gold_shown, self.guess, self.method = False, None, PPO

    # Inside.

    def _run(self, method: str, press: Press) -> None:
        self.start_job(f"{method} on {self.observatory.world.name}", press)
        self.method = method

    def _updates(self, press: Callable[..., None], job: Job) -> None:
        press(self.updates, job=job)

    def _look_at(self, method: str) -> None:
        self.method = method

    def _steer(self, value: str) -> None:
        self.observatory.steer(float(value))

    def _set_updates(self, value: object) -> None:
        updates = read_whole("updates", value)
        check_count("updates", updates)
        self.updates = updates

    def _set_guess(self, value: object) -> None:
        if not str(value).strip():
            self.guess = None
            return
        guess = read_number("guess", value)
        check_number("guess", guess)
        self.guess = guess
