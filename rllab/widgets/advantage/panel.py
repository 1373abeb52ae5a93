"""The advantage panel: who gets the credit, token by token with a critic, response by response without one."""

from __future__ import annotations

from torch import Tensor

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.plots.text import fixed, plain
from rllab.truth.groups import (
    Group,
    credit,
    learned_values,
    no_values,
    sample_group,
    true_values,
)
from rllab.value.critic import ZeroCritic
from rllab.widgets.advantage.layout import (
    Token,
    comparison,
    credit_picture,
    nearest_stop,
    read_tokens,
    stops,
    token_words,
)
from rllab.widgets.engine.charts import Chip, chips, tint
from rllab.widgets.engine.components import (
    Component,
    Option,
    button,
    columns,
    finding,
    note,
    number,
    progress,
    radios,
    row,
    select,
    slider,
)
from rllab.widgets.engine.fields import read_whole
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.engine.text import visible
from rllab.widgets.shared.backup import written
from rllab.widgets.shared.known import is_small, small_tree
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World

GAMMAS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
LAMBDAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
CRITICS = {"learned": "learned V", "exact": "exact V", "none": "no V"}
BADGE = {"learned": ("learned",), "exact": ("exact",), "none": ()}
START = "Press Write a group: the policy answers the prompt several times, and the answers are compared."
MOST = 64  # responses of a group


