"""The reward panel: one response, how a reward scores every prefix of it, and what each token is paid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.config import PrefixPay, Timing
from rllab.core.jobs import Job
from rllab.plots.states import Line, payment_bars, prefix_lines
from rllab.plots.text import counted, fixed
from rllab.policy.generation import generate
from rllab.reward.reward import Reward
from rllab.widgets.engine.charts import Column, chart, chips, table
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    group,
    heading,
    note,
    radios,
    row,
    select,
    term,
    text,
)
from rllab.widgets.engine.panel import View
from rllab.widgets.shared.tokens import number_chips, prompt_choice, token_names
from rllab.widgets.shared.truth import written
from rllab.widgets.shared.worlds import WorldPanel, called
from rllab.worlds import World
from rllab.worlds.responses import RewardTrace, contrasts, read, response_from_ids

START = "Press Write a response, or write one yourself: then see how the reward scores every prefix of it."
WHEN: dict[Timing, str] = {"token": "every token", "sentence": "each sentence", "end": "the end"}
PAYS: dict[PrefixPay, str] = {"increment": "the change", "level": "the level"}
PAY_TERMS: dict[PrefixPay, Span] = {
    "level": term("the level", "The whole score again at each payment: the sum then grows with their number."),
    "increment": term("the change", "The score now minus the score at the last payment: the sum is the whole score."),
}
UNTRAINED = "A reward model is trained on whole responses; nothing taught it how to score a prefix."
SHOWN = 6  # versions of a text in the table


@dataclass(frozen=True)
class Paid:
    """What one reward pays for each token under a timing, as written: the payments sum to `total`."""

    trace: RewardTrace
    timing: Timing
    how: PrefixPay

    @property
    def scores(self) -> tuple[float, ...]:
        """Return the score of each prefix, (T,)."""
        return tuple(written(score) for score in self.trace.prefix_scores)

    @property
    def payments(self) -> tuple[float, ...]:
        """Return what is paid at each token, (T,): differences of written sums, so that they add up."""
        if self.how == "level":
            return tuple(written(score) for score in self.trace.level[self.timing])
        sums = [0.0, *(written(total) for total in itertools.accumulate(self.trace.paid[self.timing]))]
        return tuple(written(after - before) for before, after in itertools.pairwise(sums))

    @property
    def total(self) -> float:
        """Return the sum of all payments."""
        return written(sum(self.payments))

    @property
    def due(self) -> tuple[bool, ...]:
        """Return for each token whether something is paid at it, (T,)."""
        paid = self.trace.level if self.how == "level" else self.trace.paid
        return tuple(payment != 0.0 for payment in paid[self.timing])


@dataclass(frozen=True)
class Version:
    """One version of the response: how it came about, and its tokens."""

    what: str
    ids: tuple[int, ...]


class RewardPanel(WorldPanel):
    """See how a reward scores one response, token by token, under each timing; edit the text and compare.

    Gold stays hidden until the learner reveals it.

    Args:
        world: The world whose reward it is.
        rewards: Others to compare with the world's own.
        prompt: The first prompt; by default the world's first.
        seed: Of the random numbers that write responses.
    """

    title = "Reward"

    def __init__(self, world: World, *, rewards: Sequence[Reward] = (), prompt: str = "", seed: int = 0) -> None:
        self.world, self.given, self.seed = world, tuple(rewards), seed
        self.prompt = prompt or world.prompts[0]
        self.timing: Timing = "token"
        self.how: PrefixPay = "increment"
        self.revealed = False
        self.compared = ""  # the name of the reward that is compared with the world's own
        self.versions: tuple[Version, ...] = ()  # of the response, the present one last
        self.selected = 0
        self._edited: Words = ()  # what the last edit did
        self._traces: dict[tuple[str, tuple[int, ...]], RewardTrace] = {}
        self._first = world
        self._others = self._find_others(world)
        super().__init__(world)

    def view(self) -> View:
        """Return the response as the rewards score it."""
        if not self.versions:
            return View(aside=note("where", called(self.world)), body=(self._source(),), reading=(START,))
        paid = self.paid(self.world.reward)
        other = self.paid(self._others[self.compared]) if self.compared else None
        gold = self.paid(self.world.gold) if self.revealed and self.world.gold is not None else None
        traces = [payer.trace for payer in (paid, other, gold) if payer is not None]
        tokens = self._texts(self.ids)
        where = f"{called(self.world)} \u00b7 {counted(len(tokens), 'token')} \u00b7 {self.world.reward.name}"
        words = _token_words(paid, tokens, self.selected)
        if gold is not None:
            words = (*words, _gold_words(paid, gold, tokens, self.selected))
        return View(
            aside=note("where", where),
            body=(
                self._source(),
                self._editing(tokens[self.selected]),
                self._modes(),
                self._strip(paid, tokens),
                self._pictures(paid, other, gold, tokens),
                *self._parts(traces),
                *self._history(),
            ),
            reading=self._edited or words,
            badges=tuple(kind for kind in ("exact", "learned") if any(trace.kind == kind for trace in traces)),
            foot=("keys: w writes a response, d deletes the chosen token, z undoes an edit",),
            shortcuts={"w": "write", "d": "delete", "z": "undo"},
        )

    def _source(self) -> Component:
        label = "Write a response" if not self.versions else "Write another"
        return row(
            "source",
            self.world_choice(self.world),
            prompt_choice(self.world, self.prompt, self._choose_prompt, disabled=self.busy),
            button("write", label, self.write_response, main=True, disabled=self.busy),
            *([] if self.versions else [self._box("")]),
            *self.working(),
        )

    def _editing(self, name: str) -> Component:
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
            select("compared", "compare with", others, self.compared, self._compare, show_label=True),
            *([button("reveal", "Reveal gold", self.reveal)] if hidden else []),
        )

    def _strip(self, paid: Paid, tokens: Sequence[str]) -> Component:
        """Return the tokens with what each is paid."""
        numbers = [payment if due else math.nan for payment, due in zip(paid.payments, paid.due, strict=True)]
        return chips(
            "strip",
            "Tokens with what they are paid; choosing one explains it",
            number_chips(tokens, numbers),
            self._select,
            prompt=self._texts(self.world.policy.encode(self.prompt)),
            selected=self.selected,
            quantity="paid",
            stamp=f"{len(self.versions)}.{self.seed}",
        )

    def _pictures(self, paid: Paid, other: Paid | None, gold: Paid | None, tokens: Sequence[str]) -> Component:
        """Return the score of every prefix and what each token is paid, by one reward or by several."""
        scores = [Line("reward", paid.scores, "reward")]
        payments = [Line("reward", paid.payments, "reward")]
        if other is not None:
            scores.append(Line(other.trace.name, other.scores, "policy"))
            payments.append(Line(other.trace.name, other.payments, "policy"))
        if gold is not None:
            scores.append(Line("gold", gold.scores, "reward", "dash"))
        curves = prefix_lines(tokens, scores, selected=self.selected)
        bars = payment_bars(tokens, payments, selected=self.selected)
        remark = [note("untrained", UNTRAINED)] if paid.trace.kind == "learned" else []
        title = heading("right-title", "Paid at ", WHEN[paid.timing], ": ", PAY_TERMS[paid.how])
        return columns(
            "pictures",
            group(
                "left",
                heading("left-title", "Score of the text so far"),
                chart("scores", curves, "Scores of every prefix"),
                *remark,
            ),
            group("right", title, chart("payments", bars, "What each token is paid")),
        )

    def _parts(self, traces: Sequence[RewardTrace]) -> tuple[Component, ...]:
        """Return the named parts of the rewards that have some, up to the chosen token and in all."""
        rows: list[list[Span | str]] = [
            [f"{trace.name}: {name}", fixed(part[self.selected], signed=True), fixed(part[-1], signed=True)]
            for trace in traces
            for name, part in trace.parts.items()
        ]
        heads = [Column("part"), Column("up to this token", numeric=True), Column("whole response", numeric=True)]
        return (table("parts", "Parts of the score, each with its weight", heads, rows),) if rows else ()

    def _history(self) -> tuple[Component, ...]:
        """Return the versions of the text with their scores, the newest last."""
        if len(self.versions) < 2:
            return ()
        rewards = self._shown_rewards()
        if self.compared:
            rewards.insert(1, self._others[self.compared])
        rows = []
        for version in self.versions[-SHOWN:]:
            scores = [fixed(self._trace(reward, version.ids).total, signed=True) for reward in rewards]
            rows.append([version.what, self.world.policy.decode(version.ids), *scores])
        heads = [Column("edit"), Column("response"), *(Column(reward.name, numeric=True) for reward in rewards)]
        return (table("history", "The response and its edits", heads, rows),)

    # What the learner can do.

    def write_response(self) -> None:
        """Let the policy write a response in the background."""
        world, prompt, seed = self.world, self.prompt, self.seed

        def work(job: Job) -> None:
            job.report(0, 0, "writing")
            limit = world.max_new_tokens
            rows = generate(world.policy, [prompt], max_new_tokens=limit, seed=seed, job=job.quiet())
            ids = tuple(rows.response_ids(0))
            self._trace(world.reward, ids)
            with self._lock:
                self.versions, self.selected, self._edited = (Version("as written", ids),), 0, ()
                self.seed += 1

        self.start_job("writing a response", work)

    def delete(self) -> None:
        """Delete the chosen token."""
        self._edit(f"without “{self._name}”", (*self.ids[: self.selected], *self.ids[self.selected + 1 :]))

    def say_twice(self) -> None:
        """Repeat the chosen token."""
        self._edit(f"“{self._name}” twice", (*self.ids[: self.selected + 1], *self.ids[self.selected :]))

    def undo(self) -> None:
        """Go back to the version before."""
        self.versions, self._edited = self.versions[:-1], ()
        self.selected = min(self.selected, len(self.ids) - 1)

    def reveal(self) -> None:
        """Show gold's scores from now on."""
        self.revealed = True

    def enter(self, world: World) -> None:
        """Begin without a response in a world.

        Args:
            world: The world.
        """
        self._others = self._find_others(world)
        self.world, self.revealed = world, False
        self._choose_prompt(world.prompts[0])

    def _choose_prompt(self, prompt: str) -> None:
        """Take another prompt, without a response yet."""
        self.prompt, self.versions, self.selected = prompt, (), 0
        self._edited, self.compared, self._traces = (), "", {}

    def paid(self, reward: Reward) -> Paid:
        """Return what a reward pays for the tokens of the response under the chosen timing.

        Args:
            reward: The reward.

        Returns:
            The rewards of the tokens, with their timing.
        """
        return Paid(self._trace(reward, self.ids), self.timing, self.how)

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the tokens of the response as it is now."""
        return self.versions[-1].ids

    @property
    def _name(self) -> str:
        return self._texts(self.ids)[self.selected]

    def _find_others(self, world: World) -> dict[str, Reward]:
        own = self.given if world is self._first else ()  # they read that world's tokens
        return {reward.name: reward for reward in (*own, *contrasts(world))}

    def _shown_rewards(self) -> list[Reward]:
        return [self.world.reward, *([self.world.gold] if self.revealed and self.world.gold is not None else [])]

    def _edit(self, what: str, ids: tuple[int, ...]) -> None:
        """Take another version of the response, if the rewards can score it."""
        rewards = self._shown_rewards()
        changes = [(self._trace(reward, self.ids).total, self._trace(reward, ids).total) for reward in rewards]
        self._edited = _edit_words(what, *changes)
        self.versions = (*self.versions, Version(what, ids))
        self.selected = min(self.selected, len(ids) - 1)

    def _set_text(self, value: object) -> None:
        """Take what the learner has written in the box."""
        ids = tuple(self.world.policy.encode_response(str(value).strip()))
        if not self.versions:
            self._trace(self.world.reward, ids)
            self.versions, self._edited = (Version("as you wrote it", ids),), ()
        elif ids != self.ids:
            self._edit("written by you", ids)

    def _trace(self, reward: Reward, ids: tuple[int, ...]) -> RewardTrace:
        """Return how a reward scores some tokens; each text is scored once."""
        key = (reward.name, ids)
        if key not in self._traces:
            self._traces[key] = read(self.world, reward, response_from_ids(self.world, self.prompt, ids))
        return self._traces[key]

    def _texts(self, ids: Sequence[int]) -> list[str]:
        return token_names(self.world.policy, ids)

    def _select(self, at: int) -> None:
        self.selected, self._edited = at, ()

    def _set_timing(self, value: str) -> None:
        self.timing, self._edited = next(timing for timing in WHEN if timing == value), ()

    def _set_how(self, value: str) -> None:
        self.how, self._edited = next(how for how in PAYS if how == value), ()

    def _compare(self, name: str) -> None:
        if name:
            self._trace(self._others[name], self.ids)  # raises where it cannot score this text
        self.compared = name


def _token_words(paid: Paid, tokens: Sequence[str], at: int) -> Words:
    """Return what the chosen token did to the score, what it was paid, and what all payments add up to."""
    here, payment, total = (_signed(number) for number in (paid.scores[at], paid.payments[at], paid.total))
    moved = f" opens the response with a score of {here}"
    if at > 0:
        moved = f" moves the score of the text so far from {_signed(paid.scores[at - 1])} to {here}"
    why = {
        "token": "the score did not change" if paid.how == "increment" else "the score is 0",
        "sentence": "this reward pays at the end of each sentence",
        "end": "this reward pays at the end",
    }
    pays: Words = (f"; nothing is paid for it, because {why[paid.timing]}.",)
    if paid.due[at] and paid.how == "level":
        pays = (", and is paid that whole level, ", bold(payment), ".")
    elif paid.due[at]:
        since = {"token": "the change", "sentence": "the change since the last payment", "end": "all of it"}
        pays = (f", and is paid {since[paid.timing]}, ", bold(payment), ".")
    count = sum(paid.due)
    adds = f" The {count} payments add up to {total}, the score of the whole response."
    if count == 1:
        adds = f" The only payment is {total}, the score of the whole response."
    elif paid.how == "level":
        score = _signed(written(paid.trace.total))
        adds = f" The {count} payments add up to {total}, while the score is {score}: the text is paid for repeatedly."
    return (bold(tokens[at]), moved, *pays, adds)


def _gold_words(paid: Paid, gold: Paid, tokens: Sequence[str], at: int) -> str:
    """Return gold's score of the whole response, and whether it moves the other way at the chosen token."""
    score = f" Gold scores the response {_signed(written(gold.trace.total))}"
    if at == 0:
        return f"{score}."
    ours, golds = (written(payer.scores[at] - payer.scores[at - 1]) for payer in (paid, gold))
    if ours * golds < 0:
        return f"{score}, and at “{tokens[at]}” it moves the other way: {_signed(golds)}."
    return f"{score}; at “{tokens[at]}” it moves by {_signed(golds)}."


def _edit_words(what: str, score: tuple[float, float], gold: tuple[float, float] | None = None) -> Words:
    """Return what an edit did to the score, and to gold where it is revealed."""

    def moved(scores: tuple[float, float]) -> tuple[str, str, str]:
        before, after = (written(number) for number in scores)
        return _signed(before), _signed(after), _signed(written(after - before))

    before, after, change = moved(score)
    words: Words = (f"{what[:1].upper()}{what[1:]}: the score goes from {before} to ", bold(after), f" ({change}).")
    return words if gold is None else (*words, " Gold goes from {} to {} ({}).".format(*moved(gold)))


def _signed(number: float) -> str:
    return fixed(number, signed=True)
