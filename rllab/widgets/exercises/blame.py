"""The blame game: one flaw in a text, one score for it, and single tokens that can be written anew."""

from __future__ import annotations

from rllab.core.config import Timing
from rllab.core.notation import label
from rllab.course.exercises.blame import BlameGame, good_text
from rllab.plots.text import fixed
from rllab.reward.reward import Reward
from rllab.widgets.engine.answers import prose
from rllab.widgets.engine.charts import Chip, Column, chips, table, tint
from rllab.widgets.engine.components import Component, Option, Span, button, radios, row
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.engine.text import visible
from rllab.worlds import World

SCORES = {"end": "one score at the end", "sentence": "a score for each sentence", "token": "a score for each token"}
SHOWN = 6  # re-rolls in the table; older ones go
QUESTION = (
    "One token of this text was exchanged for a bad one. You see what the machine sees: numbers, no words. Choose a "
    "token, buy a re-roll of it if that helps, and accuse the one that spoils the text. Then ask for finer scores."
)


class BlamePanel(Panel):
    """Find the planted flaw by scores alone, and count what it costs."""

    title = "The blame game"

    def __init__(self, world: World, *, judge: Reward | None = None, tokens: int = 24, seed: int = 0) -> None:
        self.world, self.judge, self.seed = world, judge or world.gold or world.reward, seed
        self._text = good_text(world, judge=self.judge, tokens=tokens)
        self.selected = 0
        self.shown = False
        self.game = self._game()
        super().__init__()

    def view(self) -> View:
        """Draw the hidden text, what is paid where, and what was bought."""
        modes = [Option(timing, words) for timing, words in SCORES.items()]
        return View(
            body=(
                prose("question", QUESTION),
                row("mode", radios("timing", "Scores", modes, self.game.timing, self._choose_timing)),
                self._strip(),
                self._controls(),
                *self._bought(),
            ),
            reading=self._reading(),
            badges=("exact",),
            foot=("arrows move along the tokens; keys: b buy a re-roll, a accuse, w words",),
            shortcuts={"b": "reroll", "a": "accuse", "w": "words"},
        )

    def _strip(self) -> Component:
        return chips("strip", "Tokens of the flawed text", self._chips(), self._select, selected=self.selected)

    def _chips(self) -> list[Chip]:
        """Return a chip for each token; its word is hidden until the learner asks for it or has found the flaw."""
        paid, scale = self.game.paid, max(map(abs, self.game.paid))
        return [
            Chip(
                text=visible(word) if self.shown else label(at),
                name=f"token {label(at)}, {word if self.shown else 'hidden'}, paid {fixed(pay, 2, signed=True)}",
                number=fixed(pay, 2, signed=True) if pay else "",
                tint=tint(pay, scale),
            )
            for at, (word, pay) in enumerate(zip(self.game.tokens, paid, strict=True))
        ]

    def _controls(self) -> Component:
        found = bool(self.game.verdict and self.game.verdict.right)
        place = label(self.selected)
        return row(
            "controls",
            button("reroll", f"Re-roll token {place}", self._reroll, disabled=found),
            button("accuse", f"Accuse token {place}", self._accuse, main=True, disabled=found),
            button("words", "Hide the words" if self.shown else "Show the words", self._toggle, pressed=self.shown),
            button("new", "New flaw", self._again),
        )

    def _bought(self) -> tuple[Component, ...]:
        if not self.game.rerolls:
            return ()
        head = (Column("token"), Column("score with another token there", numeric=True), Column("change", numeric=True))
        rows: list[list[Span | str]] = []
        for one in self.game.rerolls[-SHOWN:]:
            change = one.score - self.game.score
            tone = "up" if change > 0 else "down" if change < 0 else "dim"
            rows.append([label(one.place), fixed(one.score), Span(fixed(change, 2, signed=True), tone=tone)])
        count = len(self.game.rerolls)
        said = f"{count} re-rolls bought, the last at the bottom" if count > 1 else "1 re-roll bought"
        return (table("bought", said, head, rows),)

    def _reading(self) -> tuple[Span | str, ...]:
        if self.game.verdict is not None:
            return (self.game.verdict.reason,)
        count, score = len(self.game.tokens), fixed(self.game.score)
        if self.game.timing == "end":
            before = f"It scored {fixed(self.game.good_score)} before"
            return (f"The text scores {score}, paid at its end. {before}: any of {count} tokens may have spoilt it.",)
        return (f"The same {score}, paid in {sum(1 for pay in self.game.paid if pay)} parts: look where it is low.",)

    def _game(self) -> BlameGame:
        return BlameGame(self.world, *self._text, judge=self.judge, seed=self.seed)

    def _choose_timing(self, timing: str) -> None:
        chosen: Timing = next(one for one in ("end", "sentence", "token") if one == timing)
        self.game.timing, self.game.verdict = chosen, None

    def _select(self, place: int) -> None:
        self.selected = place

    def _reroll(self) -> None:
        self.game.reroll(self.selected)
        self.game.verdict = None

    def _accuse(self) -> None:
        self.shown = self.game.accuse(self.selected).right or self.shown

    def _toggle(self) -> None:
        self.shown = not self.shown

    def _again(self) -> None:
        timing, self.seed = self.game.timing, self.seed + 1
        self.game = self._game()
        self.game.timing, self.shown, self.selected = timing, False, 0
