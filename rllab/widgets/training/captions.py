"""What the training panel says and draws of a run: its sentence, findings, curves and samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllab.core.config import Config
from rllab.plots.charts import Beside, Curve, training_curves
from rllab.plots.drawing import Drawing
from rllab.plots.text import fixed, plain
from rllab.trainer.trainer import Trainer
from rllab.widgets.engine.components import Span, bold

Words = tuple[Span | str, ...]
Metrics = Mapping[str, float]

SCORE, GOLD, KL = "objective/scores", "eval/gold", "objective/kl"
RATIO_ERROR = 1e-4  # float32 log-probs, summed over a batch, agree to about this
PHASES = {
    "rollout": "the responses are written",
    "score": "they are scored",
    "targets": "advantages are made",
    "loss": "the loss is measured",
    "step": "the weights have moved",
}


@dataclass(frozen=True)
class Picture:
    """One chart of the panel: key, title, unit of the y axis, its lines, and whether it is folded away."""

    key: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    folded: bool = False


def pictures(trainer: Trainer) -> list[Picture]:
    """Return the charts that make sense for this run: no explained variance without a critic."""
    gold = () if trainer.world.gold is None else (Curve(GOLD, "gold", "reward", "dash"),)
    score = Curve(SCORE, trainer.world.reward.name, "reward")
    critic = trainer.algorithm.uses_critic
    explained = Picture(
        "explained", "explained variance of V", "share", (Curve("critic/vf_explained_var", "V", "value"),)
    )
    entropy = Curve("objective/entropy", "entropy", "policy")
    return [
        Picture("score", "score", "reward", (score, *gold)),
        Picture("kl", "KL to the reference", "nats per response", (Curve(KL, "KL", "kl"),)),
        *([explained] if critic else []),
        Picture("entropy", "entropy of the next token", "nats", (entropy,), folded=critic),
        Picture(
            "length",
            "length of a response",
            "tokens",
            (Curve("completions/mean_length", "length", "ink"),),
            folded=True,
        ),
    ]


def draw(picture: Picture, history: Sequence[Metrics], beside: Sequence[Beside] = ()) -> Drawing:
    """Return the figure of one chart, other runs dotted under it."""
    return training_curves(history, picture.curves, y=picture.unit, beside=beside)


def reading(trainer: Trainer, history: Sequence[Metrics]) -> Words:
    """Say in one sentence what the run has done, in the numbers at the ends of the curves."""
    if not history:
        size, idea = trainer.config.batch_size, trainer.algorithm.idea
        return (f"In each update the policy writes {size} responses. {trainer.algorithm.title}: {idea}. Press Start.",)
    first, last = history[0], history[-1]
    words: Words = (f"After {len(history)} updates the score went{_path(history, SCORE)}", bold(_signed(last, SCORE)))
    if len(history) == 1:
        words = ("In the first update the score was ", bold(_signed(last, SCORE)))
    if GOLD in last:
        words += (f", gold{_path(history, GOLD)}", bold(_signed(last, GOLD)))
    words += (", and a response is ", bold(fixed(last[KL])), " nats from the reference.")
    if GOLD in last and last[SCORE] > first[SCORE] and last[GOLD] < first[GOLD]:
        words += (" The score rose while gold fell: the policy learns what the reward gets wrong.",)
    return words


def ratio_finding(history: Sequence[Metrics]) -> tuple[str, bool] | None:
    """Say whether every update began at ratio 1 with nothing clipped, and whether that is as it should be."""
    if not history:
        return None
    for update, metrics in enumerate(history, 1):
        ratio, clipped = metrics["val/ratio_first"], metrics["policy/clipfrac_first"]
        if abs(ratio - 1) > RATIO_ERROR or clipped > 0 or math.isnan(ratio):
            share = fixed(100 * clipped, 1)
            words = f"In update {update} the first epoch began at ratio {fixed(ratio, 4)} with {share}% clipped"
            return f"{words}: the log-probs of the rollout and of the update disagree.", False
    clipped = history[-1].get("policy/clipfrac_avg", 0.0)
    last = f"; in the last update {fixed(100 * clipped, 1)}% of the tokens were clipped over all epochs"
    return f"Ratio was 1 and clip fraction 0 on the first epoch of every update{last}.", True


def settings(config: Config) -> str:
    """Return the settings that the panel has no box for, in one line."""
    return (
        f"{config.batch_size} responses of at most {config.max_new_tokens} tokens an update \u00b7 "
        f"{config.epochs} epochs \u00b7 reducer {config.reducer} \u00b7 \u03b3 {plain(config.gamma)} \u00b7 "
        f"\u03bb {plain(config.lam)} \u00b7 clip {plain(config.clip_eps)} \u00b7 "
        f"KL in the {config.kl_in} ({config.kl_estimator}) \u00b7 temperature {plain(config.temperature)}"
    )


def sample_rows(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], *, update: int, gold: bool
) -> list[list[Span | str]]:
    """Return table rows: each prompt's response before training and after an update, with its scores."""
    rows: list[list[Span | str]] = []
    for old, new in zip(before, now or before, strict=True):
        rows.append(_sample_row("before", old, gold=gold))
        if now:
            rows.append(_sample_row(f"after\u00a0{update}", new, gold=gold))
    return rows


def _sample_row(when: str, sample: Mapping[str, Any], *, gold: bool) -> list[Span | str]:
    ending = "" if sample["ended"] else " \u2026 (cut at the limit)"
    text = f"{sample['prompt']} \u2192 {sample['response']}{ending}"
    numbers = [sample["score"], *([sample["gold"]] if gold else [])]
    return [when, text, *(Span(fixed(number, signed=True), tone=_tone(number)) for number in numbers)]


def _tone(number: float) -> str:
    return "up" if number > 0 else "down" if number < 0 else ""


def _path(history: Sequence[Metrics], name: str) -> str:
    """Return where a metric came from, once there is a way that it has gone."""
    return f" from {_signed(history[0], name)} to " if len(history) > 1 else " "


def _signed(metrics: Metrics, name: str) -> str:
    return fixed(metrics[name], signed=True)
