"""The exact tree: walk through all responses of a world, with Bellman's equation written out in each state."""

from __future__ import annotations

import dataclasses

from rllab.core.errors import LabError
from rllab.core.jobs import Job, Progress
from rllab.plots.text import MINUS, fixed, plain, probability, significant
from rllab.plots.trees import path_tree
from rllab.truth import Tree, exact
from rllab.truth.enumeration import check_size
from rllab.widgets.engine.charts import Chip, bars, chart, chips, tint
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    number,
    progress,
    row,
    select,
    term,
)
from rllab.widgets.engine.fields import read_whole
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.engine.text import visible
from rllab.widgets.shared.backup import Backup, backup_table, candidate_actions, read_backup, written
from rllab.widgets.shared.known import Cut, first_look, small_tree
from rllab.widgets.shared.pace import with_time_left
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World


class ExactTreePanel(Panel):
    """Walk through the tree of one prompt; `panel.tree` is the whole of it, `panel.prefix` where you are.

    A world too large for that is cut: the likeliest tokens of each state are followed, to a horizon (`panel.cut`), in
    the background; what would still take too much is refused.
    """

    title = "Exact tree"

    def __init__(self, world: World, *, prompt: str = "") -> None:
        self.world, self.prompt = world, prompt or world.prompts[0]
        self.tree: Tree | None = None
        self.prefix: tuple[int, ...] = ()
        self.cut = Cut(0, world.max_new_tokens, world.max_new_tokens)
        self._worlds = Worlds(world)
        super().__init__()
        self._answer("Grow the tree", lambda: self._begin(world, self.prompt))

    def view(self) -> View:
        """Draw the path, the state at its end and what is added up there."""
        if self.tree is None:
            return View(body=(self._choices(), self._cutting(), self._growth()), reading=self._waiting())
        backup = read_backup(self.tree, self.prefix)
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(self.tree.leaves):,} responses"),
            body=(
                self._choices(),
                self._cutting(),
                *self._stale(),
                self._strip(),
                self._picture(),
                *self._state(backup),
                note("objective", f"A value here is the {self.tree.objective.describe()}."),
            ),
            reading=self._words(backup),
            badges=("exact" if self.cut.is_whole else "cut",),
            foot=("keys: b one token back, r to the prompt; arrows move along the tokens and the bars",),
            shortcuts={"b": "back", "r": "start"},
        )

    def _choices(self) -> Component:
        prompts = [Option(one, one) for one in dict.fromkeys([self.prompt, *self.world.prompts])]
        here = not self.busy and self.tree is not None
        return row(
            "choices",
            self._worlds.choice(self.world, self.choose_world, disabled=self.busy),
            select("prompt", "Prompt", prompts, self.prompt, self.choose_prompt, show_label=True, disabled=self.busy),
            button("back", "One token back", self.back, disabled=not (here and self.prefix)),
            button("start", "To the prompt", self.to_the_prompt, disabled=not (here and self.prefix)),
        )

    def _cutting(self) -> Component:
        cut, busy = self.cut, self.busy
        return row(
            "cut",
            number("top-k", "top-k (0: all)", str(cut.top_k), self._set_top_k, disabled=busy),
            number("horizon", "horizon", str(cut.horizon), self._set_horizon, disabled=busy),
            note("cut-note", cut.words),
        )

    def _growth(self) -> Component:
        label = "Stop" if self.busy else "Read the tree"
        at = self.job.progress if self.job is not None and self.busy else Progress()
        bar = progress("growing", "The tree", at.done, at.total or 1, at.text)
        return row("growth", button("grow", label, self.grow_or_stop, main=True), bar)

    def _stale(self) -> tuple[Component, ...]:
        if self.tree is None or self.tree.weights is self.tree.policy.weights:
            return ()
        said = note("stale", "The policy has learned since this tree was read.")
        return (row("again", said, button("grow", "Read it again", self.grow_or_stop)),)

    def _strip(self) -> Component:
        moved = [self._advantage(at) for at in range(len(self.prefix))]
        scale = max([0.1, *map(abs, moved)])
        items = [
            Chip(self._name(token), number=fixed(change, signed=True), tint=tint(change, scale))
            for token, change in zip(self.prefix, moved, strict=True)
        ]
        return chips(
            "strip",
            "Tokens with their advantage; choosing one shows the state before it",
            items,
            self.go_back_to,
            quantity="A",
            prompt=[visible(self.world.policy.token_text(token)) for token in self.world.policy.encode(self.prompt)],
            selected=len(items),
            next_name="the state that is shown",
        )

    def _advantage(self, at: int) -> float:
        """Return A of a token of the path as its bar says it."""
        if self.tree is None:
            return 0.0
        value = self.tree.V(self.prefix[:at])
        return written(written(float(self.tree.Q(self.prefix[:at])[self.prefix[at]])) - written(value))

    def _picture(self) -> Component:
        if self.tree is None:
            raise LabError("tree", self.prompt, "read it first")
        tree, last = self.tree, len(self.prefix)
        states = [read_backup(tree, self.prefix[:at]) for at in range(last + 1)]
        values = [one.value for one in states if not one.over]
        taken = [*self.prefix, None]
        stages = [candidate_actions(one, self._name, taken=taken[at]) for at, one in enumerate(states) if not one.over]
        drawn = path_tree(values, stages, depth=len(tree.levels))
        alt = "V of each state on the path, and Q of every token that could follow; the table below has the last state"
        return chart("tree", drawn, alt, height=300, on_set=self._click)

    def _state(self, backup: Backup) -> tuple[Component, ...]:
        if backup.over:
            why = "over here" if self.prefix[-1] == self.world.policy.eos_id else "cut off here"
            return (note("over", f"The response is {why}: nothing follows, so V = 0. Go one token back."),)
        q = term("Q", "What can be expected from here on if this token is written now.")
        left = group(
            "left",
            heading("left-title", "Click a token to go there"),
            bars("bars", "Tokens that can follow", backup.bars(self._name), self.go_to, stamp=str(self.prefix)),
            note("left-note", "bar: \u03c0 \u00b7 A = ", q, f" {MINUS} V: better or worse than usual here"),
        )
        right = group(
            "right",
            heading("right-title", "V = the average of Q, each as often as the policy writes it"),
            backup_table("backup", backup, self._name, gamma=self._gamma),
        )
        return (columns("pictures", left, right),)

    # What the learner can do.

    def grow_or_stop(self) -> None:
        """Read the tree of the present prompt, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.grow()

    def grow(self) -> None:
        """Read the tree: at once where it is small and whole, else in the background."""
        tree = small_tree(self.world, self.prompt) if self.cut.is_whole else None
        if tree is not None:
            self._plant(tree)
            return
        policy = self.world.policy
        check_size(policy, policy.encode(self.prompt), horizon=self.cut.horizon, top_k=self.cut.top_k)
        self.tree = None
        self.start_job("reading the tree", self._grow)

    def choose_prompt(self, prompt: str) -> None:
        """Go to the tree of another prompt."""
        self._begin(self.world, prompt)

    def choose_world(self, name: str) -> None:
        """Go to another world, small enough to be whole or cut for a first look."""
        world = self._worlds.named(name)
        self._begin(world, world.prompts[0])

    def go_to(self, token: int) -> None:
        """Write one of the tokens that can follow."""
        self._move((*self.prefix, token))

    def go_back_to(self, length: int) -> None:
        """Go to the state after so many tokens of the path."""
        self._move(self.prefix[:length])

    def back(self) -> None:
        """Take the last token away."""
        self._move(self.prefix[:-1])

    def to_the_prompt(self) -> None:
        """Go to the state in which nothing is written yet."""
        self._move(())

    # Inside.

    @property
    def _gamma(self) -> float:
        return self.world.objective.gamma if self.tree is None else self.tree.objective.gamma

    def _name(self, token: int) -> str:
        return visible(self.world.policy.token_text(token))

    def _set_top_k(self, value: object) -> None:
        top_k, most = read_whole("top-k", value), self.world.policy.vocabulary
        if not 0 <= top_k <= most:
            raise LabError("top-k", top_k, f"choose from 1 to {most}, or 0 for all")
        self._begin(self.world, self.prompt, dataclasses.replace(self.cut, top_k=top_k % most))

    def _set_horizon(self, value: object) -> None:
        horizon, most = read_whole("horizon", value), self.cut.longest
        if not 1 <= horizon <= most:
            raise LabError("horizon", horizon, f"choose from 1 to {most}")
        self._begin(self.world, self.prompt, dataclasses.replace(self.cut, horizon=horizon))

    def _begin(self, world: World, prompt: str, cut: Cut | None = None) -> None:
        """Change world, prompt and cut together, back to the old ones if the new tree cannot be read."""
        before = self.world, self.prompt, self.cut, self.tree, self.prefix
        try:
            self.world, self.prompt, self.cut = world, prompt, cut or first_look(world, prompt)
            self.grow()
        except LabError:
            self.world, self.prompt, self.cut, self.tree, self.prefix = before
            raise

    def _grow(self, job: Job) -> None:
        cut = self.cut
        tree = exact(self.world, self.prompt, top_k=cut.top_k, horizon=cut.horizon, job=with_time_left(job))
        with self._lock:
            self._plant(tree)

    def _plant(self, tree: Tree) -> None:
        self.tree, self.prefix = tree, ()

    def _move(self, prefix: tuple[int, ...]) -> None:
        if self.tree is not None:
            self.tree.V(prefix)  # refuses a prefix that leaves the tree
            self.prefix = prefix

    def _click(self, where: dict[str, int]) -> None:
        """Go where a dot of the picture leads; a square is a state of the path."""
        curve, stage = int(where["curve"]), int(where["point"])
        if self.tree is None or not 0 <= stage <= len(self.prefix):
            return
        if curve == 0:
            self._move(self.prefix[:stage])
            return
        actions = read_backup(self.tree, self.prefix[:stage]).edges
        if 0 < curve <= len(actions):
            self._move((*self.prefix[:stage], actions[curve - 1].token_id))

    def _waiting(self) -> tuple[Span | str, ...]:
        which = "Every response" if self.cut.is_whole else "Every response within the cut"
        return (f"{which} is read once, from the longest one back to the prompt. Then every value is known.",)

    def _words(self, backup: Backup) -> tuple[Span | str, ...]:
        """Say what the state is worth, which token is worth most there, and at the prompt how good it could be."""
        if self.tree is None or backup.over:
            return ("The response is over. What it earned stands at the token that ended it, as its Q.",)
        best = max(backup.edges, key=lambda edge: edge.q)
        at = backup.edges.index(best)
        q, advantage = backup.q[at], backup.advantages[at]
        said: tuple[Span | str, ...] = (
            "V = ",
            bold(fixed(backup.value, signed=True)),
            " is the average of Q over what the policy writes here. ",
            bold(self._name(best.token_id)),
            f" is worth most: Q {fixed(q, signed=True)}, A {fixed(advantage, signed=True)}, ",
            f"and the policy writes it with probability {probability(best.prob)}.",
        )
        return said if self.prefix else (*said, self._gap(self.tree))

    def _gap(self, tree: Tree) -> str:
        """Say how far the policy is from the best one, which is known where divergence has a price."""
        beta = tree.objective.kl_coef
        if beta <= 0 or tree.objective.gamma != 1:
            return ""
        best = tree.optimum()
        reach, gap = fixed(best.J, signed=True), fixed(best.J - tree.J)
        divergence = f"{plain(beta)} \u00d7 {significant(tree.kl(best))} nats"
        return (
            f" The best policy at this price of KL would reach {reach}: the gap of {gap} is that price "
            f"times the KL from \u03c0 to it, {divergence}."
        )
