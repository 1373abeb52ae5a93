"""How long something will take: from the pace so far, and before there is one from the size of the model."""

from __future__ import annotations

from collections.abc import Sequence

from rllab.plots.numbers import fixed
from rllab.worlds import World

LARGE = 10_000_000  # parameters: from here on a batch takes long, so fewer are asked for at a time


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
