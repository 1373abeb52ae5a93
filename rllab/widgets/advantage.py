"""The advantage panel: who gets the credit, token by token with a critic, response by response without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.plots.states import credit_bars
from rllab.plots.text import apportioned, fixed, plain
from rllab.truth.groups import Group, credit, learned_values, no_values, sample_group, true_values
from rllab.value.critic import ZeroCritic
from rllab.widgets.engine.charts import Column, chart, chips, table
from rllab.widgets.engine.components import (
    Component,
    Option,
    Set,
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
    read_whole,
    row,
    select,
    slider,
    term,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.tokens import number_chips, prompt_choice, token_names
from rllab.widgets.shared.truth import is_small, small_tree, written
from rllab.widgets.shared.worlds import WorldPanel, called, stale_notice
from rllab.worlds import World

GAMMAS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
CRITICS = {"learned": "learned V", "exact": "exact V", "none": "no V"}
BADGE = {"learned": ("learned",), "exact": ("exact",), "none": ()}
START = "Press Write a group: the policy writes several responses to the prompt, and they are compared."
MOST = 64  # responses of a group
LONGEST = 60  # characters of a response in the table


@dataclass(frozen=True)
class Token:
    """One token's numbers as they are written: delta + later = advantage."""

    text: str
    reward: float
    delta: float
    later: float
    advantage: float


