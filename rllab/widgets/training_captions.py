"""What the training panel draws and says of a run: curves, the sentence, the checkup, samples, kept runs, seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rllab.core.config import Config
from rllab.core.records import UpdateRecord
from rllab.plots.charts import BANDS_HEIGHT, Curve, banded_curves
from rllab.plots.text import fixed, plain
from rllab.trainer.comparison import Study
from rllab.trainer.diagnostics import diagnose, summary
from rllab.trainer.trainer import Trainer
from rllab.value.critic import ZeroCritic
from rllab.widgets.engine.charts import Column, chart, table
from rllab.widgets.engine.components import Component, Span, Words, bold, finding, fold, group, heading, note, signed
from rllab.widgets.shared.curves import Sheet

Metrics = Mapping[str, float]

SCORE, GOLD, KL = "objective/scores", "eval/gold", "objective/kl"
RATIO_ERROR = 1e-4  # float32 log-probs, summed over a batch, agree to about this
ARM_ROLES = ("policy", "down", "reward", "edge")  # colours: the run itself, then the control arms


def pictures(trainer: Trainer) -> list[Sheet]:
    """Return the charts that make sense for this run: no explained variance without a critic."""
    critic = trainer.algorithm.uses_critic
    score = [Curve(SCORE, trainer.world.reward.name, "reward")]
    gold = [] if trainer.world.gold is None else [Curve(GOLD, "gold", "reward", "dash")]
    variance = Curve("critic/vf_explained_var", "V", "value")
    entropy = Curve("objective/entropy", "entropy", "policy")
    length = Curve("completions/mean_length", "length", "ink")
    return [
        Sheet("score", "score", "reward", (*score, *gold)),
        Sheet("kl", "KL to the reference", "nats per response", (Curve(KL, "KL", "kl"),)),
        *([Sheet("explained", "explained variance of V", "share", (variance,))] if critic else []),
        Sheet("entropy", "entropy of the next token", "nats", (entropy,), folded=critic),
        Sheet("length", "length of a response", "tokens", (length,), folded=True),
    ]


def learns_v(trainer: Trainer) -> bool:
    """Return whether a critic learns along with the policy."""
    return trainer.algorithm.uses_critic and not isinstance(trainer.world.critic, ZeroCritic)


def reading(trainer: Trainer, history: Sequence[Metrics]) -> Words:
    """Return in one sentence what the run has done, in the numbers at the ends of the curves."""
    if not history:
        size, idea = trainer.config.batch_size, trainer.algorithm.idea
        return (f"In each update the policy writes {size} responses. {trainer.algorithm.title}: {idea}. Press Start.",)
    first, last = history[0], history[-1]

    def change(name: str) -> tuple[str, Span]:
        start = f" from {fixed(first[name], signed=True)} to " if len(history) > 1 else " "
        return start, bold(fixed(last[name], signed=True))

    begin = f"After {len(history)} updates the score went" if len(history) > 1 else "In the first update the score was"
    gold = (", gold", *change(GOLD)) if GOLD in last else ()
    words = (begin, *change(SCORE), *gold, ", and a response is ", bold(fixed(last[KL])), " nats from the reference.")
    if GOLD in last and last[SCORE] > first[SCORE] and last[GOLD] < first[GOLD]:
        words += (" The score rose while gold fell: the policy learns what the reward gets wrong.",)
    return words


def ratio_finding(history: Sequence[Metrics]) -> tuple[Component, ...]:
    """Return whether every update began at ratio 1 with nothing clipped, as it should."""
    if not history:
        return ()
    for update, metrics in enumerate(history, 1):
        ratio, clipped = metrics["val/ratio_first"], metrics["policy/clipfrac_first"]
        if abs(ratio - 1) > RATIO_ERROR or clipped > 0 or math.isnan(ratio):
            share = fixed(100 * clipped, 1)
            words = f"In update {update} the first epoch began at ratio {fixed(ratio, 4)} with {share}% clipped"
            return (finding("ratio", f"{words}: the log-probs of the rollout and of the update disagree."),)
    clipped = history[-1].get("policy/clipfrac_avg", 0.0)
    last = f"; in the last update {fixed(100 * clipped, 1)}% of the tokens were clipped over all epochs"
    words = f"Ratio was 1 and clip fraction 0 on the first epoch of every update{last}."
    return (finding("ratio", words, good=True),)


def settings(config: Config) -> str:
    """Return the settings that the panel has no box for, in one line."""
    return (
        f"{config.batch_size} responses of at most {config.max_new_tokens} tokens per update \u00b7 "
        f"{config.epochs} epochs \u00b7 reducer {config.reducer} \u00b7 \u03b3 {plain(config.gamma)} \u00b7 "
        f"\u03bb {plain(config.lam)} \u00b7 clip {plain(config.clip_eps)} \u00b7 "
        f"KL in the {config.kl_in} ({config.kl_estimator}) \u00b7 temperature {plain(config.temperature)}"
    )


def critic_finding(trainer: Trainer) -> tuple[Component, ...]:
    """Return a warning where an algorithm needs a critic and there is none: it trains all the same."""
    if learns_v(trainer) or not trainer.algorithm.uses_critic:
        return ()
    words = f"{trainer.algorithm.title} needs a critic but this world has none: V = 0 everywhere, so there is no "
    return (finding("no-critic", f"{words}baseline. RLOO and GRPO need no critic."),)


def checkup(history: Sequence[UpdateRecord]) -> tuple[Component, ...]:
    """Return the state of the run in one sentence and, folded, everything that was found, the gravest first."""
    if not history:
        return ()
    found = diagnose(history)
    head = finding("checkup", f"Checkup: {summary(found)}", good=all(item.severity == "note" for item in found))
    lines = []
    for place, item in enumerate(found):
        threads = f" Discussed in {', '.join(item.threads)}." if item.threads else ""
        words = (bold(item.name), f", from update {item.since} on. {item.seen} {item.meaning}{threads}")
        lines.append(finding(f"checkup-{place}", *words, good=item.severity == "note"))
    return (head, fold("checkup-fold", f"What the checkup sees ({len(found)})", *lines)) if found else (head,)


def samples_table(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], *, update: int, gold: bool
) -> tuple[Component, ...]:
    """Return each prompt's response before training and after an update, with its scores."""
    if not before:
        return ()
    names = ["score", "gold"] if gold else ["score"]
    rows: list[list[Span | str]] = []
    for old, new in zip(before, now or before, strict=True):
        for when, sample in (("before", old), *([(f"after\u00a0{update}", new)] if now else [])):
            ending = "" if sample["ended"] else " \u2026 (cut at the limit)"
            numbers = [signed(sample[name]) for name in names]
            rows.append([when, f"{sample['prompt']} \u2192 {sample['response']}{ending}", *numbers])
    head = [Column("when"), Column("same prompt, same seed"), *(Column(name, numeric=True) for name in names)]
    return (table("samples", "Responses before training and now", head, rows),)


