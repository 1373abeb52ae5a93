"""Every fault of the clinic is visible and diagnosed as its page says; healthy runs raise no false alarms."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from benchmarks.result import Result
from rllab.core.records import UpdateRecord
from rllab.course.clinic import RUNS, Fault, begin, catalogue
from rllab.course.clinic.faults import HEALTHY
from rllab.trainer.diagnostics import diagnose
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import OpenedUpdate, open_update, token_columns
from rllab.worlds import World, load_world

UPDATES, SEEDS, STORY_SEEDS, STORY_UPDATES = 20, 20, 3, 12
TARGET = (
    f"each fault, in each of its runs on micro: visible in a view within {UPDATES} updates, diagnosed as its page "
    f"says, and not under another fault's name; no false alarm on {SEEDS} healthy seeds of each run on micro and "
    f"{STORY_SEEDS} on tales"
)


@dataclass(frozen=True)
class Looked:
    """The visible effects of one fault on one run."""

    fault: str
    run: str
    seen: tuple[str, ...]  # the views of its page that show the fault
    found: tuple[str, ...]  # the problems that the diagnostics report
    wanted: str

    @property
    def passed(self) -> bool:
        """Return whether the fault is visible, and diagnosed as its page says and not under another fault's name.

        The consequences of a fault (entropy collapse, an exploited reward) are not names of faults: they are true of
        the run, so the diagnostics may report them as well.
        """
        named = {fault.finding for fault in catalogue().values() if fault.finding}
        return bool(self.seen) and named & set(self.found) == ({self.wanted} if self.wanted else set())


def measure() -> Result:
    """Compare every fault with a healthy run of the same seed, then run healthy runs with many seeds."""
    world = load_world("micro")
    looked = [look(world, fault, run) for fault in catalogue().values() if fault.name != HEALTHY for run in fault.runs]
    wrong = [one for one in looked if not one.passed]
    ill, runs = healthy(world, range(SEEDS), UPDATES)
    story_ill, story_runs = healthy(load_world("tales"), range(STORY_SEEDS), STORY_UPDATES, runs=("ppo",))
    named, more = sum(bool(one.wanted) for one in looked), [one for one in looked if len(one.found) > bool(one.wanted)]
    figure = (
        f"{len(looked) - len(wrong)} of {len(looked)} pairs of fault and run as their pages say ({named} named, "
        f"{len(looked) - named} deliberately not); {len(ill) + len(story_ill)} false alarms on {runs + story_runs} "
        "healthy runs"
    )
    figure += "".join(f"; {one.fault} in {one.run}: found {' and '.join(one.found)}" for one in (*wrong, *more))
    return Result(
        "The clinic's faults are detected, and healthy runs raise no false alarms",
        TARGET,
        figure,
        passed=not wrong and not ill and not story_ill,
        details={"faults": [asdict(one) for one in looked], "ill": ill + story_ill},
    )


def look(world: World, fault: Fault, run: str, *, updates: int = UPDATES, seed: int = 0) -> Looked:
    """Run a fault and its healthy twin, and return the views that show the fault and what the diagnostics report."""
    sick, well = begin(world, run, stages=fault.stages, seed=seed), begin(world, run, seed=seed)
    columns = [view.partition(":")[2] for view in fault.views if view.startswith("tokens:")]
    shown: set[str] = set()
    for _ in range(updates):
        pair = (open_update(sick), open_update(well))
        shown |= {f"tokens:{column}" for column in columns if differs(*pair, column)}
    shown |= {view for view in fault.views if view.startswith("curve:") and apart(sick, well, view.partition(":")[2])}
    return Looked(fault.name, run, tuple(sorted(shown)), ill_of(sick.history), fault.finding)


def differs(sick: OpenedUpdate, well: OpenedUpdate, column: str) -> bool:
    """Return whether a column of the token view differs from the twin's where both sampled the same texts.

    A fault in the sampling itself shows in the sampled texts: they are more likely than the policy's entropy implies.
    """
    mask = sick.rollout.response_mask
    if sick.rollout.responses != well.rollout.responses:
        surprise, entropy = -sick.rollout.logprobs[mask].mean(), sick.rollout.entropies[mask].mean()
        return column == "logprobs" and bool(surprise < 0.8 * entropy)
    one, other = (token_columns(update)[column][mask].double() for update in (sick, well))
    return not torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def apart(sick: Trainer, well: Trainer, metric: str) -> bool:
    """Return whether a curve's mean differs from the twin's by more than the twin's standard deviation."""
    ill, healthy_ = ([record.metrics[metric] for record in run.history] for run in (sick, well))
    return abs(statistics.fmean(ill) - statistics.fmean(healthy_)) > max(1e-6, statistics.pstdev(healthy_))


def healthy(
    world: World, seeds: Sequence[int], updates: int, *, runs: Sequence[str] = tuple(RUNS)
) -> tuple[list[str], int]:
    """Run seeds without a fault; return the false alarms and the number of runs."""
    ill = []
    for run in runs:
        for seed in seeds:
            trainer = begin(world, run, seed=seed)
            trainer.run(updates)
            ill += [f"{run} on {world.name}, seed {seed}: {name}" for name in ill_of(trainer.history)]
    return ill, len(runs) * len(seeds)


def ill_of(history: Sequence[UpdateRecord]) -> tuple[str, ...]:
    """Return the names of the problems that the diagnostics report."""
    return tuple(finding.name for finding in diagnose(history) if finding.severity == "ill")
