"""V of any states, by enumeration, by sampling and by the critic."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rllab.core.errors import LabError
from rllab.policy.generation import Progress
from rllab.truth.estimates.asked import WAYS, Asked
from rllab.value.objective import Estimate, Objective
from rllab.worlds.prefixes import objective_of
from rllab.worlds.world import World


def estimate(
    world: World,
    prompt: str,
    prefixes: Sequence[Sequence[int]],
    kinds: Sequence[str],
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> list[Estimate]:
    """Return V of the state after each prefix, in each of the ways asked for: all prefixes of the first way, then on.

    The ways are `exact`, `monte-carlo` (`samples` continuations each) and `learned` (the world's critic, which
    answers for the world's own objective alone).
    """
    asked = Asked(world, prompt, objective_of(world, objective), samples, seed, stop, progress)
    asked.check(prefixes)
    check_kinds(kinds)
    wanted = [tuple(prefix) for prefix in prefixes]
    return [one for kind in kinds for one in WAYS[kind](asked, wanted)]


def check_kinds(kinds: object) -> None:
    """Refuse a way that there is not."""
    if not isinstance(kinds, Sequence) or isinstance(kinds, str):
        raise LabError("kinds", kinds, f"give a list of {', '.join(WAYS)}")
    for kind in kinds:
        if kind not in tuple(WAYS):
            raise LabError("kind", kind, f"there are the ways {', '.join(WAYS)}")
