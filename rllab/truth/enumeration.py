"""Enumerate every response of a small world, after asking whether it is small enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.generation import check_room
from rllab.policy.policy import Policy
from rllab.truth.levels import (
    BUDGET,
    Level,
    back_up,
    check_vocabulary,
    edge_rewards,
    grow,
    leaf_sequences,
    open_prefixes,
    paid_edges,
    read,
)
from rllab.truth.tree import Tree
from rllab.value.objective import Objective
from rllab.worlds.responses import horizon_of, objective_of, scored
from rllab.worlds.world import World

LEAVES = 300_000
MANY = 10**12  # leaves: more are not counted
LARGEST = 2 * 2**30  # bytes
LONGEST = 120.0  # seconds
SPEED = 3e9  # multiplications in a second that a laptop surely does
JUDGED = 8e-5  # seconds for the text of a leaf and its score
SCORED_AT_ONCE = 32_768  # tokens: leaves share their beginnings, so more of them than of other texts


def exact(
    world: World,
    prompt: str,
    *,
    objective: Objective | None = None,
    policy: Policy | None = None,
    max_leaves: int = LEAVES,
    horizon: int | None = None,
    top_k: int = 0,
    job: Job = NO_JOB,
) -> Tree:
    """Return the tree of all responses to a prompt, with the value of every state under an objective.

    `horizon` is the largest number of response tokens, by default the world's. With `top_k` only the likeliest
    tokens of each state are followed, and policy and reference are rescaled to them: the truth of a smaller world.
    Progress counts states and responses, out of as many as there can be.

    Args:
        world: The world whose policy, reference and reward are enumerated.
        prompt: The prompt.
        objective: What the values are the value of; by default the world's.
        policy: Another policy instead of the world's.
        max_leaves: Most responses that are enumerated.
        horizon: Most response tokens.
        top_k: Actions followed in each state; 0 for all.
        job: Receives the progress; stopping it raises Stopped.

    Returns:
        The tree with V, Q, A and pi of every state.

    Raises:
        LabError: If the tree would be too large; the message says what would fit.
    """
    objective = objective_of(world, objective)
    policy = policy or world.policy
    ids = policy.encode(prompt)
    horizon = horizon_of(world, ids) if horizon is None else horizon
    check_size(policy, ids, horizon=horizon, top_k=top_k, max_leaves=max_leaves)
    top_k, temperature = top_k if top_k < policy.vocabulary else 0, objective.temperature  # a cut of nothing is none
    states = _most_states(policy, horizon=horizon, top_k=top_k)
    total = states + count_leaves(policy.vocabulary, horizon=horizon, top_k=top_k)
    count = _counting(job, total)
    with policy.lock:
        weights = policy.weights
        levels = grow(policy, ids, horizon=horizon, top_k=top_k, temperature=temperature, job=job, count=count)
        ref_logprobs = _reference(policy, objective, ids, levels, job=job)
    leaves = leaf_sequences(levels, policy, prompt)
    scores = scored(objective, leaves, job=job, at_once=SCORED_AT_ONCE, count=lambda judged: count(states + judged))
    rewards = edge_rewards(levels, scores.per_token.double().cpu(), reward=objective.reward.name)
    paid = paid_edges(levels, rewards, ref_logprobs, kl_coef=objective.kl_coef)
    q, v = back_up(levels, paid, gamma=objective.gamma)
    count(total)
    return Tree(
        policy, weights, prompt, objective, top_k, levels, tuple(ref_logprobs), tuple(rewards), q, v, leaves, scores
    )


def count_leaves(vocabulary: int, *, horizon: int, top_k: int = 0) -> int:
    """Return how many responses there are; with a cut, how many there are at most. More than MANY count as MANY."""
    if 0 < top_k < vocabulary:
        return int(min(MANY, top_k**horizon))
    return _powers(vocabulary - 1, terms=horizon + 1)


def _most_states(policy: Policy, *, horizon: int, top_k: int) -> int:
    """Return how many states there are at most in which a token is chosen."""
    return _powers(min(top_k or policy.vocabulary, policy.vocabulary - 1), terms=horizon)


def _counting(job: Job, total: int) -> Callable[[int], None]:
    """Return who is told how much has been done."""
    return lambda done: job.report(done, total, "states and responses read")


def _powers(base: int, *, terms: int) -> int:
    """Return 1 + b + b^2 + ..., or MANY where that is less: there are worlds whose sum has thousands of digits."""
    total = 0
    for _ in range(terms):
        total = min(MANY, 1 + base * total)
    return total


def check_size(policy: Policy, ids: Sequence[int], *, horizon: int, top_k: int, max_leaves: int = LEAVES) -> None:
    """Raise LabError for invalid sizes and for a tree that is too large, naming what would fit."""
    for name, value, least in (("horizon", horizon, 1), ("top_k", top_k, 0), ("max_leaves", max_leaves, 1)):
        if not is_whole(value, low=least):
            raise LabError(name, value, f"give a whole number of at least {least}")
    check_room(policy, [ids], max_new_tokens=horizon)

    def fits(length: int, kept: int) -> bool:
        leaves, bytes_, seconds = _cost(policy, ids, horizon=length, top_k=kept)
        return leaves <= max_leaves and bytes_ <= LARGEST and seconds <= LONGEST

    if not fits(horizon, top_k):
        leaves, bytes_, seconds = _cost(policy, ids, horizon=horizon, top_k=top_k)
        size = f"{'over ' * (leaves == MANY)}{leaves:,} leaves, {bytes_ / 2**20:,.0f} MiB, {seconds:,.0f} s"
        shorter = list(takewhile(lambda length: fits(length, top_k), range(1, horizon)))
        fewer = list(takewhile(lambda kept: fits(horizon, kept), range(1, top_k or policy.vocabulary)))
        ways = [f"a {name} of at most {some[-1]}" for name, some in (("horizon", shorter), ("top_k", fewer)) if some]
        asking = f"ask for {' or '.join(ways)}, or " if ways else ""
        raise LabError("tree", size, f"too large to enumerate; {asking}use monte_carlo")


def _cost(policy: Policy, ids: Sequence[int], *, horizon: int, top_k: int) -> tuple[int, float, float]:
    """Return the leaves of a tree, at most, and about how many bytes and seconds it takes."""
    leaves = count_leaves(policy.vocabulary, horizon=horizon, top_k=top_k)
    states = _most_states(policy, horizon=horizon, top_k=top_k)
    width = len(ids) + horizon
    reading = BUDGET * min(1.0, states / open_prefixes(policy, width=width))
    per_leaf = 8 * width + 64 * width + 128  # tokens, masks and rewards, and the text
    read = 2.0 * (len(ids) + states) * _multiplications(policy)  # by the policy and its reference
    return leaves, reading + leaves * per_leaf, read / SPEED + leaves * JUDGED


def _multiplications(policy: Policy) -> int:
    """Return how many weights take part in reading one token: all but the tables that are only looked up."""
    tables = {id(table.weight) for table in policy.model.modules() if isinstance(table, torch.nn.Embedding)}
    return sum(parameter.numel() for parameter in policy.model.parameters() if id(parameter) not in tables)


def _reference(
    policy: Policy, objective: Objective, ids: Sequence[int], levels: Sequence[Level], *, job: Job
) -> list[Tensor]:
    """Return the reference's log-probs; while its weights are the policy's, they are the policy's own."""
    if objective.reference.weights is policy.weights:
        return [level.logprobs for level in levels]
    check_vocabulary(objective.reference, policy)
    return read(objective.reference, ids, levels, temperature=objective.temperature, job=job)
