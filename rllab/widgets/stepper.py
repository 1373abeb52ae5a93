"""The token stepper: one line of text, token by token, seen through one lens after another."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rllab.errors import LabError, nearest
from rllab.jobs import ProgressFunction
from rllab.notation import label
from rllab.plots.numbers import plain
from rllab.stepper import Stepper
from rllab.widgets.components import (
    Component,
    Option,
    button,
    columns,
    finding,
    fold,
    group,
    heading,
    note,
    number,
    radios,
    ring,
    row,
    select,
    term,
    text,
)
from rllab.widgets.fields import read_number, read_whole
from rllab.widgets.line import read_line
from rllab.widgets.marks import bars, chart, chips
from rllab.widgets.panel import Panel, View
from rllab.widgets.stepper_marks import FIRST_SHOWN, SHOWS, bar_row, chip_row, curves
from rllab.widgets.stepper_words import Look, policy_words, reward_words, value_words
from rllab.widgets.text import visible
from rllab.worlds import LOADERS, World, load_world

LENSES = ("policy", "reward", "value")
STAGES = ("state", "action", "reward", "value", "advantage", "update")
READINGS = {"policy": policy_words, "reward": reward_words, "value": value_words}
PICTURES = {
    "policy": ("How open is each state", "entropy of the next token, and how surprising the written one was"),
    "reward": ("What the reward says of the text so far", "score of the text up to and with each token"),
    "value": ("How promising is the text so far", "what the critic expects, and the score of the text as it stands"),
}
MOST_LINES = 12
SEEDS = 2**32


class StepperPanel(Panel):
    """Write a text token by token; see, in every state, what the policy, the reward and the critic think.

    `lenses` are what the learner has met so far; the last one is looked through first. The line on the
    screen is `panel.stepper`, all lines are in `panel.lines`.
    """

    title = "Token stepper"

    def __init__(self, source: World | Stepper, *, lenses: Sequence[str] = ("policy",), seed: int = 0) -> None:
        for lens in lenses:
            if lens not in LENSES:
                raise LabError("lens", lens, f"choose among {', '.join(LENSES)}; did you mean {nearest(lens, LENSES)}?")
        if not lenses:
            raise LabError("lenses", tuple(lenses), f"choose at least one of {', '.join(LENSES)}")
        self.stepper = source if isinstance(source, Stepper) else Stepper(source, seed=seed)
        self.lines = [self.stepper]
        self.selected = len(self.stepper.steps)
        self.lenses = tuple(lens for lens in LENSES if lens in lenses)
        self.lens = lenses[-1]
        self.show = FIRST_SHOWN[self.lens]
        self._worlds = {self.stepper.world.name: self.stepper.world}
        super().__init__()

    def view(self) -> View:
        """Draw the line, its candidates, its curves and the sentence that reads them."""
        stepper = self.stepper
        line = read_line(stepper, scored=self.lens != "policy")
        state = line.end if self.selected == len(line.written) else stepper.state_at(self.selected)
        names = tuple(visible(stepper.world.policy.token_text(token)) for token in state.candidate_ids[:2])
        look = Look(line, self.selected, state, names, stepper.world.objective)
        return View(
            aside=ring("ring", STAGES, self._stage(look)),
            body=(
                self._prompt(),
                self._controls(),
                self._lenses(),
                self._strip(look),
                *self._stale(),
                self._pictures(look),
            ),
            reading=READINGS[self.lens](look),
            badges=("learned",) if self.lens == "value" else (),
            foot=("keys: s step, 5 five steps, f finish, b back, r reset; arrows move along the tokens",),
            shortcuts={"s": "step", "5": "five", "f": "finish", "b": "back", "r": "reset"},
        )

    def _prompt(self) -> Component:
        names = list(dict.fromkeys([*self._worlds, *LOADERS]))
        options = [Option(name, name) for name in names]
        world = self.stepper.world.name
        return row(
            "where",
            select("world", "World", options, world, self.choose_world, disabled=self.busy),
            text("prompt", "Prompt", self.stepper.prompt, lambda value: self.begin(str(value)), disabled=self.busy),
            button("other", "Other prompt", self.other_prompt, disabled=self.busy),
        )

    def _controls(self) -> Component:
        busy, done = self.busy, self.stepper.done
        return row(
            "controls",
            button("step", "Step", self.step, main=True, disabled=busy or done),
            button("five", "Step 5", self.five, disabled=busy or done),
            button("finish", "Stop" if busy else "Finish", self.finish_or_stop, disabled=done and not busy),
            button("back", "Back", self.back, disabled=busy or not self.stepper.steps),
            button("reset", "Reset", lambda: self.begin(self.stepper.prompt), disabled=busy),
            button("dice", "New dice", self.new_dice, disabled=busy),
            self._sampling(),
        )

    def _sampling(self) -> Component:
        stepper, off = self.stepper, self.busy
        warmth, top_k, top_p = plain(stepper.temperature), str(stepper.top_k), plain(stepper.top_p)
        fields = (
            number("temperature", "temperature", warmth, self._set_temperature, disabled=off),
            number("top-k", "top-k (0: all)", top_k, self._set_top_k, disabled=off),
            number("top-p", "top-p", top_p, self._set_top_p, disabled=off),
            number("seed", "seed", str(stepper.seed), self._set_seed, disabled=off),
        )
        return fold("sampling", "Sampling", row("sampling-fields", *fields))

    def _lenses(self) -> Component:
        modes = [Option(lens, lens if lens == self.lenses[0] else f"+ {lens}") for lens in self.lenses]
        shows = [Option(key, show.name) for key, show in SHOWS.items() if self._seen(show.lens)]
        parts = [radios("lens", "Lens", modes, self.lens, self.choose_lens)] if len(modes) > 1 else []
        if len(self.lines) > 1:
            parts.append(
                select("line", "line", self._line_options(), str(self._line), self.choose_line, show_label=True)
            )
        shown = select("show", "chips show", shows, self.show, self._choose_show, show_label=True)
        return row("lenses", *parts, shown, end=True)

    def _strip(self, look: Look) -> Component:
        stamp = f"{self._line}.{len(look.line.written)}"
        return chips(
            "strip",
            "Tokens; choosing one shows the state before it",
            chip_row(look.line, SHOWS[self.show]),
            self.choose_state,
            prompt=[visible(token) for token in look.line.prompt],
            selected=self.selected,
            next_name="the end of the line" if self.stepper.done else "the token that is not written yet",
            stamp=stamp,
        )

    def _stale(self) -> tuple[Component, ...]:
        if not self.stepper.stale:
            return ()
        return (finding("stale", "The policy has learned since this line was begun; Reset writes with the new one."),)

    def _pictures(self, look: Look) -> Component:
        title, alt = PICTURES[self.lens]
        figure = curves(look, lens=self.lens, reward=self.stepper.world.reward.name)
        right = group("right", heading("right-title", title), chart("curves", figure, f"{title}: {alt}"))
        return columns("pictures", self._candidates(look), right)

    def _candidates(self, look: Look) -> Component:
        if look.state.done:
            return group("left", note("over", "Nothing can follow here. Click a token to look at the state before it."))
        items, rest, full = bar_row(look, self.stepper.world.policy)
        stamp = f"{self._line}.{len(look.line.written)}.{look.at}"
        policy = term("policy", "The policy gives every token a probability of coming next.")
        tick = term("\u03c0_ref", "The reference is the frozen policy that training started from.")
        past = "a new line starts there" if look.at < len(look.line.written) else "it is written as the next token"
        return group(
            "left",
            heading("left-title", "What the ", policy, f" would write after \u201c{look.context()}\u201d"),
            bars("bars", "Candidates for the next token", items, self.write, rest=rest, stamp=stamp),
            note(
                "left-note",
                "bar: \u03c0 \u00b7 tick: ",
                tick,
                f" \u00b7 full width: {plain(full)} \u00b7 click a bar: {past}",
            ),
        )

    def _stage(self, look: Look) -> str:
        """Return where in the loop the learner looks."""
        if self.lens != "policy":
            return self.lens
        return "state" if look.token is None else "action"

    # What the learner can do.

    def step(self) -> None:
        """Sample the next token."""
        self.stepper.step()
        self._to_the_end()

    def five(self) -> None:
        """Sample up to five tokens."""
        for _ in range(5):
            if not self.stepper.done:
                self.stepper.step()
        self._to_the_end()

    def finish_or_stop(self) -> None:
        """Sample to the end of the line in the background, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.start_job("writing to the end of the line", self._finish)

    def back(self) -> None:
        """Take the last token away."""
        self.stepper.back()
        self._to_the_end()

    def begin(self, prompt: str) -> None:
        """Start a new line from a prompt; the other lines go."""
        self.stepper.reset(prompt)
        self.lines = [self.stepper]
        self._to_the_end()

    def new_dice(self) -> None:
        """Start again with other random numbers."""
        self._set_seed(self.stepper.seed + 1)

    def other_prompt(self) -> None:
        """Start from the world's next prompt."""
        prompts = self.stepper.world.prompts
        here = prompts.index(self.stepper.prompt) if self.stepper.prompt in prompts else -1
        self.begin(prompts[(here + 1) % len(prompts)])

    def write(self, token_id: int) -> None:
        """Write a token of the learner's choice; in a past state that begins a new line."""
        if self.selected == len(self.stepper.steps):
            self.stepper.step(token_id)
        else:
            self.stepper = self.stepper.branch(self.selected, token_id)
            self.lines = [*self.lines[-MOST_LINES + 1 :], self.stepper]
        self._to_the_end()

    def choose_state(self, t: int) -> None:
        """Look at the state after t tokens."""
        self.selected = t

    def choose_lens(self, lens: str) -> None:
        """Look through another lens."""
        self.lens, self.show = lens, FIRST_SHOWN[lens]

    def choose_line(self, number: str) -> None:
        """Go to another line."""
        self.stepper = self.lines[int(number)]
        self._to_the_end()

    def choose_world(self, name: str) -> None:
        """Go to another world; the one that the panel was given is kept as it is."""
        world = self._worlds.get(name) or load_world(name)
        stepper = Stepper(world, seed=self.stepper.seed)
        self._worlds[name] = world
        self.stepper, self.lines = stepper, [stepper]
        self._to_the_end()

    # Inside.

    @property
    def _line(self) -> int:
        return self.lines.index(self.stepper)

    def _line_options(self) -> list[Option]:
        endings = [" ".join(visible(step.token) for step in line.steps[-4:]) for line in self.lines]
        return [Option(str(at), f"{label(at)}: \u2026 {ending}") for at, ending in enumerate(endings)]

    def _seen(self, lens: str) -> bool:
        """Tell whether a lens is the present one or comes before it."""
        return LENSES.index(lens) <= LENSES.index(self.lens)

    def _to_the_end(self) -> None:
        self.selected = len(self.stepper.steps)

    def _finish(self, stop: threading.Event, progress: ProgressFunction) -> None:
        """Write token by token, each under the panel's lock, so that pictures in between are whole."""
        while not self.stepper.done and not stop.is_set():
            with self._lock:
                self.step()
            progress(len(self.stepper.steps), 0, "writing")

    def _choose_show(self, key: str) -> None:
        self.show = key

    def _sample(self, **changes: float) -> None:
        """Change how tokens are drawn; what is not named stays."""
        stepper = self.stepper
        wanted = {"temperature": stepper.temperature, "top_k": stepper.top_k, "top_p": stepper.top_p} | changes
        stepper.set_sampling(temperature=wanted["temperature"], top_k=int(wanted["top_k"]), top_p=wanted["top_p"])

    def _set_temperature(self, value: object) -> None:
        self._sample(temperature=read_number("temperature", value))

    def _set_top_k(self, value: object) -> None:
        self._sample(top_k=read_whole("top-k", value))

    def _set_top_p(self, value: object) -> None:
        self._sample(top_p=read_number("top-p", value))

    def _set_seed(self, value: object) -> None:
        """Start again with other random numbers."""
        seed = read_whole("seed", value)
        if not 0 <= seed < SEEDS:
            raise LabError("seed", seed, f"choose a whole number from 0 to {SEEDS - 1}")
        self.stepper.seed = seed
        self.begin(self.stepper.prompt)
