"""Runs beside runs: what they were asked, what differs, and their curves as arms with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rllab.core.errors import LabError
from rllab.core.records import RunRecord
from rllab.trainer.comparison.bands import Band, band, final, interval
from rllab.trainer.trainer import Trainer


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
        """Say what differs, and where each arm ends."""
        said = [f"{name}: {' | '.join(str(value) for value in values)}" for name, values in self.differences.items()]
        lines = ["They differ in " + "; ".join(said) + "."] if said else ["They differ in nothing but the seed."]
        for arm in self.arms:
            end = interval([final(run.history, metric) for run in arm.runs])
            within = f" (95% interval {end.low:.3f} to {end.high:.3f})" if end.count > 1 else ", on one seed"
            lines.append(f"{arm.name}: {metric} ends at {end.mean:.3f}{within}.")
        return lines


def compare_runs(runs: Sequence[RunRecord]) -> RunComparison:
    """Sort runs into arms of equal settings, and find what tells the arms apart."""
    for run in runs:
        if not run.history:
            raise LabError("run", run.name, "it has no finished update yet")
    if not runs:
        raise LabError("runs", [], "give at least one run")
    sorted_runs: dict[str, list[RunRecord]] = {}
    for run in runs:
        sorted_runs.setdefault(repr(sorted(_asked(run).items())), []).append(run)
    asked = [_asked(group[0]) for group in sorted_runs.values()]
    differing = [name for name in asked[0] if any(one[name] != asked[0][name] for one in asked)]
    names = [_name(group[0], differing) for group in sorted_runs.values()]
    arms = [RunArm(name, tuple(group)) for name, group in zip(_told_apart(names), sorted_runs.values(), strict=True)]
    return RunComparison(tuple(arms), {name: tuple(one[name] for one in asked) for name in differing})


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
