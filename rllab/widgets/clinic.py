"""The clinic: a run with a hidden fault. Look at it from all sides, name the fault, get the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from rllab.core.config import check_count
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.course.clinic import CHECKS, Case, Sighting, Verdict, catalogue, draw_case
from rllab.course.clinic.cases import UPDATES
from rllab.plots.charts import Curve
from rllab.plots.text import counted, fixed, plain
from rllab.trainer.diagnostics import diagnose
from rllab.trainer.update_trace import token_columns
from rllab.widgets.engine.charts import Column, table, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    Words,
    bold,
    button,
    columns,
    finding,
    fold,
    group,
    note,
    number,
    radios,
    read_whole,
    row,
    select,
)
from rllab.widgets.engine.panel import View, about
from rllab.widgets.shared.curves import Sheet
from rllab.widgets.shared.worlds import WorldPanel, called, is_large
from rllab.worlds import World

START = (
    "Draw a case: a training run that may contain a silent fault, one that really shipped somewhere. You get only its "
    "numbers. Find what cannot be right, and name it."
)
FEW_UPDATES = 5  # in a large world: every fault is visible by then, though the checkup may want more to be sure
RUN = "a case"  # the job that trains the case and its twin
TWIN = "healthy "  # before a metric: the same of the run without the fault
TOKENS = "tokens"
NARROWEST = 0.1  # of an axis of shares or ratios: seven digits say nothing about a flat line
SCORE = Curve("objective/scores", "score", "reward")
SHEETS: dict[str, tuple[Sheet, ...]] = {
    "reward and KL": (
        Sheet("paid", "score", "reward", (SCORE, Curve("objective/rlhf_reward", "paid to the tokens", "kl"))),
        Sheet(
            "kl",
            "KL to the reference",
            "nats per response",
            (Curve("objective/kl", "estimate", "kl"), Curve("objective/kl_exact", "exact", "ink", "dot")),
        ),
        Sheet("gold", "gold", "reward", (Curve("eval/gold", "gold", "reward", "dash"),)),
    ),
    "first epoch": (
        Sheet("ratio", "mean ratio, first epoch", "ratio", (Curve("val/ratio_first", "ratio", "policy"),)),
        Sheet("drift", "KL to the old policy, first epoch", "nats", (Curve("policy/approxkl_first", "KL", "kl"),)),
        Sheet("held", "clip fraction, first epoch", "share", (Curve("policy/clipfrac_first", "clipped", "policy"),)),
        Sheet("shift", "move of V, first epoch", "reward", (Curve("val/value_shift_first", "move", "value"),)),
    ),
    "weights": (
        Sheet("mean", "mean of the weights", "", (Curve("policy/weights_mean", "mean", "up"),)),
        Sheet("spread", "spread of the weights", "", (Curve("policy/weights_std", "spread", "up"),)),
        Sheet("trained", "share of trained tokens", "share", (Curve("policy/trained_share", "share", "ink"),)),
        Sheet("silent", "share of silent groups", "share", (Curve("frac_reward_zero_std", "share", "ink"),)),
    ),
    "critic": (
        Sheet(
            "values",
            "mean V",
            "reward",
            (Curve("critic/values/mean", "V", "value"), Curve("critic/returns/mean", "mean return", "reward")),
        ),
        Sheet("explained", "explained variance of V", "share", (Curve("critic/vf_explained_var", "V", "value"),)),
        Sheet("vloss", "value loss", "reward\u00b2", (Curve("loss/value_avg", "loss", "value"),)),
        Sheet("vnorm", "gradient norm of the critic", "", (Curve("critic/grad_norm", "norm", "value"),)),
    ),
    "texts and steps": (
        Sheet(
            "entropy",
            "entropy",
            "nats",
            (
                Curve("objective/entropy", "entropy", "policy"),
                Curve("objective/entropy_sampled", "surprise of the sampled tokens", "ink"),
            ),
        ),
        Sheet("length", "length of a response", "tokens", (Curve("completions/mean_length", "length", "ink"),)),
        Sheet("loss", "policy loss", "", (Curve("loss/policy_avg", "loss", "policy"),)),
        Sheet("norm", "gradient norm of the policy", "", (Curve("grad_norm", "norm", "policy"),)),
    ),
}
COLUMNS = {
    "log \u03c0": "logprobs",
    "log \u03c0_ref": "ref_logprobs",
    "V": "values",
    "paid": "paid",
    "KL": "kl",
    "r": "rewards",
    "A": "advantages",
    "weight": "policy_weights",
    "return": "returns",
    "ratio": "ratio",
}


@dataclass
class Desk:
    """How far a learner is with one case."""

    look: str = next(iter(SHEETS))
    twin: bool = False
    response: int = 0
    chosen: str = ""  # the answer in the list; empty before one is chosen
    hinted: bool = False
    asked: bool = False
    given_up: bool = False
    verdict: Verdict | None = None
    sightings: dict[int, Sighting] = field(default_factory=dict)


class ClinicPanel(WorldPanel):
    """Name the fault of a run; `panel.case` is the run with its hidden fault.

    Args:
        world: Where the cases run.
        seed: Of the first case; each further case takes the next seed.
        among: The faults to draw from, by default all; the list of answers always has all of them.
        updates: How long a case runs; by default fewer updates in a large world.

    Raises:
        LabError: `updates` is not a whole number of at least 1.
    """

    title = "Clinic"

    def __init__(self, world: World, *, seed: int = 0, among: Sequence[str] = (), updates: int | None = None) -> None:
        if updates is not None:
            check_count("updates", updates)
        self.world, self.seed, self.among = world, seed, tuple(among)
        self.updates = updates or usual_updates(world)
        self.case: Case | None = None
        self.solved = self.cases = 0
        self.desk = Desk()
        self._seconds: list[float] = []  # what the updates of the last case in this world took
        super().__init__(world)

    def view(self) -> View:
        """Draw the case from the chosen side, the checks that were ordered, and the answer."""
        case = self.case
        top = (self._controls(), note("price", price_words(self.world, self.updates, self._seconds)))
        if case is None or not case.healthy:
            return View(body=top, reading=(START,), shortcuts={"d": "draw"})
        return View(
            aside=note("where", f"{called(self.world)} \u00b7 case {self.cases} \u00b7 update {len(case.healthy)}"),
            body=(
                *top,
                note("settings", settings_words(case)),
                *self._picture(case),
                self._checks(),
                *(
                    finding(f"sighting-{at}", sighting.words, good=sighting.agrees)
                    for at, sighting in sorted(self.desk.sightings.items())
                ),
                self._answer_row(case),
                *self._verdict(case),
            ),
            reading=self._reading(case),
            badges=("exact", "average"),
            foot=("keys: d draws a case, h gives a hint",),
            shortcuts={"d": "draw", "h": "hint"},
        )

    def _controls(self) -> Component:
        label = "Draw a case" if self.case is None else "Draw another case"
        return row(
            "controls",
            button("draw", label, self.draw, main=True, disabled=self.busy),
            self.world_choice(self.world),
            number("updates", "updates", str(self.updates), self._set_updates, disabled=self.busy),
            *self.working(),
        )

    def _picture(self, case: Case) -> tuple[Component, ...]:
        """Return what can be looked at, and the chosen side: groups of curves, or one response token by token."""
        desk, label = self.desk, "Compare with the healthy twin"
        names = [name for name in SHEETS if name != "critic" or case.trainer.algorithm.uses_critic]
        looks = row(
            "looks",
            radios("view", "Look at", [Option(name, name) for name in [*names, TOKENS]], desk.look, self._set_look),
            button("twin", label, self.compare, pressed=desk.twin, disabled=desk.look == TOKENS),
        )
        if desk.look != TOKENS:
            return (looks, curves(case, desk.look, twin=desk.twin))
        texts = (text if len(text) <= 40 else f"{text[:39]}\u2026" for text in case.last.rollout.responses)
        options = [Option(str(at), f"response {at + 1}: {text}") for at, text in enumerate(texts)]
        which = select("response", "show", options, str(desk.response), self._set_response, show_label=True)
        return (looks, row("which", which), token_table(case, desk.response))

    def _checks(self) -> Component:
        ordered = [
            button(f"check-{at}", check.title, partial(self.order, at), disabled=self.busy)
            for at, check in enumerate(CHECKS)
        ]
        return fold("checks", "Order a check", row("check-row", *ordered), opened=True)

    def _answer_row(self, case: Case) -> Component:
        options = [Option("", "what is wrong?"), *(Option(name, fault.title) for name, fault in catalogue().items())]
        over = case.solved or self.desk.given_up
        return row(
            "answer-row",
            select("answer", "It is", options, self.desk.chosen, self._set_chosen, show_label=True, disabled=over),
            button("name", "Name it", self.name_it, disabled=over or not self.desk.chosen),
            button("hint", "A hint", self.hint, disabled=over),
            button("ask", "Ask the checkup", self.ask, disabled=self.desk.asked),
            button("give-up", "Give up", self.give_up, disabled=over),
        )

    def _verdict(self, case: Case) -> tuple[Component, ...]:
        verdict, shown = self.desk.verdict, list[Component]()
        if self.desk.hinted and verdict is None:
            shown.append(finding("hinted", f"Hint: {case.hint()}"))
        if verdict is not None:
            shown.append(finding("verdict", verdict.explanation, good=verdict.right))
            if verdict.threads:
                shown.append(note("threads", f"Where it happened: {', '.join(verdict.threads)}"))
        if self.desk.asked:
            found = diagnose(case.history)
            for at, result in enumerate(found):
                words = f"{result.name}: {result.seen} {result.meaning}"
                shown.append(finding(f"found-{at}", words, good=result.severity == "note"))
            if not found:
                shown.append(finding("found-0", "The checkup finds nothing wrong in these numbers.", good=True))
        return tuple(shown)

    def _reading(self, case: Case) -> Words:
        """Return how far the case is and what to do next."""
        tried = len(case.answers)
        tally = f" {self.solved} of {self.cases} cases solved." if self.cases > 1 or case.solved else ""
        if case.solved:
            attempt = bold(f"Correct on attempt {tried}.")
            return (attempt, f" Draw another case, or look at this one once more.{tally}")
        if self.desk.given_up:
            return (f"Now you know what to look for in it. Draw another case.{tally}",)
        if self.doing == RUN:
            return (f"The run and its healthy twin are at update {len(case.healthy)}.",)
        return (
            f"You can look at {counted(len(case.history), 'update')}, and at every token of the last one. ",
            "Which two numbers should agree and do not?",
            f" You have answered {'once' if tried == 1 else f'{tried} times'}." if tried else "",
            tally,
        )

    # What the learner can do.

    def draw(self) -> None:
        """Hide a fault in a new run and start it."""
        case = draw_case(self.world, seed=self.seed, among=self.among)
        self.start_job(RUN, lambda job: self._run(case, job))
        self.case, self.desk = case, Desk()
        self.seed, self.cases = self.seed + 1, self.cases + 1

    def compare(self) -> None:
        """Show the healthy twin's curves, or hide them."""
        self.desk.twin = not self.desk.twin

    def order(self, at: int) -> None:
        """Run one of the checks in the background.

        Args:
            at: Its place in `CHECKS`.
        """
        case, check, desk = self._present(), CHECKS[at], self.desk

        def work(job: Job) -> None:
            job.report(0, 0, check.title.lower())
            found = check.do(case, job)
            with self._lock:
                desk.sightings[at] = found

        self.start_job(check.title, work)

    def name_it(self) -> None:
        """Give the chosen answer."""
        verdict = self._present().answer(self.desk.chosen)
        self.desk.verdict = verdict
        self.solved += verdict.right

    def hint(self) -> None:
        """Show where to look."""
        self._present()
        self.desk.hinted, self.desk.verdict = True, None

    def ask(self) -> None:
        """Show what the checkup finds in the numbers."""
        self._present()
        self.desk.asked = True

    def give_up(self) -> None:
        """Show the fault and its source."""
        hidden = self._present().reveal()
        words = f"It was this: {hidden.title}. It shows in this: {hidden.shows}. {hidden.story} {hidden.mend}"
        self.desk.given_up = True
        self.desk.verdict = Verdict(right=False, explanation=words, threads=hidden.threads)

    def enter(self, world: World) -> None:
        """Take the next cases from another world.

        Args:
            world: The world.
        """
        self.world, self.case, self.desk = world, None, Desk()
        self.updates, self._seconds = usual_updates(world), []

    # Inside.

    def _run(self, case: Case, job: Job) -> None:
        def report(done: int, total: int, _text: str) -> None:
            self._seconds = pace(case) or self._seconds
            speed = f", {fixed(sum(self._seconds) / len(self._seconds), 1)} s per update" if done else ""
            job.report(done, total, f"update {min(done + 1, total)} of {total}{speed}")

        case.run(self.updates, job=job.reporting(report))

    def _present(self) -> Case:
        """Return the case; raise LabError while there is none to look at."""
        if self.case is None or not self.case.healthy:
            raise LabError("case", "none", "draw one first")
        if self.doing == RUN:
            raise LabError("case", "running", "wait until it has run, or press Stop")
        return self.case

    def _set_updates(self, value: object) -> None:
        self.updates = read_whole("updates", value, low=1)

    def _set_look(self, view: str) -> None:
        self.desk.look = view

    def _set_response(self, at: str) -> None:
        self.desk.response = int(at)

    def _set_chosen(self, name: str) -> None:
        self.desk.chosen = name


