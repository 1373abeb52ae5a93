"""How long something will take: from the pace so far, and before there is one from the size of the model."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.core.jobs import Job
from rllab.plots.text import fixed
from rllab.widgets.engine.panel import about
from rllab.worlds import World

LARGE = 10_000_000  # parameters: from here on a batch takes long, so fewer are asked for at a time
SAMPLES, FEWER_SAMPLES = 64, 8  # continuations to begin with


def is_large(world: World) -> bool:
    """Tell whether a world's policy is so large that an update takes seconds on a processor."""
    return world.policy.model.num_parameters() > LARGE


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
    """Return the job as it is: the panel engine adds the time left itself."""
    return job
