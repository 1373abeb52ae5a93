"""The reward panel: one response, what a reward says of every prefix, and what each token is paid for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.config import PrefixPay, Timing
from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.plots.text import counted, fixed
from rllab.policy.generation import generate
from rllab.reward.reward import Reward
from rllab.widgets.engine.charts import Column, table, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    button,
    note,
    radios,
    row,
    select,
    text,
)
from rllab.widgets.engine.panel import Panel, View
from rllab.widgets.reward.captions import WHEN, Paid, Words, edit_words, opposite_words, token_words
from rllab.widgets.reward.layout import parts_table, pictures, strip
from rllab.widgets.shared.worlds import Worlds, called
from rllab.worlds import World
from rllab.worlds.reward_trace import RewardTrace, contrasts, read, response_from_ids

START = "Press Write a response, or write one yourself: then see what the reward says of every beginning of it."
PAYS: dict[PrefixPay, str] = {"increment": "the change", "level": "the level"}
SHOWN = 6  # versions of a text in the table


@dataclass(frozen=True)
class Version:
    """One version of the response: how it came about, and its tokens."""

    what: str
    ids: tuple[int, ...]


class RewardPanel(Panel):
    """See how a reward reads one response, token by token, under each timing; edit the text and look again.

    `rewards` are others to look at beside the world's own. Gold stays hidden until the learner reveals it.
    """

    title = "Reward"

    def __init__(self, world: World, *, rewards: Sequence[Reward] = (), prompt: str = "", seed: int = 0) -> None:
        self.world, self.given, self.seed = world, tuple(rewards), seed
        self.prompt = prompt or world.prompts[0]
        self.timing: Timing = "token"
        self.how: PrefixPay = "increment"
        self.revealed = False
        self.beside = ""  # the name of the reward that is looked at beside the world's own
        self.versions: tuple[Version, ...] = ()  # of the response, the present one last
        self.selected = 0
        self.told: Words = ()  # what the last edit did
        self._read: dict[tuple[str, tuple[int, ...]], RewardTrace] = {}
        self._worlds, self._first = Worlds(world), world
        self._others = self._find_others(world)
        super().__init__()

    def view(self) -> View:
        """Draw the response as the rewards read it."""
        if not self.versions:
            return View(aside=note("where", called(self.world)), body=(self._source(),), reading=(START,))
        paid, other, gold = self._paid(self.world.reward), self._other(), self._gold()
        readings = [one.reading for one in (paid, other, gold) if one is not None]
        tokens = self._tokens()
        return View(
            aside=note(
                "where", f"{called(self.world)} \u00b7 {counted(len(tokens), 'token')} \u00b7 {self.world.reward.name}"
            ),
            body=(
                self._source(),
                self._editing(),
                self._modes(),
                strip(paid, tokens, self._prompt_tokens(), self._select, selected=self.selected, stamp=self._stamp()),
                pictures(paid, other, gold, tokens, self.selected),
                *parts_table(readings, self.selected),
                *self._history(),
            ),
            reading=self.told or (*token_words(paid, tokens, self.selected), *self._beside_gold(paid, gold, tokens)),
            badges=tuple(kind for kind in ("exact", "learned") if any(one.kind == kind for one in readings)),
            foot=("keys: w writes a response, d deletes the chosen token, z undoes an edit",),
            shortcuts={"w": "write", "d": "delete", "z": "undo"},
        )

    def _source(self) -> Component:
        busy = self.busy
        prompts = [Option(one, one) for one in dict.fromkeys([self.prompt, *self.world.prompts])]
        label = "Write a response" if not self.versions else "Write another"
        return row(
            "source",
            self._worlds.choice(self.world, self.choose_world, disabled=self.busy),
            select("prompt", "Prompt", prompts, self.prompt, self.choose_prompt, show_label=True, disabled=busy),
            button("write", "Stop" if busy else label, self.write_or_stop, main=True),
            *([] if self.versions else [self._box("")]),
        )

    def _editing(self) -> Component:
        name = self._tokens()[self.selected]
        return row(
            "editing",
            self._box(self.world.policy.decode(self.ids)),
            button("delete", f"Delete “{name}”", self.delete, disabled=self.busy),
            button("twice", f"Say “{name}” twice", self.say_twice, disabled=self.busy),
            button("undo", "Undo edit", self.undo, disabled=self.busy or len(self.versions) < 2),
        )

    def _box(self, value: str) -> Component:
        return text("response", "Response", value, self._set_text, placeholder="write a response", disabled=self.busy)

    def _modes(self) -> Component:
        timings = [Option(key, words) for key, words in WHEN.items()]
        pays = [Option(key, words) for key, words in PAYS.items()]
        others = [Option("", "nothing"), *(Option(name, name) for name in self._others)]
        hidden = self.world.gold is not None and not self.revealed
        return row(
            "modes",
            radios("timing", "When it is paid", timings, self.timing, self._set_timing),
            radios("how", "What is paid", pays, self.how, self._set_how),
            select("beside", "compare with", others, self.beside, self._set_beside, show_label=True),
            *([button("reveal", "Reveal gold", self.reveal)] if hidden else []),
        )

    def _history(self) -> tuple[Component, ...]:
        """Return the versions of the text with their scores, the newest last."""
        if len(self.versions) < 2:
            return ()
        rewards: list[Reward] = [self.world.reward, *([self._others[self.beside]] if self.beside else [])]
        rewards += [self.world.gold] if self.revealed and self.world.gold is not None else []
        rows = []
        for version in self.versions[-SHOWN:]:
            scores = [fixed(self._reading(one, version.ids).total, signed=True) for one in rewards]
            rows.append([version.what, self.world.policy.decode(version.ids), *scores])
        heads = [Column("edit"), Column("response"), *(Column(one.name, numeric=True) for one in rewards)]
        return (table("history", "The response and its edits", heads, rows),)

    # What the learner can do.

    def write_or_stop(self) -> None:
        """Let the policy write a response in the background, or stop that."""
        if self.busy and self.job is not None:
            self.job.stop()
        else:
            self.start_job("writing a response", self._write)

    def delete(self) -> None:
        """Take the chosen token out."""
        name = self._tokens()[self.selected]
        self._edit(f"without “{name}”", (*self.ids[: self.selected], *self.ids[self.selected + 1 :]))

    def say_twice(self) -> None:
        """Put the chosen token in once more."""
        name = self._tokens()[self.selected]
        self._edit(f"“{name}” twice", (*self.ids[: self.selected + 1], *self.ids[self.selected :]))

    def undo(self) -> None:
        """Go back to the version before."""
        self.versions, self.told = self.versions[:-1], ()
        self.selected = min(self.selected, len(self.ids) - 1)

    def reveal(self) -> None:
        """Show what gold says, from now on."""
        self.revealed = True

    def choose_world(self, name: str) -> None:
        """Go to another world; the response there is to be written."""
        world = self._worlds.named(name)
        self._others = self._find_others(world)
        self.world, self.prompt, self.revealed = world, world.prompts[0], False
        self._start_over()

    def choose_prompt(self, prompt: str) -> None:
        """Take another prompt; the response to it is to be written."""
        self.prompt = prompt
        self._start_over()

    # Inside.

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the tokens of the response as it is now."""
        return self.versions[-1].ids

    def _start_over(self) -> None:
        self.versions, self.selected, self.told, self.beside, self._read = (), 0, (), "", {}

    def _find_others(self, world: World) -> dict[str, Reward]:
        own = self.given if world is self._first else ()  # they read that world's tokens
        return {one.name: one for one in (*own, *contrasts(world))}

    def _write(self, job: Job) -> None:
        job.report(0, 0, "writing")
        world, seed = self.world, self.seed
        with contextlib.suppress(Stopped):
            rows = generate(
                world.policy, [self.prompt], max_new_tokens=world.max_new_tokens, seed=seed, job=job.quiet()
            )
            ids = tuple(rows.response_ids(0))
            self._reading(world.reward, ids)
            with self._lock:
                self.versions, self.selected, self.told = (Version("as written", ids),), 0, ()
                self.seed += 1

    def _edit(self, what: str, ids: tuple[int, ...]) -> None:
        """Put another version of the response in place, if the rewards can read it."""
        rewards = [self.world.reward, *([self.world.gold] if self.revealed and self.world.gold else [])]
        changes = [(self._reading(one, self.ids).total, self._reading(one, ids).total) for one in rewards]
        self.told = edit_words(what, *changes)
        self.versions = (*self.versions, Version(what, ids))
        self.selected = min(self.selected, len(ids) - 1)

    def _set_text(self, value: object) -> None:
        """Read what the learner has written in the box."""
        ids = tuple(self.world.policy.encode_response(str(value).strip()))
        if not self.versions:
            self._reading(self.world.reward, ids)
            self.versions, self.told = (Version("as you wrote it", ids),), ()
        elif ids != self.ids:
            self._edit("written by you", ids)

    def _reading(self, reward: Reward, ids: tuple[int, ...]) -> RewardTrace:
        """Return what a reward says of some tokens, read once."""
        key = (reward.name, ids)
        if key not in self._read:
            self._read[key] = read(self.world, reward, response_from_ids(self.world, self.prompt, ids))
        return self._read[key]

    def _paid(self, reward: Reward) -> Paid:
        return Paid(self._reading(reward, self.ids), self.timing, self.how)

    def _other(self) -> Paid | None:
        return self._paid(self._others[self.beside]) if self.beside else None

    def _gold(self) -> Paid | None:
        return self._paid(self.world.gold) if self.revealed and self.world.gold is not None else None

    def _tokens(self) -> list[str]:
        return self._written(self.ids)

    def _prompt_tokens(self) -> list[str]:
        return self._written(self.world.policy.encode(self.prompt))

    def _written(self, ids: Sequence[int]) -> list[str]:
        return [visible(self.world.policy.token_text(token)) for token in ids]

    def _stamp(self) -> str:
        return f"{len(self.versions)}.{self.seed}"

    def _beside_gold(self, paid: Paid, gold: Paid | None, tokens: Sequence[str]) -> Words:
        return () if gold is None else opposite_words(paid, gold, tokens, self.selected)

    def _select(self, at: int) -> None:
        self.selected, self.told = at, ()

    def _set_timing(self, value: str) -> None:
        self.timing, self.told = next(timing for timing in WHEN if timing == value), ()

    def _set_how(self, value: str) -> None:
        self.how, self.told = next(how for how in PAYS if how == value), ()

    def _set_beside(self, name: str) -> None:
        if name:
            self._reading(self._others[name], self.ids)  # says now if it cannot be read
        self.beside = name