def usual_updates(world: World) -> int:
    """Return how many updates a case has by default."""
    return FEW_UPDATES if is_large(world) else UPDATES


def pace(case: Case) -> list[float]:
    """Return the seconds that the updates of a case took, each together with that of the healthy twin."""
    pairs = zip(case.history, case.healthy, strict=False)  # one of the two may be an update ahead
    return [sum(run.seconds.values()) + sum(twin.seconds.values()) for run, twin in pairs]


def price_words(world: World, updates: int, seconds: Sequence[float]) -> str:
    """Return how long a case takes: as measured on this machine, where there was one in this world."""
    words = f"A case is {counted(updates, 'update')} of a run, and as many of its healthy twin"
    if seconds:
        return f"{words}: {about(updates * sum(seconds) / len(seconds))} here, by the last case."
    if is_large(world):
        return f"{words}. With a model of this size that may take minutes: the first update will show."
    return f"{words}."


def settings_words(case: Case) -> str:
    """Return what the run was asked to do, as far as it matters here."""
    config, algorithm = case.trainer.config, case.trainer.algorithm
    groups = f" in groups of {config.samples_per_prompt}" if config.samples_per_prompt > 1 else ""
    whiten = "weights whitened" if config.whiten and "whiten" in algorithm.fields else "weights not whitened"
    return (
        f"{algorithm.title} \u00b7 {config.batch_size} responses{groups} per update, in micro-batches of "
        f"{config.micro_batch_size} \u00b7 {counted(config.epochs, 'epoch')} \u00b7 {whiten} \u00b7 {config.reducer} "
        f"\u00b7 KL coefficient {plain(config.kl_coef)} in the {config.kl_in}"
    )


