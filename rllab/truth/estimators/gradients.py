"""Gradients as the trainer's own stages make them: many sampled ones, or every possible one with its probability."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import check_count, is_whole
from rllab.core.errors import LabError, Stopped
from rllab.core.records import Rollout, Scores, take_rows
from rllab.policy.generation import Progress
from rllab.trainer.stages import STAGES, Context, whole_batch
from rllab.trainer.trainer import Trainer
from rllab.truth import Tree, exact
from rllab.truth.estimators.arms import Arm
from rllab.truth.gradient import flat, trainable
from rllab.value.evaluation import evaluate, slices
from rllab.worlds.world import World

MOST_BATCHES = 20_000  # enumerated ones


@dataclass(frozen=True, eq=False)
class Gradients:
    """What one estimator says of one policy: gradients of J, flat, with the probability of each."""

    probs: Tensor  # (N,) float64
    values: Tensor  # (N, parameters) float64
    sampled: bool  # drawn by chance rather than listed


def true_gradient(trees: Sequence[Tree], *, stop: threading.Event | None = None) -> Tensor:
    """Return the exact gradient of the mean of J over the prompts of some trees, flat, float64."""
    if not trees:
        raise LabError("trees", trees, "give at least one")
    return torch.stack([tree.gradient(stop=stop).double() for tree in trees]).mean(dim=0)


def sampled(
    world: World,
    trees: Sequence[Tree],
    arm: Arm,
    *,
    rows: int,
    group: int,
    draws: int,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Gradients:
    """Draw gradients of `rows` responses each, `group` to a prompt; with one seed all arms see the same responses."""
    if not is_whole(draws, low=2):
        raise LabError("draws", draws, "a spread needs at least two")
    context = _context(world, trees, arm, rows=rows, group=group, seed=seed, stop=stop)
    prompts = list(itertools.islice(itertools.cycle(tree.prompt for tree in trees), rows // group))
    batch = STAGES.rollout(context, prompts * draws)
    scores, found = STAGES.score(context, batch), []
    for number, part in enumerate(slices(len(batch), size=rows)):
        if stop is not None and stop.is_set():
            raise Stopped
        found.append(_gradient(context, take_rows(batch, part), _some(scores, part)))
        if progress is not None:
            progress(number + 1, draws, arm.name)
    return Gradients(torch.full((draws,), 1 / draws, dtype=torch.float64), torch.stack(found), sampled=True)


def enumerated(world: World, tree: Tree, arm: Arm, *, group: int, stop: threading.Event | None = None) -> Gradients:
    """List the gradient of every batch of `group` responses to one prompt, with the probability of the batch."""
    check_count("group", group)
    count = len(tree.leaves) ** group
    if count > MOST_BATCHES:
        remedy = f"list at most {MOST_BATCHES:,}: take a smaller tree or a smaller group"
        raise LabError("batches", f"{count:,}", remedy)
    context = _context(world, [tree], arm, rows=group, group=group, seed=0, stop=stop)
    leaves = evaluate(
        context.policy,
        tree.leaves,
        reference=context.reference,
        critic=context.critic,
        temperature=context.objective.temperature,
        stop=stop,
    )
    scores, chance = STAGES.score(context, leaves), tree.leaf_logprobs.exp()
    found, probs = [], []
    for chosen in itertools.product(range(len(leaves)), repeat=group):
        if stop is not None and stop.is_set():
            raise Stopped
        rows = list(chosen)
        found.append(_gradient(context, leaves.select(rows), _some(scores, rows)))
        probs.append(chance[rows].prod())
    return Gradients(torch.stack(probs), torch.stack(found), sampled=False)


def trees_of(world: World, *, prompts: Sequence[str] = (), stop: threading.Event | None = None) -> list[Tree]:
    """Return the exact trees of some of a world's prompts, by default of all."""
    return [exact(world, prompt, stop=stop) for prompt in prompts or world.prompts]


def _context(
    world: World,
    trees: Sequence[Tree],
    arm: Arm,
    *,
    rows: int,
    group: int,
    seed: int,
    stop: threading.Event | None,
) -> Context:
    """Return what the stages look at, for a world whose critic is the arm's."""
    check_count("group", group)
    check_count("rows", rows)
    if rows % group:
        raise LabError("rows", rows, f"give a multiple of the group's size, {group}")
    arranged = world.replace(critic=arm.critic(world, trees))
    trainer = Trainer(arranged, arm.algorithm, arm.config(arranged, rows=rows, group=group), seed=seed)
    return trainer._context(stop or threading.Event())


def _gradient(context: Context, rows: Rollout, scores: Scores) -> Tensor:
    """Let the stages make a loss of some rows, and return minus its gradient, flat."""
    batch = whole_batch(context, rows, STAGES.targets(context, rows, scores))
    parameters = trainable(context.policy)
    loss = STAGES.loss(context, batch).loss
    return -flat(torch.autograd.grad(loss, parameters, allow_unused=True), parameters).double().cpu()


def _some(scores: Scores, rows: slice | list[int]) -> Scores:
    """Return the scores of some rows."""
    return Scores(scores.total[rows], {name: part[rows] for name, part in scores.parts.items()}, scores.per_token[rows])