class AdvantagePanel(Panel):
    """Look at one response of a group: rewards, TD errors, GAE; and at the group as RLOO and GRPO see it.

    The group is `panel.group`, written by the policy to one prompt; the arithmetic is the trainer's own.
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
        self._worlds = Worlds(world)
        super().__init__()

    def view(self) -> View:
        """Draw the group, and one response of it in detail."""
        if self.group is None:
            return View(body=(self._choices(), self._controls()), reading=(START,))
        made = credit(self.group, self._values(self.group), gamma=self.gamma, lam=self.lam)
        tokens, truth = read_tokens(self.group, made, self.row, self._name), self._truth(self.group)
        earned = self.group.objective.describe().removeprefix("expected ")
        pictures = credit_picture(tokens, self.selected, exact=truth), comparison(self.group, shown=self.row)
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 {len(self.group.rollout)} responses"),
            body=(
                self._choices(),
                self._controls(),
                self._dials(),
                *self._warning(),
                self._strip(tokens),
                columns("pictures", *pictures),
                note("objective", f"All r together are the {earned}."),
            ),
            reading=token_words(tokens, self.selected, gamma=self.gamma, lam=self.lam),
            badges=(*BADGE[self._kind], *(("exact",) if truth else ())),
            foot=("keys: w writes a group; arrows move along the tokens",),
            shortcuts={"w": "write"},
        )

    def _choices(self) -> Component:
        busy = self.busy
        prompts = [Option(one, one) for one in dict.fromkeys([self.prompt, *self.world.prompts])]
        return row(
            "choices",
            self._worlds.choice(self.world, self.choose_world, disabled=busy),
            select("prompt", "Prompt", prompts, self.prompt, self.choose_prompt, show_label=True, disabled=busy),
            number("samples", "responses", str(self.samples), self._set_samples, disabled=busy),
        )

    def _controls(self) -> Component:
        label = "Stop" if self.busy else "Write a group" if self.group is None else "Write another group"
        at = self.job.progress if self.job is not None and self.busy else None
        bar = progress("writing", "The group", at.done, at.total, "writing") if at else None
        parts = [button("write", label, self.write_or_stop, main=True)]
        if self.group is not None:
            rows = [Option(str(at), f"response {at + 1}") for at in range(len(self.group.rollout))]
            parts.append(select("row", "show", rows, str(self.row), self.choose_row, show_label=True))
        return row("controls", *parts, *([bar] if bar else []))

    def _dials(self) -> Component:
        kinds = [Option(kind, CRITICS[kind]) for kind in self._kinds]
        return row(
            "dials",
            radios("critic", "Critic", kinds, self._kind, self._set_critic),
            slider("gamma", "\u03b3", stops(GAMMAS), nearest_stop(GAMMAS, self.gamma), self._set_gamma),
            slider("lam", "\u03bb", stops(LAMBDAS), nearest_stop(LAMBDAS, self.lam), self._set_lam),
        )

    def _warning(self) -> tuple[Component, ...]:
        own = self.world.objective.gamma
        if self._is_stale:
            return (finding("stale", "The policy has learned since; Write another group with the new one."),)
        if self._kind != "learned" or self.gamma == own:
            return ()
        said = f"The critic learned what is worth something at \u03b3 = {plain(own)}; at {plain(self.gamma)} it is off."
        return (finding("discount", said),)

    def _strip(self, tokens: list[Token]) -> Component:
        scale = max([0.1, *(abs(one.advantage) for one in tokens)])
        items = [
            Chip(
                one.text,
                name=f"token {at + 1}, {one.text}, advantage {fixed(one.advantage, signed=True)}",
                number=fixed(one.advantage, signed=True),
                tint=tint(one.advantage, scale),
            )
            for at, one in enumerate(tokens)
        ]
        prompt = [self._name(token) for token in self.world.policy.encode(self._asked)]
        stamp = f"{self.seed}.{self.row}"
        return chips(
            "strip",
            "Tokens with their advantage; choosing one shows how it is made",
            items,
            self._select,
            prompt=prompt,
            selected=self.selected,
            stamp=stamp,
        )

    # What the learner can do.

    def write_or_stop(self) -> None:
        """Let the policy write a group in the background, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.start_job("writing a group", self._write)

    def choose_world(self, name: str) -> None:
        """Go to another world; the group there is to be written."""
        world = self._worlds.named(name)
        self.world, self.prompt, self.gamma = world, world.prompts[0], world.objective.gamma
        self.group, self.critic = None, "none" if isinstance(world.critic, ZeroCritic) else "learned"

    def choose_prompt(self, prompt: str) -> None:
        """Take another prompt for the next group."""
        self.prompt, self.group = prompt, None

    def choose_row(self, number: str) -> None:
        """Look at another response of the group."""
        self.row, self.selected = int(number), 0

    # Inside.

    @property
    def _asked(self) -> str:
        return self.group.rollout.prompts[0] if self.group is not None else self.prompt

    @property
    def _is_stale(self) -> bool:
        return self.group is not None and self._written_by is not self.world.policy.weights

    @property
    def _kinds(self) -> list[str]:
        """Return the critics that can be asked about the group; the truth is that of the policy of now."""
        known = self.group is not None and not self._is_stale and is_small(self.world, self._asked)
        return [kind for kind in CRITICS if kind != "exact" or known]

    @property
    def _kind(self) -> str:
        return self.critic if self.critic in self._kinds else self._kinds[0]

    def _write(self, job: Job) -> None:
        weights = self.world.policy.weights
        try:
            made = sample_group(self.world, self.prompt, samples=self.samples, seed=self.seed, job=job)
        except Stopped:
            return  # the group before stays
        with self._lock:
            self.group, self.row, self.selected, self.seed = made, 0, 0, self.seed + 1
            self._written_by = weights

    def _values(self, made: Group) -> Tensor:
        """Return V of the chosen critic at all states of the group, (B, T+1)."""
        if self._kind == "exact":
            return self._true_values(made)
        return learned_values(made) if self._kind == "learned" else no_values(made)

    def _true_values(self, made: Group) -> Tensor:
        tree = small_tree(self.world, self._asked)
        if tree is None:
            raise LabError("critic", "exact", "this world is too large to be known exactly")
        return true_values(made, tree, gamma=self.gamma)

    def _truth(self, made: Group | None) -> tuple[float, ...]:
        """Return the true advantage of each token of the response, where it is known and not drawn anyway."""
        if made is None or self._kind == "exact" or "exact" not in self._kinds:
            return ()
        exact = credit(made, self._true_values(made), gamma=self.gamma, lam=0.0).deltas[self.row]
        return tuple(written(float(one)) for one in exact[made.rollout.response_mask[self.row]])

    def _name(self, token: int) -> str:
        return visible(self.world.policy.token_text(token))

    def _select(self, at: int) -> None:
        self.selected = at

    def _set_critic(self, kind: str) -> None:
        self.critic = kind

    def _set_gamma(self, value: str) -> None:
        self.gamma = GAMMAS[int(value)]

    def _set_lam(self, value: str) -> None:
        self.lam = LAMBDAS[int(value)]

    def _set_samples(self, value: object) -> None:
        samples = read_whole("responses", value)
        if not 2 <= samples <= MOST:
            raise LabError("responses", samples, f"choose from 2 to {MOST}")
        self.samples = samples
