"""What if: another token here, the same chances afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.maths.returns import discounted_returns
from rllab.policy.policy import Policy
from rllab.truth.estimates import SURE, Next, Query, action_values, difference
from rllab.truth.groups import Group, learned_values, scored_group
from rllab.truth.levels import written_to
from rllab.truth.sampling import Start, continue_from, rows_at_once, sample_mean
from rllab.value.objective import Estimate, Objective
from rllab.worlds.responses import check_prefix, horizon_of, is_over, objective_of
from rllab.worlds.world import World

# ---- What if: another token here, the same chances afterwards ----


@dataclass(frozen=True, eq=False)
class WhatIf:
    """Two tokens after one prefix: many continuations of each, written with the same random numbers."""

    prompt: str
    prefix_text: str
    tokens: tuple[str, str]
    q: tuple[Estimate, Estimate]  # their `returns` are the two histograms
    difference: Estimate  # first minus second, sample by sample

    @property
    def sentence(self) -> str:
        """Return in one sentence what the comparison shows; the difference is that of the means as written."""
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
    job: Job = NO_JOB,
) -> WhatIf:
    """Compare two tokens after a prefix by continuations of each."""
    query = Query(world, prompt, objective_of(world, objective), samples, seed, job)
    query.check_next(prefix, token_ids)
    if len(token_ids) != 2:
        raise LabError("tokens", tuple(token_ids), "choose two tokens to compare")
    here = Next.of(query, tuple(prefix))
    one, other = action_values(query, here, token_ids, "monte-carlo")
    first, second = (world.policy.token_text(token) for token in token_ids)
    text = world.policy.decode(tuple(prefix))
    return WhatIf(prompt, text, (first, second), (one, other), difference(one, other))


def _shown(estimate: Estimate) -> str:
    return f"{estimate.mean:.2f} ± {estimate.standard_error:.2f}"


# ---- The fan of a state: many continuations of it, and how what is expected of each moves on its way to i ----


@dataclass(frozen=True, eq=False)
class Continuations:
    """Continuations of one state; `forecasts` begin at the critic's V and each ends at its own return.

    The k-th number of a forecast is what was paid for k tokens plus the V of the state after them.
    """

    prefix: tuple[int, ...]
    texts: tuple[str, ...]  # what was written after the prefix
    returns: tuple[float, ...]
    forecasts: tuple[tuple[float, ...], ...]
    estimate: Estimate


def continuations(
    world: World, prompt: str, prefix: Sequence[int], *, samples: int, seed: int, job: Job = NO_JOB
) -> Continuations:
    """Sample many continuations of a state under the world's objective.

    The same seed gives the continuations behind `monte_carlo`'s estimate of that state.
    """
    ids = world.policy.encode(prompt)
    horizon = horizon_of(world, ids)
    most = rows_at_once(world.policy, width=len(ids) + horizon)
    _check(world.policy, prefix, samples=samples, horizon=horizon, most=most)
    written = continue_from(
        [world.policy],
        ids,
        [Start(prefix)],
        samples=slice(0, samples),
        seed=seed,
        horizon=horizon,
        temperature=world.objective.temperature,
        job=job,
    )
    tokens, lengths = written.tokens.cpu(), written.lengths.cpu()
    rows = written_to(prompt, world.policy, tokens[:, : int(lengths.max())], lengths=lengths)
    return _read(scored_group(world, rows, job=job), world, tuple(prefix))


def _read(made: Group, world: World, prefix: tuple[int, ...]) -> Continuations:
    """Read returns and forecasts off the finished continuations."""
    start, mask = len(prefix), made.rollout.response_mask
    gamma = world.objective.gamma
    returns = discounted_returns(made.rewards, mask, gamma=gamma)[:, start].double().cpu()
    ahead = _forecasts(made.rewards[:, start:], learned_values(made)[:, start:], gamma=gamma)
    lengths = made.rollout.lengths.tolist()
    forecasts = tuple(tuple(row[: length - start + 1]) for row, length in zip(ahead.tolist(), lengths, strict=True))
    return Continuations(
        prefix,
        tuple(world.policy.decode(made.rollout.response_ids(row)[start:]) for row in range(len(lengths))),
        tuple(returns.tolist()),
        forecasts,
        sample_mean(returns, world.objective),
    )


def _forecasts(rewards: Tensor, values: Tensor, *, gamma: float) -> Tensor:
    """Return sum_{j<k} gamma^j r_j + gamma^k V_k for k = 0..T, (B, T+1); V is 0 where nothing follows."""
    powers = gamma ** torch.arange(values.shape[1], dtype=rewards.dtype, device=rewards.device)
    earned = torch.cat([torch.zeros_like(rewards[:, :1]), (powers[:-1] * rewards).cumsum(dim=1)], dim=1)
    return earned + powers * values.to(rewards)


def _check(policy: Policy, prefix: Sequence[int], *, samples: int, horizon: int, most: int) -> None:
    check_prefix(policy, prefix, horizon=horizon)
    if is_over(prefix, eos=policy.eos_id, horizon=horizon):
        raise LabError("state", len(prefix), "the response is over there, so nothing can be written on")
    if not is_whole(samples, low=1, high=most):
        raise LabError("continuations", samples, f"choose from 1 to {most}")