def curves(case: Case, view: str, *, twin: bool) -> Component:
    """Return one group of curves, with the healthy twin's in grey if `twin`."""
    run, healthy = ([record.metrics for record in history] for history in (case.history, case.healthy))
    rows = [
        metrics | ({f"{TWIN}{name}": value for name, value in healthy[at].items()} if at < len(healthy) else {})
        for at, metrics in enumerate(map(dict, run))
    ]
    alone = case.trainer.config.samples_per_prompt == 1  # a group of one is always silent, which says nothing
    shown = []
    for sheet in SHEETS[view]:
        if sheet.curves[0].metric in run[0] and not (alone and sheet.key == "silent"):
            least = NARROWEST if sheet.unit in {"share", "ratio"} else 1e-6
            twins = [  # both grey, and two at the most
                Curve(f"{TWIN}{curve.metric}", f"healthy {curve.label}", "dim", dash)
                for curve, dash in zip(sheet.curves, ("dash", "dot"), strict=False)
            ]
            shown.append(sheet.draw(rows, also=twins if twin else (), least=least))
    return columns("sheets", *shown)


def token_table(case: Case, shown: int) -> Component:
    """Return one response of the last update with all that is recorded of each token."""
    opened, policy = case.last, case.trainer.world.policy
    rows, recorded = opened.rollout, token_columns(opened)
    ids = rows.response_ids(shown)
    kept = {title: recorded[name][shown, : len(ids)].tolist() for title, name in COLUMNS.items()}
    trained = recorded["loss_mask"][shown, : len(ids)].tolist()
    body: list[list[Span | str]] = [
        [
            visible(policy.token_text(token)),
            *(fixed(column[at], 3 if title == "ratio" else 2) for title, column in kept.items()),
            "yes" if trained[at] else "no",
        ]
        for at, token in enumerate(ids)
    ]
    paid = float(opened.scores.per_token[shown][rows.response_mask[shown]].sum())
    end = "it ended with the end token" if bool(rows.ended[shown]) else "it was cut at the limit"
    words = (
        f"Update {case.trainer.index}: the response scores {fixed(float(opened.scores.total[shown]), signed=True)}, "
        f"its tokens were paid {fixed(paid, signed=True)} in total; {end}."
    )
    heads = [Column("token"), *(Column(title, numeric=True) for title in kept), Column("trained")]
    prompt = f"{rows.prompts[shown]} \u2192 {rows.responses[shown]}"
    return group("tokens", table("token-table", prompt, heads, body), note("token-note", words))
