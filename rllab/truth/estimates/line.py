"""Rewards, values, action values, advantages and TD errors along one response, each in several ways."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rllab.policy.generation import Progress
from rllab.truth.estimates.arithmetic import action_value, surprise
from rllab.truth.estimates.asked import WAYS, Asked, payments
from rllab.truth.estimates.values import check_kinds
from rllab.value.objective import Estimate, Objective
from rllab.worlds.prefixes import objective_of
from rllab.worlds.world import World


@dataclass(frozen=True, eq=False)
class Line:
    """One response, finished or not, with everything that is known along it.

    Writing token t leads to exactly one state, so Q(s_t, a_t) = r_t + gamma V(s_{t+1}) needs no average, and
    Q - V is the TD error: `advantages` are both. With the true V they are the true advantages.
    """

    prompt: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    objective: Objective
    rewards: tuple[float, ...]  # (T,) what is paid for each token
    kl: tuple[float, ...]  # (T,) nats: log pi - log pi_ref of each token
    values: Mapping[str, tuple[Estimate, ...]]  # way -> (T+1,)
    q: Mapping[str, tuple[Estimate, ...]]  # way -> (T,) of the tokens that were written
    advantages: Mapping[str, tuple[Estimate, ...]]  # way -> (T,): the TD errors


def along(
    world: World,
    prompt: str,
    ids: Sequence[int],
    kinds: Sequence[str],
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Line:
    """Return what is known along a response: V at its T+1 states, and Q and A of its T tokens, in each way."""
    asked = Asked(world, prompt, objective_of(world, objective), samples, seed, stop, progress)
    asked.check([ids])
    check_kinds(kinds)
    line = tuple(ids)
    paid, gap = (row[0, : len(line)].tolist() for row in payments(asked, [line]))
    net = [reward - asked.objective.kl_coef * kl for reward, kl in zip(paid, gap, strict=True)]
    values = {kind: tuple(WAYS[kind](asked, [line[:t] for t in range(len(line) + 1)])) for kind in kinds}
    return Line(
        prompt=prompt,
        ids=line,
        tokens=tuple(world.policy.token_text(token) for token in line),
        objective=asked.objective,
        rewards=tuple(paid),
        kl=tuple(gap),
        values=values,
        q={kind: tuple(map(action_value, some[1:], net)) for kind, some in values.items()},
        advantages={kind: tuple(map(surprise, some[:-1], some[1:], net)) for kind, some in values.items()},
    )
