"""The token stepper: one line of text, token by token, seen through one lens after another."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.core.errors import LabError, nearest
from rllab.core.jobs import Job
from rllab.widgets.engine.components import (
    BADGES,
    Component,
    Option,
    button,
    columns,
    finding,
    number,
    radios,
    ring,
    row,
    select,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.engine.text import visible
from rllab.widgets.engine.working import WorkingPanel
from rllab.widgets.shared.line import read_line
from rllab.widgets.shared.pace import usual_samples
from rllab.widgets.shared.what_if import check_different, chosen, comparison, read_samples, what_if_words
from rllab.widgets.shared.worlds import Worlds
from rllab.widgets.stepper.branches import branch_picture, line_options
from rllab.widgets.stepper.captions import (
    FIRST_SHOWN,
    SHOWS,
    StepperView,
    Words,
    advantage_words,
    bar_tokens,
    candidate_bars,
    line_picture,
    policy_words,
    reward_words,
    strip,
    value_words,
)
from rllab.widgets.stepper.settings import sampling_fold
from rllab.widgets.stepper.worth import UNKNOWN, CandidateValues, is_known_exactly
from rllab.worlds import World
from rllab.worlds.branches import BranchTree
from rllab.worlds.reward_trace import kind_of
from rllab.worlds.stepper import Stepper

LENSES = ("policy", "reward", "value", "advantage")
STAGES = ("state", "action", "reward", "value", "advantage", "update")
READINGS = {"policy": policy_words, "reward": reward_words, "value": value_words, "advantage": advantage_words}


class StepperPanel(WorkingPanel):
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
        self.lines = BranchTree(self.stepper)
        self.worth = CandidateValues(usual_samples(self.stepper.world))
        self.selected = len(self.stepper.steps)
        self.lenses = tuple(lens for lens in LENSES if lens in lenses)
        self.lens = lenses[-1]
        self.show = FIRST_SHOWN[self.lens]
        self._worlds = Worlds(self.stepper.world)
        super().__init__()

    def view(self) -> View:
        """Draw the line, its candidates, its curves and the sentence that reads them."""
        look = self._look()
        return View(
            aside=ring("ring", STAGES, self._stage(look)),
            body=(
                self._prompt(),
                self._controls(),
                self._lenses(),
                strip(look, SHOWS[self.show], self.choose_state, stamp=self._stamp(look), over=self.stepper.done),
                *self._stale(),
                *branch_picture(self.lines, self.selected, self.choose_branch),
                self._pictures(look),
                *self._asking(look),
            ),
            reading=self._reading(look),
            badges=self._badges(look),
            foot=("keys: s step, 5 five steps, f finish, b back, r reset; arrows move along the tokens",),
            shortcuts={"s": "step", "5": "five", "f": "finish", "b": "back", "r": "reset"},
        )

    def _look(self) -> StepperView:
        """Read the line, the chosen state and, through the lens for it, what its candidates are worth."""
        stepper, asked = self.stepper, self.lens == "advantage"
        line = read_line(stepper, scored=self.lens != "policy")
        state = line.end if self.selected == len(line.written) else stepper.state_at(self.selected)
        tokens = bar_tokens(state, None if state.t == len(line.written) else line.written[state.t])
        return StepperView(
            line,
            self.selected,
            state,
            {token: visible(stepper.world.policy.token_text(token)) for token in tokens},
            stepper.world.objective,
            stepper.temperature_at(state.t),
            self.worth.candidates(stepper, self.selected, tokens) if asked else None,
            self.worth.outlook(stepper, line) if asked else UNKNOWN,
        )

    def _reading(self, look: StepperView) -> Words:
        asked = self.lens == "advantage" and self._working == "compare"
        found = self.worth.compared(self.stepper, self.selected) if asked else None
        if found is None:
            return READINGS[self.lens](look)
        return what_if_words(self.stepper, self.selected, self.worth.pair, found)

    def _badges(self, look: StepperView) -> tuple[str, ...]:
        """Return the kinds of all values on the screen."""
        plain = {"policy": "exact", "reward": kind_of(self.stepper.world.objective.reward), "value": "learned"}
        if self.lens in plain:
            return (plain[self.lens],)
        kinds = {look.outlook.kind, look.worth.value.kind if look.worth is not None else ""}
        kinds |= {"monte-carlo"} if self.worth.compared(self.stepper, self.selected) is not None else set()
        return tuple(kind for kind in BADGES if kind in kinds)

    def _prompt(self) -> Component:
        return row(
            "where",
            self._worlds.choice(self.stepper.world, self.choose_world, disabled=self.busy),
            text("prompt", "Prompt", self.stepper.prompt, lambda value: self.begin(str(value)), disabled=self.busy),
            button("other", "Other prompt", self.other_prompt, disabled=self.busy),
        )

    def _controls(self) -> Component:
        busy, done = self.busy, self.stepper.done
        return row(
            "controls",
            button("step", "Step", self.step, main=True, disabled=busy or done),
            button("five", "Step 5", self.five, disabled=busy or done),
            self.work_button("finish", "Finish", self.finish, disabled=done),
            button("back", "Back", self.back, disabled=busy or not self.stepper.steps),
            button("reset", "Reset", lambda: self.begin(self.stepper.prompt), disabled=busy),
            button("dice", "New dice", self.new_dice, disabled=busy),
            sampling_fold(self.stepper, self.new_seed, disabled=busy),
        )

    def _lenses(self) -> Component:
        modes = [Option(lens, lens if lens == self.lenses[0] else f"+ {lens}") for lens in self.lenses]
        shows = [Option(key, show.name) for key, show in SHOWS.items() if self._seen(show.lens)]
        parts = [radios("lens", "Lens", modes, self.lens, self.choose_lens)] if len(modes) > 1 else []
        if len(self.lines) > 1:
            here = str(self.lines.here)
            parts.append(select("line", "line", line_options(self.lines), here, self.choose_line, show_label=True))
        shown = select("show", "chips show", shows, self.show, self._choose_show, show_label=True)
        return row("lenses", *parts, shown, end=True)

    def _stale(self) -> tuple[Component, ...]:
        if not self.stepper.stale:
            return ()
        return (finding("stale", "The policy has learned since this line was begun; Reset writes with the new one."),)

    def _pictures(self, look: StepperView) -> Component:
        world = self.stepper.world
        left = candidate_bars(look, world.policy, self.write, stamp=f"{self._stamp(look)}.{look.at}")
        return columns("pictures", left, line_picture(look, lens=self.lens, reward=world.reward.name))

    def _stamp(self, look: StepperView) -> str:
        """Name the line as it stands: what is pressed on an older picture is dropped."""
        return f"{self.lines.here}.{len(look.line.written)}"

    def _asking(self, look: StepperView) -> tuple[Component, ...]:
        """Return, through the lens on advantages, what can be sampled in this state."""
        elsewhere = look.temperature != look.objective.temperature  # what is sampled has no place beside these bars
        if self.lens != "advantage" or look.state.done or self.stepper.stale or elsewhere:
            return ()
        words = "continuations of each"
        go = (
            self.work_button("compare", "Compare", self.compare),
            number("samples", words, str(self.worth.samples), self._set_samples, disabled=self.busy),
            *(() if is_known_exactly(self.stepper) else (self.work_button("sample", "Sample Q", self.sample_q),)),
            self.work_progress("sampling-progress", "sample", "compare"),
        )
        found = self.worth.compared(self.stepper, look.at)
        return comparison(self.stepper, look.at, self.worth.pair, found, on_choose=self.worth.choose, go=go)

    def _stage(self, look: StepperView) -> str:
        """Return where in the loop the learner looks."""
        if self.lens != "policy":
            return self.lens
        return "state" if look.token is None else "action"

    # What the learner can do.

    def step(self) -> None:
        """Sample the next token."""
        self._catch_up()
        self.stepper.step()
        self._to_the_end()

    def five(self) -> None:
        """Sample up to five tokens."""
        self._catch_up()
        for _ in range(5):
            if not self.stepper.done:
                self.stepper.step()
        self._to_the_end()

    def finish(self) -> None:
        """Sample to the end of the line in the background."""
        self.work("finish", "writing to the end of the line", self._finish)

    def sample_q(self) -> None:
        """Continue every candidate of the chosen state."""
        stepper, look = self.stepper, self._look()
        tokens = bar_tokens(look.state, look.token)
        self.work(
            "sample",
            "continuations of each token",
            lambda job: self.worth.sample(stepper, look.at, tokens, job),
        )

    def compare(self) -> None:
        """Compare two tokens in the chosen state."""
        stepper, at = self.stepper, self.selected
        pair = chosen(stepper, at, self.worth.pair)
        check_different(stepper, pair)
        self.work("compare", "two tokens", lambda job: self.worth.compare(stepper, at, pair, job))

    def back(self) -> None:
        """Take the last token away."""
        self.stepper.back()
        self._to_the_end()

    def begin(self, prompt: str) -> None:
        """Start a new line from a prompt; the other lines go."""
        self.stepper.reset(prompt)
        self.lines = BranchTree(self.stepper)
        self._to_the_end()

    def new_dice(self) -> None:
        """Start again with other random numbers."""
        self.new_seed(self.stepper.seed + 1)

    def new_seed(self, seed: int) -> None:
        """Start again with the random numbers of a seed."""
        self.stepper.seed = seed
        self.begin(self.stepper.prompt)

    def other_prompt(self) -> None:
        """Start from the world's next prompt."""
        prompts = self.stepper.world.prompts
        here = prompts.index(self.stepper.prompt) if self.stepper.prompt in prompts else -1
        self.begin(prompts[(here + 1) % len(prompts)])

    def write(self, token_id: int) -> None:
        """Write a token of the learner's choice; in a past state that begins a new line."""
        self._catch_up()
        at = self.selected
        if at == len(self.stepper.steps):
            self.stepper.step(token_id)
        else:
            self.stepper = self.lines.branch(at, token_id)
        self.selected = at + 1

    def choose_state(self, t: int) -> None:
        """Look at the state after t tokens."""
        self.selected = t

    def choose_lens(self, lens: str) -> None:
        """Look through another lens."""
        self.lens, self.show = lens, FIRST_SHOWN[lens]

    def choose_line(self, number: str) -> None:
        """Go to another line."""
        self.stepper = self.lines.go_to(int(number))
        self._to_the_end()

    def choose_branch(self, number: int, t: int) -> None:
        """Go to a state of another line."""
        self.stepper, self.selected = self.lines.go_to(number), t

    def choose_world(self, name: str) -> None:
        """Go to another world; the one that the panel was given is kept as it is."""
        world = self._worlds.named(name)
        stepper = Stepper(world, seed=self.stepper.seed)
        self.stepper, self.lines = stepper, BranchTree(stepper)
        self.worth.samples = usual_samples(world)
        self._to_the_end()

    # Inside.

    def _seen(self, lens: str) -> bool:
        """Tell whether a lens is the present one or comes before it."""
        return LENSES.index(lens) <= LENSES.index(self.lens)

    def _catch_up(self) -> None:
        """Begin anew with the policy as it is now where nothing is written yet: nothing is lost by that."""
        if self.stepper.stale and not self.stepper.steps and len(self.lines) == 1:
            self.begin(self.stepper.prompt)

    def _to_the_end(self) -> None:
        self.selected = len(self.stepper.steps)

    def _finish(self, job: Job) -> None:
        """Write token by token, each under the panel's lock, so that pictures in between are whole."""
        while not self.stepper.done and not job.stopped:
            with self._lock:
                self.step()
            job.report(len(self.stepper.steps), 0, "writing")

    def _choose_show(self, key: str) -> None:
        self.show = key

    def _set_samples(self, value: object) -> None:
        self.worth.samples = read_samples(value)
