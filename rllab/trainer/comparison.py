"""Comparisons: runs next to runs, with confidence bands, and control arms that must not learn."""

from __future__ import annotations

import dataclasses
import math
import statistics
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, RunRecord, Scores, Targets, UpdateRecord
from rllab.trainer.stages import STAGES, Context, Stages, derived_seed
from rllab.trainer.trainer import Trainer
from rllab.worlds.world import World

# ---- Curves of several seeds as one: mean and confidence band, and the difference of two arms seed by see ----

# Two-sided 95% quantiles of Student's t for 1 to 30 degrees of freedom; beyond that the normal one is near enough.
T_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class Band:
    """One metric over updates: the mean of several seeds, and where the mean lies with 95% confidence.

    One seed has no band: low and high are the curve itself, and `seeds` says so.
    """

    metric: str
    updates: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Interval:
    """The mean of some numbers with its 95% confidence interval."""

    mean: float
    low: float
    high: float
    count: int


def interval(numbers: Sequence[float]) -> Interval:
    """Return mean and 95% interval by Student's t; numbers that are none are left out."""
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = statistics.fmean(finite)
    if len(finite) == 1:
        return Interval(mean, mean, mean, 1)
    freedom = len(finite) - 1
    quantile = T_QUANTILES[freedom - 1] if freedom <= len(T_QUANTILES) else NORMAL_QUANTILE
    reach = quantile * statistics.stdev(finite) / math.sqrt(len(finite))
    return Interval(mean, mean - reach, mean + reach, len(finite))


def band(histories: Sequence[Sequence[UpdateRecord]], metric: str) -> Band:
    """Average the curves of several seeds, up to the shortest."""
    length = min((len(history) for history in histories), default=0)
    if not length:
        raise LabError("runs", len(histories), "each needs at least one finished update")
    for history in histories:
        if metric not in history[0].metrics:
            raise LabError.choice("metric", metric, history[0].metrics, reason="these runs do not log it")
    points = [interval([history[k].metrics[metric] for history in histories]) for k in range(length)]
    return Band(
        metric=metric,
        updates=tuple(histories[0][k].index for k in range(length)),
        mean=tuple(point.mean for point in points),
        low=tuple(point.low for point in points),
        high=tuple(point.high for point in points),
        seeds=len(histories),
    )


def final(history: Sequence[UpdateRecord], metric: str, *, last: int = 10) -> float:
    """Return the mean of a metric over the last updates of a run."""
    return statistics.fmean(record.metrics[metric] for record in history[-last:])


def difference(
    first: Sequence[Sequence[UpdateRecord]], second: Sequence[Sequence[UpdateRecord]], metric: str
) -> Interval:
    """Return how much more the first arm ends with, seed by seed: the same seed wrote the same first texts in both."""
    if len(first) != len(second):
        raise LabError("seeds", f"{len(first)} and {len(second)}", "compare arms that ran the same seeds")
    return interval([final(one, metric) - final(other, metric) for one, other in zip(first, second, strict=True)])


# ---- Control arms: the same run with what should matter taken out, over several seeds ----


@dataclass(frozen=True)
class Arm:
    """One way to run, and what is to be expected of it."""

    name: str
    expects: str  # one sentence
    stages: Stages


def random_reward(context: Context, rows: Rollout) -> Scores:
    """Give each response the scores of another: their distribution stays, their relation to the text is lost."""
    scores = STAGES.score(context, rows)
    order = _shuffled(len(rows), context, "random reward")
    total = scores.total[order]
    last = rows.response_mask & (rows.response_mask.cumsum(dim=1) == rows.lengths[:, None])
    per_token = torch.where(last, total[:, None], torch.zeros_like(scores.per_token))
    return Scores(total, {name: part[order] for name, part in scores.parts.items()}, per_token)