def state_of(trainer: Trainer) -> str:
    """Return where a run has come to, in the numbers of its last update."""
    if not trainer.history:
        return "at its start"
    last = trainer.history[-1].metrics
    gold = f", gold {fixed(last[GOLD], signed=True)}" if GOLD in last else ""
    return f"score {fixed(last[SCORE], signed=True)}{gold}, KL {fixed(last[KL])} nats"


def study_group(study: Study) -> Component:
    """Return a test over several seeds: the run and its control arms as bands, and whether the run did more."""
    bands = study.bands()
    name = "gold" if study.metric == GOLD else "score"
    title = heading("study-title", f"{name}: mean of {len(study.seeds)} seeds with its 95% confidence interval")
    alt = f"{name} by update with bands: {', '.join(bands)}"
    drawn = chart("study-chart", banded_curves(bands, ARM_ROLES, y="reward"), alt, height=BANDS_HEIGHT)
    lines = [note(f"verdict-{place}", words) for place, words in enumerate(study.verdict())]
    head = [Column("arm"), Column("ends at", numeric=True), Column("95% interval", numeric=True)]
    rows = []
    for arm, band in bands.items():
        mean, low, high = (fixed(values[-1], signed=True) for values in (band.mean, band.low, band.high))
        rows.append([arm, mean, f"{low} to {high}"])
    return group("study", title, drawn, *lines, table("study-ends", "Where each arm ends", head, rows))