class AdvantagePanel(WorldPanel):
    """Look at one response of a group: rewards, TD errors, GAE; and at the group as RLOO and GRPO see it.

    The group is `panel.group`, written by the policy to one prompt; the arithmetic is the trainer's own.

    Args:
        world: The world whose policy writes.
        prompt: The first prompt; by default the world's first.
        samples: Responses of a group.
        seed: Of the random numbers that write them.
    """

    title = "Advantage"

    def __init__(self, world: World, *, prompt: str = "", samples: int = 4, seed: int = 0) -> None:
        self.world, self.prompt = world, prompt or world.prompts[0]
        self.samples, self.seed = samples, seed
        self.gamma, self.lam = world.objective.gamma, 0.95
        self.group: Group | None = None
        self._written_by: object = None  # the weights that wrote the group
        self.row, self.selected = 0, 0
        self.critic = "none" if isinstance(world.critic, ZeroCritic) else "learned"
        super().__init__(world)

    def view(self) -> View:
        """Return the group, and one response of it in detail."""
        if self.group is None:
            return View(body=(self._choices(), self._controls()), reading=(START,))
        tokens, truth = self._tokens(self.group), self._truth(self.group)
        earned = self.group.objective.describe().removeprefix("expected ")
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(self.group.rollout)} responses"),
            body=(
                self._choices(),
                self._controls(),
                self._dials(),
                *self._warning(),
                self._strip(tokens),
                columns("pictures", self._credit(tokens, truth), self._comparison(self.group)),
                note("objective", f"The rewards r of a response add up to the {earned}."),
            ),
            reading=self._words(tokens),
            badges=(*BADGE[self._kind], *(("exact",) if truth else ())),
            foot=("keys: w writes a group; arrows move along the tokens",),
            shortcuts={"w": "write"},
        )

    def _choices(self) -> Component:
        return row(
            "choices",
            self.world_choice(self.world),
            prompt_choice(self.world, self.prompt, self._choose_prompt, disabled=self.busy),
            number("samples", "responses", str(self.samples), self._set_samples, disabled=self.busy),
        )

    def _controls(self) -> Component:
        label = "Write a group" if self.group is None else "Write another group"
        parts = [button("write", label, self.write_group, main=True, disabled=self.busy)]
        if self.group is not None:
            rows = [Option(str(at), f"response {at + 1}") for at in range(len(self.group.rollout))]
            parts.append(select("row", "show", rows, str(self.row), self._choose_row, show_label=True))
        return row("controls", *parts, *self.working())

    def _dials(self) -> Component:
        def dial(key: str, label: str, stops: Sequence[float], now: float, on_set: Set) -> Component:
            options = [Option(str(at), plain(stop)) for at, stop in enumerate(stops)]
            return slider(key, label, options, min(range(len(stops)), key=lambda at: abs(stops[at] - now)), on_set)

        kinds = [Option(kind, CRITICS[kind]) for kind in self._kinds]
        return row(
            "dials",
            radios("critic", "Critic", kinds, self._kind, self._set_critic),
            dial("gamma", "\u03b3", GAMMAS, self.gamma, self._set_gamma),
            dial("lam", "\u03bb", LAMBDAS, self.lam, self._set_lam),
        )

    def _warning(self) -> tuple[Component, ...]:
        own = self.world.objective.gamma
        if self._kind == "learned" and self.gamma != own and not self._is_stale:
            words = f"The critic has learned V for \u03b3 = {plain(own)}; at {plain(self.gamma)} it is off."
            return (finding("discount", words),)
        remedy = "Write another group with the current policy"
        return stale_notice("this group was written", remedy, stale=self._is_stale)

    def _strip(self, tokens: Sequence[Token]) -> Component:
        return chips(
            "strip",
            "Tokens with their advantage; choosing one shows how it is computed",
            number_chips([token.text for token in tokens], [token.advantage for token in tokens]),
            self._select,
            prompt=token_names(self.world.policy, self.world.policy.encode(self._prompt)),
            selected=self.selected,
            quantity="advantage",
            stamp=f"{self.seed}.{self.row}",
        )

    def _credit(self, tokens: Sequence[Token], truth: Sequence[float]) -> Component:
        """Return the picture of one response, with its two terms explained."""
        delta = term(
            "TD error \u03b4", "\u03b4 = r + \u03b3 V(next state) \u2212 V(this state): what this token changed."
        )
        gae = term("GAE", "Its own TD error, and those of later tokens with one more factor \u03b3\u03bb per token.")
        drawn = credit_bars(
            [token.text for token in tokens],
            rewards=[token.reward for token in tokens],
            deltas=[token.delta for token in tokens],
            advantages=[token.advantage for token in tokens],
            exact=truth,
            selected=self.selected,
        )
        title = heading("left-title", "bars: ", delta, " \u00b7 line: ", gae)
        return group("left", title, chart("credit", drawn, "Reward, TD error and advantage of each token"))

    def _comparison(self, made: Group) -> Component:
        """Return the group as the methods without a critic see it."""
        texts, size = made.rollout.responses, len(made.rollout)
        numbers = (made.totals, made.leave_one_out, made.relative(scale=False), made.relative(scale=True))
        heads = [Column("response"), *(Column(name, numeric=True) for name in ("earned", "RLOO", "Dr. GRPO", "GRPO"))]
        rows = []
        for at, response in enumerate(texts):
            short = response if len(response) <= LONGEST else f"{response[: LONGEST - 1]}\u2026"
            cells = [short, *(fixed(float(column[at]), signed=True) for column in numbers)]
            rows.append([Span(cell, bold=at == self.row) for cell in cells])
        words = (
            f"RLOO: minus the mean of the other {size - 1}; Dr. GRPO: minus the mean of all, "
            f"which gives {size - 1}/{size} of RLOO's; GRPO: that divided by the group's standard deviation."
        )
        return group(
            "right",
            heading("right-title", "Without a critic: each response compared with the others of its group"),
            table("group", "The same group, compared", heads, rows),
            note("right-note", words),
        )

    def _words(self, tokens: Sequence[Token]) -> Words:
        """Return what the selected token's advantage consists of."""
        token, decay = tokens[self.selected], plain(self.gamma * self.lam)
        paid = "nothing was paid for it" if token.reward == 0 else f"it was paid {fixed(token.reward, signed=True)}"
        later = f"and {fixed(token.later, signed=True)} comes from later tokens, by \u03b3\u03bb = {decay} per token"
        if self.lam == 0:
            later = "and \u03bb = 0 looks no further"
        if self.selected == len(tokens) - 1:
            later = "and nothing comes after it"
        return (
            bold(token.text),
            " has the advantage ",
            bold(fixed(token.advantage, signed=True)),
            f": its own TD error is {fixed(token.delta, signed=True)} ({paid}), {later}.",
        )

    # What the learner can do.

    def write_group(self) -> None:
        """Let the policy write a group in the background."""
        world, prompt, samples, seed = self.world, self.prompt, self.samples, self.seed
        weights = world.policy.weights

        def work(job: Job) -> None:
            made = sample_group(world, prompt, samples=samples, seed=seed, job=job)
            with self._lock:
                self.group, self.row, self.selected, self.seed = made, 0, 0, seed + 1
                self._written_by = weights

        self.start_job("writing a group", work)

    def enter(self, world: World) -> None:
        """Begin without a group in a world.

        Args:
            world: The world.
        """
        self.world, self.prompt, self.gamma = world, world.prompts[0], world.objective.gamma
        self.group, self.critic = None, "none" if isinstance(world.critic, ZeroCritic) else "learned"

    def _choose_prompt(self, prompt: str) -> None:
        """Take another prompt for the next group."""
        self.prompt, self.group = prompt, None

    def _choose_row(self, number: str) -> None:
        """Look at another response of the group."""
        self.row, self.selected = int(number), 0

    def values(self, made: Group) -> Tensor:
        """Return V of the chosen critic at all states of a group, (B, T+1).

        Args:
            made: The group.

        Returns:
            V in the unit of the reward; 0 where a response is over.
        """
        if self._kind == "exact":
            return self._true_values(made)
        return learned_values(made) if self._kind == "learned" else no_values(made)

    @property
    def _prompt(self) -> str:
        return self.group.rollout.prompts[0] if self.group is not None else self.prompt

    @property
    def _is_stale(self) -> bool:
        return self.group is not None and self._written_by is not self.world.policy.weights

    @property
    def _kinds(self) -> list[str]:
        """Return the critics to choose from; the truth is that of the current policy."""
        known = self.group is not None and not self._is_stale and is_small(self.world, self._prompt)
        return [kind for kind in CRITICS if kind != "exact" or known]

    @property
    def _kind(self) -> str:
        return self.critic if self.critic in self._kinds else self._kinds[0]

    def _tokens(self, made: Group) -> list[Token]:
        """Return the tokens of the response that is looked at, their numbers as they are written."""
        found = credit(made, self.values(made), gamma=self.gamma, lam=self.lam)
        mask = made.rollout.response_mask[self.row]
        names = token_names(self.world.policy, made.rollout.response_ids(self.row))
        rows = (numbers[self.row][mask].tolist() for numbers in (made.rewards, found.deltas, found.advantages))
        tokens = []
        for name, reward, td_error, advantage in zip(names, *rows, strict=True):
            delta, later = apportioned([td_error, advantage - td_error], advantage)
            tokens.append(Token(name, written(reward), delta, later, written(advantage)))
        return tokens

    def _true_values(self, made: Group) -> Tensor:
        tree = small_tree(self.world, self._prompt)
        if tree is None:
            raise LabError("critic", "exact", "this world is too large to be known exactly")
        return true_values(made, tree, gamma=self.gamma)

    def _truth(self, made: Group) -> tuple[float, ...]:
        """Return the true advantage of each token of the response, where it is known and not drawn already."""
        if self._kind == "exact" or "exact" not in self._kinds:
            return ()
        exact = credit(made, self._true_values(made), gamma=self.gamma, lam=0.0).deltas[self.row]
        return tuple(written(float(value)) for value in exact[made.rollout.response_mask[self.row]])

    def _select(self, at: int) -> None:
        self.selected = at

    def _set_critic(self, kind: str) -> None:
        self.critic = kind

    def _set_gamma(self, value: str) -> None:
        self.gamma = GAMMAS[int(value)]

    def _set_lam(self, value: str) -> None:
        self.lam = LAMBDAS[int(value)]

    def _set_samples(self, value: object) -> None:
        self.samples = read_whole("responses", value, low=2, high=MOST)
