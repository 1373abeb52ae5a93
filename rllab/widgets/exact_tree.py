"""The exact tree: walk through all responses of a world, with Bellman's equation written out in each state."""

from __future__ import annotations

import dataclasses

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.plots.text import MINUS, fixed, plain, probability, significant
from rllab.plots.trees import path_tree
from rllab.truth import Tree, exact
from rllab.truth.enumeration import check_size
from rllab.widgets.engine.charts import bars, chart, chips, visible
from rllab.widgets.engine.components import (
    Component,
    Words,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    number,
    read_whole,
    row,
    term,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.tokens import number_chips, prompt_choice, token_names
from rllab.widgets.shared.truth import (
    Backup,
    Cut,
    backup_table,
    candidate_actions,
    first_look,
    read_backup,
    small_tree,
    written,
)
from rllab.widgets.shared.worlds import WorldPanel, called, stale_notice
from rllab.worlds import World


class ExactTreePanel(WorldPanel):
    """Walk through the tree of one prompt; `panel.tree` is the whole of it, `panel.prefix` where you are.

    A world too large for that is cut: the most probable tokens of each state are followed, to a horizon (`panel.cut`),
    in the background; a cut that would still be too large is refused.

    Args:
        world: The world.
        prompt: The first prompt; by default the world's first.
    """

    title = "Exact tree"

    def __init__(self, world: World, *, prompt: str = "") -> None:
        self.world, self.prompt = world, prompt or world.prompts[0]
        self.tree: Tree | None = None
        self.prefix: tuple[int, ...] = ()
        self.cut = Cut(0, world.max_new_tokens, world.max_new_tokens)
        super().__init__(world)
        self.act("Read the tree", lambda: self._begin(world, self.prompt))

    def view(self) -> View:
        """Return the path, the state at its end and its backup."""
        tree = self.tree
        if tree is None:
            which = "Every response" if self.cut.is_whole else "Every response within the cut"
            words = f"{which} is read once, from the longest back to the prompt. Then every value is known."
            return View(body=(self._choices(), *self._cutting(stale=True)), reading=(words,))
        stale, backup = tree.weights is not tree.policy.weights, read_backup(tree, self.prefix)
        remedy = "Read the tree again with the current policy"
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(tree.leaves):,} responses"),
            body=(
                self._choices(),
                *self._cutting(stale=stale),
                *stale_notice("this tree was read", remedy, stale=stale),
                self._strip(tree),
                self._picture(tree),
                *self._state(tree, backup),
                note("objective", f"A value here is the {tree.objective.describe()}."),
            ),
            reading=self._words(tree, backup),
            badges=("exact" if self.cut.is_whole else "cut",),
            foot=("keys: b one token back, r to the prompt; arrows move along the tokens and the bars",),
            shortcuts={"b": "back", "r": "start"},
        )

    def _choices(self) -> Component:
        still = self.busy or self.tree is None or not self.prefix
        return row(
            "choices",
            self.world_choice(self.world),
            prompt_choice(self.world, self.prompt, self._choose_prompt, disabled=self.busy),
            button("back", "One token back", lambda: self._move(self.prefix[:-1]), disabled=still),
            button("start", "To the prompt", lambda: self._move(()), disabled=still),
        )

    def _cutting(self, *, stale: bool) -> tuple[Component, ...]:
        cut, busy = self.cut, self.busy
        fields = row(
            "cut",
            number("top-k", "top-k (0: all)", str(cut.top_k), self._set_top_k, disabled=busy),
            number("horizon", "horizon", str(cut.horizon), self._set_horizon, disabled=busy),
            button("grow", "Read the tree", self.grow, main=True, disabled=busy or not stale),
            *self.working(),
        )
        return fields, note("cut-note", cut.words)

    def _strip(self, tree: Tree) -> Component:
        """Return the tokens of the path, each with its advantage as its bar has it."""
        moved = []
        for at, token in enumerate(self.prefix):
            state = self.prefix[:at]
            moved.append(written(written(float(tree.Q(state)[token])) - written(tree.V(state))))
        return chips(
            "strip",
            "Tokens with their advantage; choosing one shows the state before it",
            number_chips(token_names(self.world.policy, self.prefix), moved),
            lambda length: self._move(self.prefix[:length]),
            quantity="A",
            prompt=token_names(self.world.policy, self.world.policy.encode(self.prompt)),
            selected=len(self.prefix),
            next_name="the state on the screen",
        )

    def _picture(self, tree: Tree) -> Component:
        states = [read_backup(tree, self.prefix[:at]) for at in range(len(self.prefix) + 1)]
        taken = [*self.prefix, None]
        values = [state.value for state in states if not state.over]
        stages = [
            candidate_actions(state, self._name, taken=taken[at]) for at, state in enumerate(states) if not state.over
        ]
        drawn = path_tree(values, stages, depth=len(tree.levels))
        alt = "V of each state on the path, and Q of every token that could follow; the table below has the last state"
        return chart("tree", drawn, alt, height=300, on_set=self._click)

    def _state(self, tree: Tree, backup: Backup) -> tuple[Component, ...]:
        if backup.over:
            why = "over here" if self.prefix[-1] == self.world.policy.eos_id else "cut off here"
            return (note("over", f"The response is {why}: nothing follows, so V = 0. Go one token back."),)
        q = term("Q", "The return to expect from here on if this token is written now.")
        left = group(
            "left",
            heading("left-title", "Click a token to go there"),
            bars("bars", "Tokens that can follow", backup.bars(self._name), self._go_to, stamp=str(self.prefix)),
            note("left-note", "bar: \u03c0 \u00b7 A = ", q, f" {MINUS} V: better or worse than usual here"),
        )
        right = group(
            "right",
            heading("right-title", "V = the average of Q, weighted by how often the policy writes each token"),
            backup_table("backup", backup, self._name, gamma=tree.objective.gamma),
        )
        return (columns("pictures", left, right),)

    def _words(self, tree: Tree, backup: Backup) -> Words:
        """Return what the state is worth, its best token, and at the prompt how good a policy could be."""
        if backup.over:
            return ("The response is over. What it earned is shown at the token that ended it, as its Q.",)
        best = max(backup.edges, key=lambda edge: edge.q)
        at = backup.edges.index(best)
        q, advantage = (fixed(numbers[at], signed=True) for numbers in (backup.q, backup.advantages))
        words: Words = (
            "V = ",
            bold(fixed(backup.value, signed=True)),
            " is the average of Q over what the policy writes here. ",
            bold(self._name(best.token_id)),
            f" is worth the most: Q {q}, A {advantage}, and the policy writes it with probability ",
            f"{probability(best.prob)}.",
        )
        beta = tree.objective.kl_coef
        if self.prefix or beta <= 0 or tree.objective.gamma != 1:
            return words  # how far the policy is from the best one is known where divergence has a price
        optimum = tree.optimum()
        gap = (
            f" The best policy at this price of KL would reach {fixed(optimum.J, signed=True)}: "
            f"the gap of {fixed(optimum.J - tree.J)} is that price times the KL from \u03c0 to it, "
            f"{plain(beta)} \u00d7 {significant(tree.kl(optimum))} nats."
        )
        return (*words, gap)

    # What the learner can do.

    def grow(self) -> None:
        """Read the tree of the present prompt: at once where it is small and whole, else in the background."""
        world, prompt, cut = self.world, self.prompt, self.cut
        tree = small_tree(world, prompt) if cut.is_whole else None
        if tree is not None:
            self.tree, self.prefix = tree, ()
            return
        check_size(world.policy, world.policy.encode(prompt), horizon=cut.horizon, top_k=cut.top_k)
        self.tree = None

        def work(job: Job) -> None:
            tree = exact(world, prompt, top_k=cut.top_k, horizon=cut.horizon, job=job)
            with self._lock:
                self.tree, self.prefix = tree, ()

        self.start_job("reading the tree", work)

    def _choose_prompt(self, prompt: str) -> None:
        """Go to the tree of another prompt."""
        self._begin(self.world, prompt)

    def enter(self, world: World) -> None:
        """Begin in a world: with its whole tree where that is small, else with a first cut.

        Args:
            world: The world.
        """
        self._begin(world, world.prompts[0])

    def _name(self, token: int) -> str:
        return visible(self.world.policy.token_text(token))

    def _set_top_k(self, value: object) -> None:
        top_k, most = read_whole("top-k", value), self.world.policy.vocabulary
        if not 0 <= top_k <= most:
            raise LabError("top-k", top_k, f"choose from 1 to {most}, or 0 for all")
        self._begin(self.world, self.prompt, dataclasses.replace(self.cut, top_k=top_k % most))

    def _set_horizon(self, value: object) -> None:
        horizon = read_whole("horizon", value, low=1, high=self.cut.longest)
        self._begin(self.world, self.prompt, dataclasses.replace(self.cut, horizon=horizon))

    def _begin(self, world: World, prompt: str, cut: Cut | None = None) -> None:
        """Change world, prompt and cut together; back to the old ones if the new tree cannot be read."""
        before = self.world, self.prompt, self.cut, self.tree, self.prefix
        try:
            self.world, self.prompt, self.cut = world, prompt, cut or first_look(world, prompt)
            self.grow()
        except LabError:
            self.world, self.prompt, self.cut, self.tree, self.prefix = before
            raise

    def _go_to(self, token: int) -> None:
        self._move((*self.prefix, token))

    def _move(self, prefix: tuple[int, ...]) -> None:
        if self.tree is not None:
            self.tree.V(prefix)  # raises for a prefix that leaves the tree
            self.prefix = prefix

    def _click(self, where: dict[str, int]) -> None:
        """Go where a dot of the picture leads; a square is a state of the path."""
        curve, stage = int(where["curve"]), int(where["point"])
        if self.tree is None or not 0 <= stage <= len(self.prefix):
            return
        state = self.prefix[:stage]
        actions = read_backup(self.tree, state).edges
        if curve == 0:
            self._move(state)
        elif 0 < curve <= len(actions):
            self._move((*state, actions[curve - 1].token_id))
