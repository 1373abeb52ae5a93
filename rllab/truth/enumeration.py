"""Enumerate every response of a small world, after asking whether it is small enough."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from rllab.errors import LabError, Stopped
from rllab.evaluation import slices
from rllab.generation import Progress, check_room
from rllab.objective import Objective
from rllab.policy import Policy
from rllab.records import Scores, Sequences
from rllab.truth.backup import back_up, edge_rewards, paid_edges
from rllab.truth.levels import Level, leaf_sequences
from rllab.truth.prefixes import horizon_of
from rllab.truth.reading import grow, read
from rllab.truth.tree import Tree
from rllab.worlds.world import World

LEAVES = 300_000
LARGEST = 2 * 2**30  # bytes of leaves
LONGEST = 120.0  # seconds
SPEED = 2e9  # multiplications in a second that a laptop surely does
SCORED_AT_ONCE = 16_384  # leaves


def exact(
    world: World,
    prompt: str,
    *,
    objective: Objective | None = None,
    policy: Policy | None = None,
    max_leaves: int = LEAVES,
    horizon: int | None = None,
    top_k: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Tree:
    """Return the tree of all responses to a prompt, with the value of every state under an objective.

    `horizon` is the largest number of response tokens, by default the world's. With `top_k` only the likeliest
    tokens of each state are followed, and policy and reference are rescaled to them: the truth of a smaller world.
    """
    policy, objective = policy or world.policy, objective or world.objective
    ids = policy.encode(prompt)
    horizon = horizon_of(world, ids) if horizon is None else horizon
    check_size(policy, ids, horizon=horizon, top_k=top_k, max_leaves=max_leaves)
    temperature = objective.temperature
    with policy.lock:
        weights = policy.weights
        levels = grow(policy, ids, horizon=horizon, top_k=top_k, temperature=temperature, stop=stop, progress=progress)
        ref_logprobs = _reference(policy, objective, ids, levels, stop=stop)
    leaves = leaf_sequences(levels, policy, prompt)
    scores = _scored(objective, leaves, stop=stop)
    rewards = edge_rewards(levels, scores.per_token.double().cpu(), reward=objective.reward.name)
    paid = paid_edges(levels, rewards, ref_logprobs, kl_coef=objective.kl_coef)
    q, v = back_up(levels, paid, gamma=objective.gamma)
    return Tree(
        policy, weights, prompt, objective, top_k, levels, tuple(ref_logprobs), tuple(rewards), q, v, leaves, scores
    )


def count_leaves(vocabulary: int, *, horizon: int, top_k: int = 0) -> int:
    """Return how many responses there are; with a cut, how many there are at most."""
    if 0 < top_k < vocabulary:
        return int(top_k**horizon)
    return int(sum((vocabulary - 1) ** length for length in range(horizon + 1)))


def check_size(policy: Policy, ids: Sequence[int], *, horizon: int, top_k: int, max_leaves: int = LEAVES) -> None:
    """Refuse what has no meaning, and what would take too much room or time, with what would fit."""
    for name, value, least in (("horizon", horizon, 1), ("top_k", top_k, 0), ("max_leaves", max_leaves, 1)):
        if value < least:
            raise LabError(name, value, f"give a whole number of at least {least}")
    check_room(policy, [ids], max_new_tokens=horizon)
    leaves = count_leaves(policy.vocabulary, horizon=horizon, top_k=top_k)
    bytes_, seconds = _cost(policy, leaves, width=len(ids) + horizon)
    if leaves > max_leaves or bytes_ > LARGEST or seconds > LONGEST:
        fits = [h for h in range(1, horizon) if count_leaves(policy.vocabulary, horizon=h, top_k=top_k) <= max_leaves]
        shorter = f"a horizon of at most {fits[-1]}" if fits else "fewer actions"
        size = f"{leaves:,} leaves, {bytes_ / 2**20:,.0f} MiB, {seconds:,.0f} s"
        raise LabError("tree", size, f"too large to enumerate; ask for {shorter}, for top_k, or use monte_carlo")


def _cost(policy: Policy, leaves: int, *, width: int) -> tuple[int, float]:
    """Estimate the memory and the time of a tree, from above."""
    per_leaf = 8 * width + 64 * width + 128  # tokens, masks and rewards, and the text
    return leaves * per_leaf, 2.0 * leaves * _multiplications(policy) / SPEED


def _multiplications(policy: Policy) -> int:
    """Return how many weights take part in reading one token: all but the tables that are only looked up."""
    tables = {id(table.weight) for table in policy.model.modules() if isinstance(table, torch.nn.Embedding)}
    return sum(one.numel() for one in policy.model.parameters() if id(one) not in tables)


def _reference(
    policy: Policy, objective: Objective, ids: Sequence[int], levels: Sequence[Level], *, stop: threading.Event | None
) -> list[Tensor]:
    """Return the reference's log-probs; while its weights are the policy's, they are the policy's own."""
    if objective.reference.weights is policy.weights:
        return [level.logprobs for level in levels]
    return read(objective.reference, ids, levels, temperature=objective.temperature, stop=stop)


def _scored(objective: Objective, leaves: Sequences, *, stop: threading.Event | None) -> Scores:
    """Score all leaves, some at a time."""
    scored = []
    for rows in slices(len(leaves), size=SCORED_AT_ONCE):
        if stop is not None and stop.is_set():
            raise Stopped
        scored.append(objective.score(leaves.select(rows)))
    parts = {name: torch.cat([one.parts[name] for one in scored]) for name in scored[0].parts}
    return Scores(torch.cat([one.total for one in scored]), parts, torch.cat([one.per_token for one in scored]))
