"""Q and A of the tokens that could be written next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rllab.estimates.arithmetic import action_value, combine
from rllab.estimates.asked import WAYS, Asked, Prefix, payments
from rllab.estimates.values import check_kinds
from rllab.generation import Decoder
from rllab.objective import Estimate, Objective
from rllab.worlds.world import World


@dataclass(frozen=True, eq=False)
class Candidates:
    """Some actions of one state with their values; together with all others they average to V.

    So Q - A = V for each of them, and the sum of pi A is 0 with the others' part in it.
    """

    prefix: tuple[int, ...]
    token_ids: tuple[int, ...]
    probs: tuple[float, ...]
    q: tuple[Estimate, ...]
    value: Estimate  # V of the state

    @property
    def advantages(self) -> tuple[float, ...]:
        """Return A = Q - V of each action."""
        return tuple(one.mean - self.value.mean for one in self.q)

    @property
    def other_prob(self) -> float:
        """Return the probability of all other actions together."""
        return max(0.0, 1.0 - sum(self.probs))

    @property
    def other_advantage(self) -> float:
        """Return the mean advantage of all other actions: what is left for the sum of pi A to be 0."""
        if self.other_prob == 0.0:
            return 0.0
        return (
            -sum(prob * advantage for prob, advantage in zip(self.probs, self.advantages, strict=True))
            / self.other_prob
        )


def candidates(
    world: World,
    prompt: str,
    prefix: Sequence[int],
    token_ids: Sequence[int],
    kind: str,
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    stop: threading.Event | None = None,
) -> Candidates:
    """Return Q of some tokens behind a prefix in one way, and V of the state."""
    asked = Asked(world, prompt, objective or world.objective, samples, seed, stop, None)
    check_kinds([kind])
    start, chosen = tuple(prefix), tuple(token_ids)
    q = action_values(asked, start, chosen, kind)
    probs = _probs(asked, start)
    own = tuple(float(probs[token]) for token in chosen)
    whole = len(set(chosen)) == world.policy.vocabulary
    value = combine(q, own) if whole else WAYS[kind](asked, [start])[0]
    return Candidates(start, chosen, own, tuple(q), value)


def action_values(asked: Asked, prefix: Prefix, token_ids: Sequence[int], kind: str) -> list[Estimate]:
    """Return Q of some tokens behind a prefix: what is paid for each, and V of where it leads."""
    rows = [(*prefix, token) for token in token_ids]
    asked.check(rows)
    paid, gap = (column[:, len(prefix)] for column in payments(asked, rows))
    net = paid - asked.objective.kl_coef * gap
    return list(map(action_value, WAYS[kind](asked, rows), net.tolist()))


def _probs(asked: Asked, prefix: Prefix) -> torch.Tensor:
    """Return the policy's probabilities behind a prefix, (A,)."""
    policy = asked.world.policy
    logits = Decoder(policy, [[*asked.ids, *prefix]]).logits[0]
    return torch.softmax(logits.double() / asked.objective.temperature, dim=0).cpu()
