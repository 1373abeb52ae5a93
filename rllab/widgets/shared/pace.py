"""How long something will take: from the pace so far, and before there is one from the size of the model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rllab.core.jobs import Job
from rllab.plots.text import fixed
from rllab.worlds import World

LARGE = 10_000_000  # parameters: from here on a batch takes long, so fewer are asked for at a time
SAMPLES, FEWER_SAMPLES = 64, 8  # continuations to begin with
WORTH_SAYING = 3.0  # seconds


def is_large(world: World) -> bool:
    """Tell whether a world's policy is so large that an update takes seconds on a processor."""
    return world.policy.model.num_parameters() > LARGE


def about(seconds: float) -> str:
    """Write a length of time as it is said."""
    return f"about {seconds / 60:.0f} min" if seconds >= 100 else f"about {seconds:.0f} s"


def seconds_left(pace: Sequence[float], remaining: int) -> str:
    """Return how long the rest of a run will take, from the seconds of its last updates."""
    if not pace or not remaining:
        return ""
    each = sum(pace) / len(pace)
    return f", {fixed(each, 1)} s an update, {about(each * remaining)} to go"


def usual_samples(world: World) -> int:
    """Return how many continuations of a state to begin with."""
    return FEWER_SAMPLES if is_large(world) else SAMPLES


def with_time_left(job: Job) -> Job:
    """Return a job that begins now and also reports how long the rest will take, where that is worth saying."""
    began = time.monotonic()

    def say(done: int, total: int, words: str) -> None:
        left = (time.monotonic() - began) * (total - done) / done if done else 0.0
        job.report(done, total, f"{words}, {about(left)} to go" if left >= WORTH_SAYING else words)

    return job.reporting(say)