def shuffled_weights(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Deal the weights out anew among the tokens of the batch: as large as before, but on the wrong tokens."""
    targets = STAGES.targets(context, rows, scores)
    weights = targets.policy_weights.clone()
    dealt = weights[targets.loss_mask]
    weights[targets.loss_mask] = dealt[_shuffled(len(dealt), context, "shuffled weights")]
    return dataclasses.replace(targets, policy_weights=weights)


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
        """Return for each control arm whether the run did better."""
        return [_said(self.metric, arm, self.gain(arm)) for arm in self.histories if arm != TRAINED.name]


def study(
    world: World,
    algorithm: str = "ppo",
    config: Config | None = None,
    *,
    updates: int,
    seeds: Sequence[int] = (0, 1, 2),
    placebo: bool = True,
    job: Job = NO_JOB,
) -> Study:
    """Run several seeds of one setting and, with `placebo`, of the control arms.

    Args:
        world: The world to train in.
        algorithm: reinforce, a2c, ppo, rloo or grpo.
        config: The settings; by default the world's.
        updates: Updates of each run.
        seeds: One run of each arm for each seed.
        placebo: Whether the control arms (random reward, shuffled weights, frozen policy) run too.
        job: Receives the progress over all runs.

    Returns:
        The histories of all runs, with verdicts in words.

    Raises:
        LabError: If there are no seeds.
    """
    if not seeds:
        raise LabError("seeds", list(seeds), "give at least one")
    plan = [(seed, arm) for seed in seeds for arm in (ARMS if placebo else ARMS[:1])]
    histories: dict[str, tuple[list[UpdateRecord], ...]] = {}
    for number, (seed, arm) in enumerate(plan):
        trainer = Trainer(world, algorithm, config, seed=seed, stages=arm.stages)
        part = _part(job, number * updates, len(plan) * updates, f"{arm.name}, seed {seed}")
        trainer.run(updates, job=part)
        job.check()
        histories[arm.name] = (*histories.get(arm.name, ()), trainer.history)
    metric = "eval/gold" if world.gold is not None else "objective/scores"
    return Study(metric, tuple(seeds), histories)


def _part(job: Job, done: int, whole: int, name: str) -> Job:
    """Return a job that reports one run's progress as part of the whole study."""
    return job.reporting(lambda here, _, text: job.report(done + here, whole, f"{name}: {text}"))


def _shuffled(count: int, context: Context, purpose: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derived_seed(context.seed, purpose, context.index))
    return torch.randperm(count, generator=generator)


def _said(metric: str, arm: str, gain: Interval) -> str:
    """Return one difference with its interval in words."""
    if gain.count < 2:
        return f"{metric}: {gain.mean:+.3f} over {arm} on one seed, which shows nothing; run more seeds."
    where = f"{gain.mean:+.3f} (95% interval {gain.low:+.3f} to {gain.high:+.3f}, {gain.count} seeds)"
    if gain.low > 0:
        return f"{metric}: the run ends {where} above {arm}: more than chance."
    if gain.high < 0:
        return f"{metric}: the run ends {where} below {arm}: it does harm."
    return f"{metric}: the run ends {where} compared with {arm}: no significant difference."


# ---- Runs next to runs: their settings, what differs, and their curves as arms with bands ----


@dataclass(frozen=True)
class RunArm:
    """Runs that differ in nothing but their seed."""

    name: str
    runs: tuple[RunRecord, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of the runs."""
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True)
class RunComparison:
    """Arms with what tells them apart."""

    arms: tuple[RunArm, ...]
    differences: Mapping[str, tuple[Any, ...]]  # setting -> its value in each arm; settings that agree are left out

    @property
    def metrics(self) -> list[str]:
        """Return the metrics that all runs log, in their order."""
        histories = [run.history for arm in self.arms for run in arm.runs]
        return [name for name in histories[0][0].metrics if all(name in one[0].metrics for one in histories)]

    def bands(self, metric: str) -> dict[str, Band]:
        """Return one curve with its band for each arm."""
        return {arm.name: band([run.history for run in arm.runs], metric) for arm in self.arms}

    def in_words(self, metric: str) -> list[str]:
        """Return in words what differs and where each arm ends."""
        said = [f"{name}: {' | '.join(str(value) for value in values)}" for name, values in self.differences.items()]
        lines = ["They differ in " + "; ".join(said) + "."] if said else ["They differ in nothing but the seed."]
        for arm in self.arms:
            end = interval([final(run.history, metric) for run in arm.runs])
            within = f" (95% interval {end.low:.3f} to {end.high:.3f})" if end.count > 1 else ", on one seed"
            lines.append(f"{arm.name}: {metric} ends at {end.mean:.3f}{within}.")
        return lines


def compare_runs(runs: Sequence[RunRecord]) -> RunComparison:
    """Group runs into arms of equal settings, and find what differs between the arms.

    Args:
        runs: Recorded runs.

    Returns:
        The arms with the settings that differ between them.

    Raises:
        LabError: If there are no runs, or they cannot be compared.
    """
    for run in runs:
        if not run.history:
            raise LabError("run", run.name, "it has no finished update yet")
    if not runs:
        raise LabError("runs", [], "give at least one run")
    sorted_runs: dict[str, list[RunRecord]] = {}
    for run in runs:
        sorted_runs.setdefault(repr(sorted(_asked(run).items())), []).append(run)
    asked = [_asked(group[0]) for group in sorted_runs.values()]
    differing = [name for name in asked[0] if any(settings[name] != asked[0][name] for settings in asked)]
    names = [_name(group[0], differing) for group in sorted_runs.values()]
    arms = [RunArm(name, tuple(group)) for name, group in zip(_told_apart(names), sorted_runs.values(), strict=True)]
    return RunComparison(tuple(arms), {name: tuple(settings[name] for settings in asked) for name in differing})


def recorded(trainer: Trainer, *, name: str = "") -> RunRecord:
    """Return a run in memory as a record for comparison."""
    config = trainer.history[0].config if trainer.history else asdict(trainer.config)
    label = name or f"{trainer.algorithm.title}, seed {trainer.seed}"
    return RunRecord(label, trainer.world.name, trainer.algorithm.name, trainer.seed, config, list(trainer.history))


def _asked(run: RunRecord) -> dict[str, Any]:
    """Return all that a run was asked but for its seed; settings that were changed on the way are told."""
    changed = [record.index for record in run.history if dict(record.config) != dict(run.config)]
    later = f"from update {changed[0]}" if changed else "no"
    return {"world": run.world, "algorithm": run.algorithm, **run.config, "changed on the way": later}


def _name(run: RunRecord, differing: Sequence[str]) -> str:
    """Name an arm by what is its own."""
    asked = _asked(run)
    own = [str(asked[name]) if name in {"world", "algorithm"} else f"{name} {asked[name]}" for name in differing]
    return ", ".join(own[:4]) or run.name


def _told_apart(names: Sequence[str]) -> list[str]:
    """Number names that occur twice."""
    return [f"{name} ({names[:k].count(name) + 1})" if names.count(name) > 1 else name for k, name in enumerate(names)]


# ---- Kept runs: forks with a letter each, drawn under the curves of the current run ----

MOST = 4  # more lines in one picture cannot be told apart


class KeptRuns:
    """A few runs by letter; none of them changes while it is kept."""

    def __init__(self) -> None:
        self._runs: dict[str, Trainer] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the letters, the one kept first before the others."""
        return iter(self._runs)

    def __len__(self) -> int:
        """Return how many runs are kept."""
        return len(self._runs)

    def run(self, letter: str) -> Trainer:
        """Return a run that is kept."""
        if letter not in self._runs:
            raise LabError.choice("kept run", letter, self._runs, reason="" if self._runs else "no run is kept yet")
        return self._runs[letter]

    def keep(self, trainer: Trainer) -> str:
        """Keep a fork of a run as it is now; return its letter."""
        if not trainer.history:
            raise LabError("run", "at its start", "it has no finished update yet that could be compared")
        if len(self._runs) >= MOST:
            raise LabError("runs kept", len(self._runs), f"at most {MOST} can be told apart; drop one first")
        letter = next(one for one in string.ascii_uppercase if one not in self._runs)
        self._runs[letter] = trainer.fork()
        return letter

    def swap(self, letter: str, present: Trainer) -> Trainer:
        """Return a kept run and keep the current one in its place."""
        kept = self.run(letter)
        self._runs[letter] = present
        return kept

    def drop(self, letter: str) -> None:
        """Drop a kept run."""
        self.run(letter)
        del self._runs[letter]

    def difference(self, letter: str, present: Trainer) -> str:
        """Return which settings of a kept run differ from the current one's, as the end of a sentence."""
        kept = self.run(letter)
        if not present.history or not kept.history:
            return "cannot be compared before both have finished an update"
        asked = compare_runs([recorded(kept, name=letter), recorded(present)]).differences
        if asked:
            pairs = (f"{name}: {theirs}, here {ours}" for name, (theirs, ours) in asked.items())
            return f"differs in {'; '.join(pairs)}"
        if kept.seed != present.seed:
            return f"has seed {kept.seed}, here {present.seed}"
        return "has the same settings and seed"
