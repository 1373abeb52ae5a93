"""What if: another token here, the same chances afterwards."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.errors import LabError
from rllab.policy.generation import Progress
from rllab.truth.estimates.arithmetic import SURE, difference
from rllab.truth.estimates.asked import Asked
from rllab.truth.estimates.candidates import Next, action_values
from rllab.value.objective import Estimate, Objective
from rllab.worlds.prefixes import objective_of
from rllab.worlds.world import World


@dataclass(frozen=True, eq=False)
class WhatIf:
    """Two tokens behind one prefix: many continuations of each, written with the same random numbers."""

    prompt: str
    prefix_text: str
    tokens: tuple[str, str]
    q: tuple[Estimate, Estimate]  # their `returns` are the two histograms
    difference: Estimate  # first minus second, sample by sample

    @property
    def sentence(self) -> str:
        """Say in one sentence what the comparison shows; the difference is that of the means as written."""
        first, second = (f"“{token.strip()}”" for token in self.tokens)
        one, other = self.q
        place = f"After “{self.prompt} {self.prefix_text}”".replace(" ”", "”")
        brings = (
            f"{place}, {first} brings {_shown(one)} and {second} {_shown(other)} ({one.samples} continuations each)"
        )
        gap, error = self.difference.mean, self.difference.standard_error
        if gap == 0.0 and error == 0.0:
            return f"{brings}: it makes no difference."
        better, size = first if gap > 0 else second, abs(round(one.mean, 2) - round(other.mean, 2))
        if abs(gap) > SURE * error:
            return f"{brings}: {better} is better by {size:.2f} ± {error:.2f}, more than chance explains."
        if math.isnan(error):
            return f"{brings}: one continuation says nothing about chance; draw more."
        return f"{brings}: a difference of {size:.2f} ± {error:.2f} can be chance; draw more to tell."


def what_if(
    world: World,
    prompt: str,
    prefix: Sequence[int],
    token_ids: Sequence[int],
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> WhatIf:
    """Compare two tokens behind a prefix by continuations of each."""
    asked = Asked(world, prompt, objective_of(world, objective), samples, seed, stop, progress)
    asked.check_next(prefix, token_ids)
    if len(token_ids) != 2:
        raise LabError("tokens", tuple(token_ids), "choose two tokens to compare")
    here = Next.of(asked, tuple(prefix))
    one, other = action_values(asked, here, token_ids, "monte-carlo")
    first, second = (world.policy.token_text(token) for token in token_ids)
    text = world.policy.decode(tuple(prefix))
    return WhatIf(prompt, text, (first, second), (one, other), difference(one, other))


def _shown(estimate: Estimate) -> str:
    return f"{estimate.mean:.2f} ± {estimate.standard_error:.2f}"
