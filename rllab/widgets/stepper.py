"""The token stepper: one line of text, token by token, seen through one lens after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.core.notation import label
from rllab.plots.states import Outlook
from rllab.plots.text import plain
from rllab.plots.trees import Branch, branch_tree, height_of
from rllab.truth.estimates import Candidates, candidates, lookahead, of_tree
from rllab.truth.what_if import WhatIf
from rllab.value.critic import ZeroCritic
from rllab.widgets.engine.charts import chart, visible
from rllab.widgets.engine.components import (
    BADGES,
    Component,
    Option,
    button,
    columns,
    fold,
    group,
    heading,
    number,
    radios,
    read_number,
    read_whole,
    ring,
    row,
    select,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.line import Line, read_line
from rllab.widgets.shared.truth import (
    SEED,
    UNCHOSEN,
    Pair,
    check_different,
    chosen,
    compare,
    comparison,
    is_small,
    read_samples,
    small_tree,
    what_if_words,
)
from rllab.widgets.shared.worlds import WorldPanel, stale_notice, usual_samples
from rllab.widgets.stepper_captions import (
    FIRST_SHOWN,
    READINGS,
    SHOWS,
    StepperView,
    bar_tokens,
    candidate_bars,
    line_picture,
    strip,
)
from rllab.worlds import World
from rllab.worlds.responses import kind_of
from rllab.worlds.stepper import BranchTree, Stepper

LENSES = ("policy", "reward", "value", "advantage")
STAGES = ("state", "action", "reward", "value", "advantage", "update")
COMPARING = "comparing two tokens"  # the name of that job
UNKNOWN = Outlook("", (), ())
HIGHEST_SEED = 2**32 - 1
KEPT = 200  # states whose values are remembered

Place = tuple[object, ...]  # a state of a policy under an objective


@dataclass
class CandidateValues:
    """What the candidates of a state are worth, in the best way known: exact, sampled here, or by the critic.

    What was found is right only for the policy and the critic as they are now.
    """

    samples: int
    pair: Pair = UNCHOSEN
    _known: dict[Place, Candidates] = field(default_factory=dict)
    _what_if: tuple[Place, WhatIf] | None = None

    def candidates(self, stepper: Stepper, t: int, tokens: tuple[int, ...]) -> Candidates | None:
        """Return Q of some tokens in a state; None where it is not known or nothing can follow.

        Args:
            stepper: The line.
            t: The state after so many tokens of it.
            tokens: Token ids.
        """
        over = stepper.done and t == len(stepper.steps)
        if over or stepper.stale or stepper.temperature_at(t) != stepper.world.objective.temperature:
            return None
        place = (*_place(stepper, t), tokens)
        if place not in self._known:
            tree = small_tree(stepper.world, stepper.prompt)
            if tree is not None:
                self._keep(place, of_tree(tree, stepper.prefix_ids[:t], tokens))
            elif not isinstance(stepper.world.critic, ZeroCritic):
                self._keep(place, lookahead(stepper, t, tokens))
        return self._known.get(place)

    def outlook(self, stepper: Stepper, line: Line) -> Outlook:
        """Return V along a line and Q of its tokens, as far as that costs no sampling.

        Args:
            stepper: The line.
            line: What was read of it.
        """
        world, tree = stepper.world, None if stepper.stale else small_tree(stepper.world, stepper.prompt)
        if tree is not None:
            kind, values = "exact", [tree.V(stepper.prefix_ids[:t]) for t in range(len(line.written) + 1)]
        elif not isinstance(world.critic, ZeroCritic):
            kind, values = "learned", [*line.values[:-1], 0.0 if line.end.done else line.values[-1]]
        else:
            return UNKNOWN
        gamma = world.objective.gamma
        q = [scored.reward + gamma * after for scored, after in zip(line.written, values[1:], strict=True)]
        return Outlook(kind, tuple(values), tuple(q))

    def sample(self, stepper: Stepper, t: int, tokens: tuple[int, ...], job: Job) -> None:
        """Continue every candidate of a state, as a job.

        Args:
            stepper: The line.
            t: The state after so many tokens of it.
            tokens: The candidates.
            job: Stops it and shows how far it is.
        """
        world, prompt, prefix, place = stepper.world, stepper.prompt, stepper.prefix_ids[:t], _place(stepper, t)
        found = candidates(world, prompt, prefix, tokens, "monte-carlo", samples=self.samples, seed=SEED, job=job)
        self._keep((*place, tokens), found)

    def compare(self, stepper: Stepper, t: int, pair: Pair, job: Job) -> None:
        """Continue two tokens of a state with the same random numbers, as a job.

        Args:
            stepper: The line.
            t: The state after so many tokens of it.
            pair: The two tokens.
            job: Stops it and shows how far it is.
        """
        place = _place(stepper, t)
        self._what_if = place, compare(stepper, t, pair, samples=self.samples, job=job)

    def compared(self, stepper: Stepper, t: int) -> WhatIf | None:
        """Return the comparison that was made in a state, if any.

        Args:
            stepper: The line.
            t: The state after so many tokens of it.
        """
        return self._what_if[1] if self._what_if is not None and self._what_if[0] == _place(stepper, t) else None

    def choose(self, pair: Pair) -> None:
        """Choose two tokens to compare; what was found for others goes.

        Args:
            pair: The two tokens.
        """
        self.pair, self._what_if = pair, None

    def _keep(self, place: Place, found: Candidates) -> None:
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[place] = found


def _place(stepper: Stepper, t: int) -> Place:
    world = stepper.world
    return (world.policy.weights, world.objective, world.critic, stepper.prompt, stepper.prefix_ids[:t])


class StepperPanel(WorldPanel):
    """Write a text token by token; see how policy, reward and critic judge every state.

    The line on the screen is `panel.stepper`, all lines are in `panel.lines`.

    Args:
        source: A world, or a stepper to go on with.
        lenses: What the learner has met so far; the last one is looked through first.
        seed: Of the random numbers that draw the tokens.

    Raises:
        LabError: There is no such lens, or none is given.
    """

    title = "Token stepper"

    def __init__(self, source: World | Stepper, *, lenses: Sequence[str] = ("policy",), seed: int = 0) -> None:
        for lens in lenses:
            if lens not in LENSES:
                raise LabError.choice("lens", lens, LENSES)
        if not lenses:
            raise LabError("lenses", tuple(lenses), f"choose at least one of {', '.join(LENSES)}")
        self.stepper = source if isinstance(source, Stepper) else Stepper(source, seed=seed)
        self.lines = BranchTree(self.stepper)
        self.worth = CandidateValues(usual_samples(self.stepper.world))
        self.selected = len(self.stepper.steps)
        self.lenses = tuple(lens for lens in LENSES if lens in lenses)
        self.lens = lenses[-1]
        self.show = FIRST_SHOWN[self.lens]
        super().__init__(self.stepper.world)

    def view(self) -> View:
        """Return the line, its candidates, its curves and the sentence about them."""
        view, stepper = self.snapshot(), self.stepper
        stamp = f"{self.lines.here}.{len(view.line.written)}"  # what is pressed on an older picture is dropped
        begun, remedy = "this line was begun", "Reset starts a new line with the current policy"
        bars = candidate_bars(view, stepper.world.policy, self.write, stamp=f"{stamp}.{view.at}")
        curves = line_picture(view, lens=self.lens, reward=stepper.world.reward.name)
        asked = self.lens == "advantage"
        found = self.worth.compared(stepper, view.at) if asked else None
        words = READINGS[self.lens](view)
        if found is not None and self.job is not None and self.job.name == COMPARING:
            words = what_if_words(stepper, view.at, self.worth.pair, found)
        stage = self.lens if self.lens != "policy" else "state" if view.token is None else "action"
        return View(
            aside=ring("ring", STAGES, stage),
            body=(
                self._prompt(),
                self._controls(),
                self._lenses(),
                strip(view, SHOWS[self.show], self.choose_state, stamp=stamp, over=stepper.done),
                *stale_notice(begun, remedy, stale=stepper.stale),
                *self._branches(),
                columns("pictures", bars, curves),
                *(self._sampling(view, found) if asked else ()),
            ),
            reading=words,
            badges=self._badges(view, found),
            foot=("keys: s step, 5 five steps, f finish, b back, r reset; arrows move along the tokens",),
            shortcuts={"s": "step", "5": "five", "f": "finish", "b": "back", "r": "reset"},
        )

    def snapshot(self) -> StepperView:
        """Return the line, the chosen state and, through the lens for it, what its candidates are worth."""
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

    def _prompt(self) -> Component:
        return row(
            "where",
            self.world_choice(self.stepper.world),
            text("prompt", "Prompt", self.stepper.prompt, lambda value: self.begin(str(value)), disabled=self.busy),
            button("other", "Other prompt", self.other_prompt, disabled=self.busy),
        )

    def _controls(self) -> Component:
        busy, done = self.busy, self.stepper.done
        return row(
            "controls",
            button("step", "Step", self.step, main=True, disabled=busy or done),
            button("five", "Step 5", self.five, disabled=busy or done),
            button("finish", "Finish", self.finish, disabled=busy or done),
            button("back", "Back", self.back, disabled=busy or not self.stepper.steps),
            button("reset", "Reset", lambda: self.begin(self.stepper.prompt), disabled=busy),
            button("new-seed", "New seed", lambda: self.new_seed(self.stepper.seed + 1), disabled=busy),
            self._settings(),
            *self.working(),
        )

    def _settings(self) -> Component:
        """Return the folded settings: how tokens are sampled; a new seed starts the line again."""
        stepper = self.stepper
        now = {"temperature": stepper.temperature, "top-k": stepper.top_k, "top-p": stepper.top_p}

        def setting(key: str, name: str, read: Callable[[str, object], float]) -> Component:
            def change(value: object) -> None:
                new = now | {key: read(key, value)}
                stepper.set_sampling(temperature=new["temperature"], top_k=int(new["top-k"]), top_p=new["top-p"])

            return number(key, name, plain(now[key]), change, disabled=self.busy)

        fields = (
            setting("temperature", "temperature", read_number),
            setting("top-k", "top-k (0: all)", read_whole),
            setting("top-p", "top-p", read_number),
            number("seed", "seed", str(stepper.seed), self._set_seed, disabled=self.busy),
        )
        return fold("sampling", "Sampling", row("sampling-fields", *fields))

    def _lenses(self) -> Component:
        seen = LENSES[: LENSES.index(self.lens) + 1]
        modes = [Option(lens, lens if lens == self.lenses[0] else f"+ {lens}") for lens in self.lenses]
        shows = [Option(key, show.name) for key, show in SHOWS.items() if show.lens in seen]
        parts = [radios("lens", "Lens", modes, self.lens, self._choose_lens)] if len(modes) > 1 else []
        if len(self.lines) > 1:
            lines = []
            for branch in self.lines.branches:
                ending = " ".join(visible(step.token) for step in branch.stepper.steps[-4:])
                lines.append(Option(str(branch.number), f"{label(branch.number)}: \u2026 {ending}"))
            parts.append(select("line", "line", lines, str(self.lines.here), self._choose_line, show_label=True))
        shown = select("show", "chips show", shows, self.show, self._choose_show, show_label=True)
        return row("lenses", *parts, shown, end=True)

    def _branches(self) -> tuple[Component, ...]:
        """Return the lines as a tree, once there is more than one; a click goes to a line and a state of it."""
        if len(self.lines) == 1:
            return ()
        rows = self.lines.rows()
        branches = [
            Branch(str(label(line.number)), line.above, line.at, [visible(step.token) for step in line.steps])
            for line in rows
        ]
        here = next(at for at, line in enumerate(rows) if line.number == self.lines.here)

        def go(where: dict[str, int]) -> None:
            at, point = int(where["curve"]) - 1, int(where["point"])
            if not 0 <= at < len(rows):
                return
            first = 0 if at == 0 else rows[at].at + 1
            if 0 <= point < len(rows[at].steps) + (at == 0):
                self._choose_branch(rows[at].number, first + point)

        drawn = branch_tree(branches, here=here, selected=self.selected)
        words = "Your lines; what they have in common is drawn once. Click a dot to go there"
        picture = chart("branches", drawn, words, height=height_of(len(rows)), on_set=go)
        return (group("tree", heading("tree-title", words), picture),)

    def _sampling(self, view: StepperView, found: WhatIf | None) -> tuple[Component, ...]:
        """Return what can be sampled in the chosen state."""
        elsewhere = view.temperature != view.objective.temperature  # sampled values do not belong to these bars
        if view.state.done or self.stepper.stale or elsewhere:
            return ()
        exact = is_small(self.stepper.world, self.stepper.prompt)
        go = (
            button("compare", "Compare", self.compare, disabled=self.busy),
            number("samples", "continuations of each", str(self.worth.samples), self._set_samples, disabled=self.busy),
            *(() if exact else (button("sample", "Sample Q", self.sample_q, disabled=self.busy),)),
        )
        return comparison(self.stepper, view.at, self.worth.pair, found, on_choose=self.worth.choose, go=go)

    def _badges(self, view: StepperView, found: WhatIf | None) -> tuple[str, ...]:
        """Return the kinds of all values on the screen."""
        plain = {"policy": "exact", "reward": kind_of(self.stepper.world.objective.reward), "value": "learned"}
        if self.lens in plain:
            return (plain[self.lens],)
        kinds = {view.outlook.kind, view.worth.value.kind if view.worth is not None else ""}
        kinds |= {"monte-carlo"} if found is not None else set()
        return tuple(kind for kind in BADGES if kind in kinds)

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

        def work(job: Job) -> None:
            while not self.stepper.done:
                job.check()
                with self._lock:  # a picture in between is whole
                    self.step()
                job.report(len(self.stepper.steps), 0, "writing")

        self.start_job("writing to the end of the line", work)

    def sample_q(self) -> None:
        """Continue every candidate of the chosen state."""
        stepper, view = self.stepper, self.snapshot()
        tokens = bar_tokens(view.state, view.token)
        self.start_job("continuing each token", lambda job: self.worth.sample(stepper, view.at, tokens, job))

    def compare(self) -> None:
        """Compare two tokens in the chosen state."""
        stepper, at = self.stepper, self.selected
        pair = chosen(stepper, at, self.worth.pair)
        check_different(stepper, pair)
        self.start_job(COMPARING, lambda job: self.worth.compare(stepper, at, pair, job))

    def back(self) -> None:
        """Remove the last token."""
        self.stepper.back()
        self._to_the_end()

    def begin(self, prompt: str) -> None:
        """Start a new line from a prompt; the other lines go.

        Args:
            prompt: The prompt; one that cannot be read leaves the line as it is.
        """
        self.stepper.reset(prompt)
        self.lines = BranchTree(self.stepper)
        self._to_the_end()

    def new_seed(self, seed: int) -> None:
        """Start again with the random numbers of another seed.

        Args:
            seed: The seed.
        """
        self.stepper.seed = seed
        self.begin(self.stepper.prompt)

    def other_prompt(self) -> None:
        """Start from the world's next prompt."""
        prompts = self.stepper.world.prompts
        here = prompts.index(self.stepper.prompt) if self.stepper.prompt in prompts else -1
        self.begin(prompts[(here + 1) % len(prompts)])

    def write(self, token_id: int) -> None:
        """Write a token of the learner's choice; in a past state that begins a new line.

        Args:
            token_id: The token.
        """
        self._catch_up()
        at = self.selected
        if at == len(self.stepper.steps):
            self.stepper.step(token_id)
        else:
            self.stepper = self.lines.branch(at, token_id)
        self.selected = at + 1

    def choose_state(self, t: int) -> None:
        """Look at a state of the line.

        Args:
            t: The state after so many tokens.
        """
        self.selected = t

    def _choose_lens(self, lens: str) -> None:
        """Look through another lens."""
        self.lens, self.show = lens, FIRST_SHOWN[lens]

    def _choose_line(self, number: str) -> None:
        """Go to the end of another line."""
        self.stepper = self.lines.go_to(int(number))
        self._to_the_end()

    def _choose_branch(self, number: int, t: int) -> None:
        """Go to a state of another line."""
        self.stepper, self.selected = self.lines.go_to(number), t

    def enter(self, world: World) -> None:
        """Begin a new line in a world.

        Args:
            world: The world.
        """
        self.stepper = Stepper(world, seed=self.stepper.seed)
        self.lines = BranchTree(self.stepper)
        self.worth.samples = usual_samples(world)
        self._to_the_end()

    def _catch_up(self) -> None:
        """Begin again with the current policy where nothing is written yet: nothing is lost by that."""
        if self.stepper.stale and not self.stepper.steps and len(self.lines) == 1:
            self.begin(self.stepper.prompt)

    def _to_the_end(self) -> None:
        self.selected = len(self.stepper.steps)

    def _choose_show(self, key: str) -> None:
        self.show = key

    def _set_samples(self, value: object) -> None:
        self.worth.samples = read_samples(value)

    def _set_seed(self, value: object) -> None:
        self.new_seed(read_whole("seed", value, low=0, high=HIGHEST_SEED))
