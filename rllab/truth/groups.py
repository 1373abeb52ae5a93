"""One group of responses to one prompt, and who gets credit for what: by a critic, or by comparing the responses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Sequences
from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.masking import masked_sum
from rllab.maths.returns import gae, td_errors, token_rewards
from rllab.policy.generation import generate
from rllab.truth import Tree
from rllab.truth.levels import back_up
from rllab.truth.tree import values_along
from rllab.value.evaluation import evaluate, rows_within_budget
from rllab.value.objective import Objective
from rllab.worlds.responses import scored
from rllab.worlds.world import World

READ_AT_ONCE = 4096  # tokens, by policy, reference and critic: a fraction of a second, so that Stop need not wait


@dataclass(frozen=True, eq=False)
class Group:
    """Responses to one prompt with what each of their tokens is paid."""

    rollout: Rollout
    rewards: Tensor  # (B, T): r_t, KL included
    objective: Objective

    @property
    def totals(self) -> Tensor:
        """Return what each response earned, undiscounted, (B,)."""
        return masked_sum(self.rewards, self.rollout.response_mask, dim=1)

    @property
    def leave_one_out(self) -> Tensor:
        """Return RLOO's advantage of each response, (B,)."""
        return leave_one_out(self.totals, self.rollout.group)

    def relative(self, *, scale: bool) -> Tensor:
        """Return GRPO's advantage of each response, (B,); without the scale it is that of Dr. GRPO."""
        return group_relative(self.totals, self.rollout.group, scale=scale)


@dataclass(frozen=True, eq=False)
class Credit:
    """What one critic makes of a group, token by token; (B, T), and (B, T+1) for the values."""

    values: Tensor
    deltas: Tensor  # TD errors
    advantages: Tensor  # GAE


def sample_group(world: World, prompt: str, *, samples: int, seed: int, job: Job = NO_JOB) -> Group:
    """Sample several responses to one prompt, and record their rewards under the world's objective."""
    if not is_whole(samples, low=2):
        raise LabError("responses", samples, "a group needs at least two to be compared")
    sequences = generate(
        world.policy,
        [prompt],
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        samples_per_prompt=samples,
        seed=seed,
        job=job,
    )
    return scored_group(world, sequences, job=job)


def scored_group(world: World, sequences: Sequences, *, job: Job = NO_JOB) -> Group:
    """Read responses as training would, and book what each of their tokens is paid."""
    objective, width = world.objective, sequences.tokens.shape[1]
    rollout = evaluate(
        world.policy,
        sequences,
        reference=objective.reference,
        critic=world.critic,
        temperature=objective.temperature,
        micro_batch_size=min(rows_within_budget(world.policy, sequences), max(1, READ_AT_ONCE // width)),
        job=job,
    )
    paid, mask = scored(objective, rollout, job=job).per_token.to(rollout.logprobs.dtype), rollout.response_mask
    rewards = token_rewards(paid, rollout.logprobs, rollout.ref_logprobs, mask, kl_coef=objective.kl_coef)
    return Group(rollout, rewards, objective)


def learned_values(group: Group) -> Tensor:
    """Return the critic's V at s_0..s_T, (B, T+1); where a response is over nothing is to come."""
    values = group.rollout.values
    return torch.cat([values, torch.zeros_like(values[:, :1])], dim=1)


def true_values(group: Group, tree: Tree, *, gamma: float) -> Tensor:
    """Return the exact V at s_0..s_T under another discount, (B, T+1)."""
    rows = group.rollout
    tokens, mask = rows.response_tokens.cpu(), rows.response_mask.cpu()
    return values_along(discounted(tree, gamma=gamma), tokens, mask)


def no_values(group: Group) -> Tensor:
    """Return the V of no critic, (B, T+1)."""
    return torch.zeros_like(learned_values(group))


def credit(group: Group, values: Tensor, *, gamma: float, lam: float) -> Credit:
    """Return TD errors and GAE of every token under some values (B, T+1); a response that was cut is over."""
    mask = group.rollout.response_mask
    before = values[:, :-1].to(group.rewards)
    deltas = td_errors(group.rewards, before, mask, gamma=gamma)
    advantages, _ = gae(group.rewards, before, mask, gamma=gamma, lam=lam)
    return Credit(values, deltas, advantages)


def discounted(tree: Tree, *, gamma: float) -> Tree:
    """Return the same tree valued under another discount; nothing is read again."""
    if gamma == tree.objective.gamma:
        return tree
    q, v = back_up(tree.levels, tree.paid, gamma=gamma)
    return dataclasses.replace(tree, objective=dataclasses.replace(tree.objective, gamma=gamma), q=q, v=v)
