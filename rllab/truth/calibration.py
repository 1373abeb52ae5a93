"""How early a critic can predict the return: its V in each part of the responses compared with what followed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import check_count, is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.maths.returns import discounted_returns
from rllab.policy.generation import generate
from rllab.truth.groups import scored_group
from rllab.worlds.world import World

RESAMPLES = 200


@dataclass(frozen=True)
class Part:
    """One part of the responses, such as the first fifth: forecasts, outcomes and how well they agree."""

    start: float  # share of the response that is written
    forecasts: tuple[float, ...]  # V of one state of this part for each response
    outcomes: tuple[float, ...]  # the return from that state on
    explained: float  # 1 - Var(outcome - forecast) / Var(outcome): 1 knows all, 0 is as good as the mean
    error: float  # its standard error, by drawing the responses again


def calibration(
    world: World, *, samples: int = 256, parts: int = 5, seed: int = 0, job: Job = NO_JOB
) -> tuple[Part, ...]:
    """Sample responses, and compare the critic's V in each part of them with the return that followed.

    Of every response each part has one state, the one in its middle, so that all responses count alike.
    """
    if not is_whole(samples, low=10):
        raise LabError("samples", samples, "draw at least ten responses")
    check_count("parts", parts)
    prompts = [world.prompts[at % len(world.prompts)] for at in range(samples)]
    limit = world.max_new_tokens
    rows = generate(world.policy, prompts, max_new_tokens=limit, seed=seed, job=job)
    made = scored_group(world, rows, job=job)
    values, lengths = made.rollout.values.double().cpu(), rows.lengths.cpu()
    returns = discounted_returns(made.rewards, rows.response_mask, gamma=world.objective.gamma).double().cpu()
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(parts):
        middle = ((number + 0.5) / parts * lengths).long()[:, None]
        pair = values.gather(1, middle)[:, 0], returns.gather(1, middle)[:, 0]
        found.append(_part(number / parts, *pair, generator))
    return tuple(found)


def explained_variance(forecasts: Tensor, outcomes: Tensor) -> Tensor:
    """Return 1 - Var(outcome - forecast) / Var(outcome) over the last dimension."""
    return 1 - (outcomes - forecasts).var(dim=-1) / outcomes.var(dim=-1)


def _part(start: float, forecasts: Tensor, outcomes: Tensor, generator: torch.Generator) -> Part:
    """Judge one part, its error by the bootstrap."""
    count = len(forecasts)
    again = torch.randint(count, (RESAMPLES, count), generator=generator)
    error = explained_variance(forecasts[again], outcomes[again]).std()
    explained = explained_variance(forecasts, outcomes)
    return Part(start, tuple(forecasts.tolist()), tuple(outcomes.tolist()), float(explained), float(error))
