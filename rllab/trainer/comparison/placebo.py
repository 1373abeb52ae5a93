"""Control arms: the same run with what should matter taken out, over several seeds."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from rllab.core.config import Config
from rllab.core.errors import LabError, Stopped
from rllab.core.records import Rollout, Scores, Targets, UpdateRecord
from rllab.policy.generation import Progress
from rllab.trainer.comparison.bands import Band, Interval, band, difference
from rllab.trainer.stages import STAGES, Context, Stages, derived_seed
from rllab.trainer.trainer import Trainer
from rllab.worlds.world import World


@dataclass(frozen=True)
class Arm:
    """One way to run, and what is to be expected of it."""

    name: str
    expects: str  # one sentence
    stages: Stages


def random_reward(context: Context, rows: Rollout) -> Scores:
    """Give each response the scores of another one: their distribution stays, what they say of the text goes."""
    scores = STAGES.score(context, rows)
    order = _shuffled(len(rows), context, "random reward")
    total = scores.total[order]
    last = rows.response_mask & (rows.response_mask.cumsum(dim=1) == rows.lengths[:, None])
    per_token = torch.where(last, total[:, None], torch.zeros_like(scores.per_token))
    return Scores(total, {name: part[order] for name, part in scores.parts.items()}, per_token)


def shuffled_weights(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Deal the weights out anew among the tokens of the batch: as large as before, but on the wrong tokens."""
    aims = STAGES.targets(context, rows, scores)
    weights = aims.weights.clone()
    dealt = weights[aims.mask]
    weights[aims.mask] = dealt[_shuffled(len(dealt), context, "shuffled weights")]
    return dataclasses.replace(aims, weights=weights)


def frozen_policy(context: Context) -> dict[str, float]:
    """Take the optimizer step for the critic alone: the policy gets no gradient."""
    for parameter in context.parameters:
        parameter.grad = None
    return STAGES.step(context)


TRAINED = Arm("trained", "the run itself", STAGES)
ARMS: tuple[Arm, ...] = (
    TRAINED,
    Arm("random reward", "gold stays within noise: nothing can be learned from it", Stages(score=random_reward)),
    Arm(
        "shuffled weights",
        "gold stays within noise: the credit goes to tokens at random",
        Stages(targets=shuffled_weights),
    ),
    Arm("frozen policy", "the curve is sampling noise alone", Stages(step=frozen_policy)),
)


@dataclass(frozen=True)
class Study:
    """Arms and seeds of one question, with the histories of all runs."""

    metric: str
    seeds: tuple[int, ...]
    histories: Mapping[str, tuple[list[UpdateRecord], ...]]  # arm -> one history per seed

    def bands(self, metric: str = "") -> dict[str, Band]:
        """Return one curve with its band for each arm."""
        return {arm: band(runs, metric or self.metric) for arm, runs in self.histories.items()}

    def gain(self, arm: str) -> Interval:
        """Return how much more the trained arm ends with than another, seed by seed."""
        return difference(self.histories[TRAINED.name], self.histories[arm], self.metric)

    def verdict(self) -> list[str]:
        """Say for each control arm whether the run has done more than it."""
        return [_said(self.metric, arm, self.gain(arm)) for arm in self.histories if arm != TRAINED.name]


def study(
    world: World,
    algorithm: str = "ppo",
    config: Config | None = None,
    *,
    updates: int,
    seeds: Sequence[int] = (0, 1, 2),
    placebo: bool = True,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Study:
    """Run several seeds and, with `placebo`, the control arms beside them."""
    if not seeds:
        raise LabError("seeds", list(seeds), "give at least one")
    plan = [(seed, arm) for seed in seeds for arm in (ARMS if placebo else ARMS[:1])]
    stop = stop or threading.Event()
    histories: dict[str, tuple[list[UpdateRecord], ...]] = {}
    for number, (seed, arm) in enumerate(plan):
        trainer = Trainer(world, algorithm, config, seed=seed, stages=arm.stages)
        shown = _shifted(progress, number * updates, len(plan) * updates, f"{arm.name}, seed {seed}")
        trainer.run(updates, stop=stop, progress=shown)
        if stop.is_set():
            raise Stopped
        histories[arm.name] = (*histories.get(arm.name, ()), trainer.history)
    metric = "eval/gold" if world.gold is not None else "objective/scores"
    return Study(metric, tuple(seeds), histories)


def _shifted(progress: Progress | None, done: int, whole: int, name: str) -> Progress | None:
    """Show one run's progress as part of the whole study."""
    if progress is None:
        return None
    return lambda here, _, text: progress(done + here, whole, f"{name}: {text}")


def _shuffled(count: int, context: Context, purpose: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derived_seed(context.seed, purpose, context.index))
    return torch.randperm(count, generator=generator)


def _said(metric: str, arm: str, gain: Interval) -> str:
    """Say one difference with its interval."""
    if gain.count < 2:
        return f"{metric}: {gain.mean:+.3f} over {arm} on one seed, which shows nothing; run more seeds."
    where = f"{gain.mean:+.3f} (95% interval {gain.low:+.3f} to {gain.high:+.3f}, {gain.count} seeds)"
    if gain.low > 0:
        return f"{metric}: the run ends {where} above {arm}: more than chance."
    if gain.high < 0:
        return f"{metric}: the run ends {where} below {arm}: it does harm."
    return f"{metric}: the run ends {where} beside {arm}: no difference is shown."
