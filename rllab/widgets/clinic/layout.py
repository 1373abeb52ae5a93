"""What can be looked at in a case: groups of curves, one response token by token, what the checkup says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rllab.course.clinic import Case
from rllab.plots.charts import Curve, training_curves
from rllab.plots.text import fixed, plain
from rllab.trainer.diagnostics import diagnose
from rllab.trainer.update_trace import token_columns
from rllab.widgets.engine.charts import Column, chart, table, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Set,
    Span,
    columns,
    finding,
    group,
    heading,
    note,
    select,
)
from rllab.widgets.shared.metric import explained

TWIN = "healthy "  # in front of a metric: the same of the run without the fault
SCORE = "objective/scores"
TOKENS = "tokens"
NARROWEST = 0.1  # of an axis of shares or ratios: a flat line is no place for seven digits


@dataclass(frozen=True)
class Sheet:
    """One chart of a case: its title, unit and curves."""

    key: str
    title: str
    unit: str
    curves: tuple[Curve, ...]


SHEETS: dict[str, tuple[Sheet, ...]] = {
    "reward and KL": (
        Sheet(
            "paid",
            "score, and what the tokens were paid",
            "reward",
            (Curve(SCORE, "score", "reward"), Curve("objective/rlhf_reward", "paid", "kl")),
        ),
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
            "mean value and mean return",
            "reward",
            (Curve("critic/values/mean", "V", "value"), Curve("critic/returns/mean", "return", "reward")),
        ),
        Sheet("explained", "explained variance of V", "share", (Curve("critic/vf_explained_var", "V", "value"),)),
        Sheet("vloss", "value loss", "reward\u00b2", (Curve("loss/value_avg", "loss", "value"),)),
        Sheet("vnorm", "gradient norm of the critic", "", (Curve("critic/grad_norm", "norm", "value"),)),
    ),
    "texts and steps": (
        Sheet(
            "entropy",
            "entropy, and surprise of what was written",
            "nats",
            (Curve("objective/entropy", "entropy", "policy"), Curve("objective/entropy_sampled", "surprise", "ink")),
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


def views(case: Case) -> list[Option]:
    """Return what can be looked at: no critic's curves where there is none."""
    names = [name for name in SHEETS if name != "critic" or case.trainer.algorithm.uses_critic]
    return [Option(name, name) for name in [*names, TOKENS]]


def curves(case: Case, view: str, *, twin: bool) -> Component:
    """Draw one group of curves, with the healthy twin's in grey where that is asked for."""
    run, well = ([record.metrics for record in history] for history in (case.history, case.healthy))
    rows = [
        {**metrics, **({f"{TWIN}{name}": value for name, value in well[at].items()} if at < len(well) else {})}
        for at, metrics in enumerate(run)
    ]
    known = [sheet for sheet in SHEETS[view] if sheet.curves[0].metric in run[0]]
    alone = case.trainer.config.samples_per_prompt == 1  # a group of one is always silent, and says nothing
    shown = [_sheet(sheet, rows, twin=twin) for sheet in known if not (alone and sheet.key == "silent")]
    return columns("sheets", *shown)


def _sheet(sheet: Sheet, rows: Sequence[dict[str, float]], *, twin: bool) -> Component:
    lines = list(sheet.curves)
    if twin:
        lines += [
            Curve(f"{TWIN}{one.metric}", f"healthy {one.label}", "dim", dash)
            for one, dash in zip(sheet.curves, ("dash", "dot"), strict=False)  # grey both, and two at the most
        ]
    names = ", ".join(one.label for one in lines)
    least = NARROWEST if sheet.unit in {"share", "ratio"} else 1e-6
    drawn = training_curves(rows, lines, y=sheet.unit, least=least)
    picture = chart(sheet.key, drawn, f"{sheet.title} by update: {names}", height=180)
    title = heading(f"{sheet.key}-title", explained(sheet.title, sheet.curves[-1].metric))
    return group(f"{sheet.key}-group", title, picture)


def token_table(case: Case, shown: int) -> Component:
    """Return one response of the last update with all that is written down of each of its tokens."""
    opened, policy = case.last, case.trainer.world.policy
    rows, columns_ = opened.rollout, token_columns(opened)
    ids = rows.response_ids(shown)
    kept = {title: columns_[name][shown, : len(ids)].tolist() for title, name in COLUMNS.items()}
    trained = columns_["loss_mask"][shown, : len(ids)].tolist()
    body: list[list[Span | str]] = [
        [
            visible(policy.token_text(token)),
            *(fixed(column[at], 3 if title == "ratio" else 2) for title, column in kept.items()),
            "yes" if trained[at] else "no",
        ]
        for at, token in enumerate(ids)
    ]
    paid = float(opened.scores.per_token[shown][rows.response_mask[shown]].sum())
    end = "it ended by itself" if bool(rows.ended[shown]) else "it was cut at the limit"
    said = (
        f"Update {case.trainer.index}: its score is {fixed(float(opened.scores.total[shown]), signed=True)}, its "
        f"tokens were paid {fixed(paid, signed=True)} together; {end}."
    )
    heads = [Column("token"), *(Column(title, numeric=True) for title in kept), Column("trained")]
    prompt = f"{rows.prompts[shown]} \u2192 {rows.responses[shown]}"
    return group("tokens", table("token-table", prompt, heads, body), note("token-note", said))


def response_choice(case: Case, shown: int, on_set: Set) -> Component:
    """Return the list of the last update's responses."""
    texts = case.last.rollout.responses
    options = [Option(str(at), f"response {at + 1}: {_short(text)}") for at, text in enumerate(texts)]
    return select("response", "show", options, str(shown), on_set, show_label=True)


def settings_words(case: Case) -> str:
    """Say what the run was asked to do, as far as it matters here."""
    config, algorithm = case.trainer.config, case.trainer.algorithm
    groups = f" in groups of {config.samples_per_prompt}" if config.samples_per_prompt > 1 else ""
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    whiten = "weights whitened" if config.whiten and "whiten" in algorithm.fields else "weights not whitened"
    return (
        f"{algorithm.title} \u00b7 {config.batch_size} responses{groups} an update, in micro-batches of "
        f"{config.micro_batch_size} \u00b7 {epochs} \u00b7 {whiten} \u00b7 {config.reducer} \u00b7 KL "
        f"coefficient {plain(config.kl_coef)} in the {config.kl_in}"
    )


def checkup(case: Case) -> tuple[Component, ...]:
    """Return what the run doctor says of the case's numbers."""
    found = diagnose(case.history)
    said = [
        finding(f"found-{at}", f"{one.name}: {one.seen} {one.meaning}", good=one.severity == "note")
        for at, one in enumerate(found)
    ]
    return tuple(said) or (finding("found-0", "The checkup finds nothing wrong in these numbers.", good=True),)


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"
