"""One frozen batch through every algorithm: what each makes of the same texts and the same scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import Config
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, Targets
from rllab.maths.algorithms import ALGORITHMS, get_algorithm
from rllab.maths.losses import reduce
from rllab.maths.masking import masked_mean
from rllab.policy.generation import generate
from rllab.trainer.stages import Context, Stages, derived_seed
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

PROMPTS = 4
SHARED = ("kl_in", "kl_estimator", "reducer", "lr")  # what may differ by habit and not by the idea of an algorithm


@dataclass(frozen=True, eq=False)
class AlgorithmView:
    """One algorithm's reading of the batch."""

    algorithm: str
    policy_weights: Tensor  # (B, T): what multiplies each token's log-prob
    push: Tensor  # (B, T): the same with its share of the batch mean, -dL/d(log-prob) as the step begins
    gradient: Tensor  # (N,): of the loss, over all trainable weights of the policy
    change: Tensor  # (B, T) nats: log-prob of each token after one optimizer step, less that before
    kl: float  # nats per token: exact KL(after || before) over the batch's states


@dataclass(frozen=True, eq=False)
class BatchComparison:
    """The batch, what each algorithm makes of it, and how far their directions agree."""

    rollout: Rollout
    scores: Scores
    views: tuple[AlgorithmView, ...]
    cosines: Tensor  # (M, M): of the gradients, one row and column per algorithm


def same_batch(
    world: World,
    *,
    algorithms: Sequence[str] = tuple(ALGORITHMS),
    samples_per_prompt: int = 8,
    own_settings: bool = True,
    seed: int = 0,
    job: Job = NO_JOB,
) -> BatchComparison:
    """Sample one batch, and let each algorithm take its first optimizer step on it from the same policy.

    With `own_settings` each keeps the reducer, the place of the KL and the learning rate that the world gives it;
    without, all use the first one's, so that only the advantages and the form of the loss differ.

    Args:
        world: The world whose policy writes the batch.
        algorithms: The algorithms that take a step.
        samples_per_prompt: Responses to each prompt.
        own_settings: Whether each algorithm keeps its own settings.
        seed: Seed of the batch.
        job: Stopping it raises Stopped.

    Returns:
        The batch, each algorithm's weights, gradient and change, and the cosines between the gradients.
    """
    rows = _write(world, samples_per_prompt, seed, job)
    first = _config(world, algorithms[0], rows)
    views = []
    for done, name in enumerate(algorithms):
        job.report(done, len(algorithms), get_algorithm(name).title)
        like = {} if own_settings else {field: getattr(first, field) for field in SHARED}
        views.append(_view(world, name, _config(world, name, rows, **like), rows, job))
    gradients = torch.stack([view.gradient for view in views])
    lengths = gradients.norm(dim=1, keepdim=True).clamp(min=torch.finfo(gradients.dtype).tiny)
    job.report(len(algorithms), len(algorithms), "done")
    scores = world.objective.score(rows)
    return BatchComparison(rows, scores, tuple(views), (gradients / lengths) @ (gradients / lengths).T)


def _write(world: World, samples_per_prompt: int, seed: int, job: Job) -> Rollout:
    """Sample several responses to each of some prompts, so that there are groups for the algorithms that need them."""
    sequences = generate(
        world.policy,
        world.prompts[:PROMPTS],
        max_new_tokens=world.max_new_tokens,
        samples_per_prompt=samples_per_prompt,
        seed=derived_seed(seed, "frozen batch"),
        job=job.quiet(),
    )
    size = len(sequences)
    return evaluate(
        world.policy,
        sequences,
        reference=world.reference,
        critic=world.critic,
        micro_batch_size=size,
        job=job,
    )


def _config(world: World, algorithm: str, rows: Rollout, **changes: str) -> Config:
    """Return the world's settings for one step on the whole batch at once."""
    size = len(rows)
    groups = size // len(set(rows.prompts))
    return world.config(
        algorithm, batch_size=size, micro_batch_size=size, samples_per_prompt=groups, epochs=1, **changes
    )


def _view(world: World, name: str, config: Config, rows: Rollout, job: Job) -> AlgorithmView:
    """Run one update on the frozen batch as far as its optimizer step, and measure what it did."""

    def frozen(context: Context, prompts: Sequence[str]) -> Rollout:
        del context, prompts  # the batch is written already
        return rows

    trainer = Trainer(world, name, config, stages=Stages(rollout=frozen))
    loop = trainer.phases(job=job)
    for phase in loop:
        if isinstance(phase.record, Targets):
            targets = phase.record
        if phase.name == "loss":
            gradient = _gradient(trainer)
        if phase.name == "step":
            break
    after = evaluate(trainer.world.policy, rows, reference=world.policy, micro_batch_size=len(rows), job=job)
    loop.close()
    kl = float(masked_mean(after.exact_kl, rows.response_mask))
    push, change = _push(trainer, rows, targets), after.logprobs - rows.logprobs
    return AlgorithmView(name, targets.policy_weights, push, gradient, change, kl)


def _gradient(trainer: Trainer) -> Tensor:
    """Return the gradient of the loss over the policy's trainable weights as one vector, (N,)."""
    parameters = [parameter for parameter in trainer.world.policy.model.parameters() if parameter.requires_grad]
    parts = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
    return torch.cat([part.detach().flatten() for part in parts])


def _push(trainer: Trainer, rows: Rollout, targets: Targets) -> Tensor:
    """Return how hard the policy's loss pushes each log-prob up where the ratio is 1, (B, T)."""
    config, ones = trainer.config, torch.ones_like(targets.policy_weights, requires_grad=True)
    denominator = float(len(rows) * config.max_new_tokens) if config.reducer == "constant" else None
    reduce(ones, targets.loss_mask, config.reducer, denominator=denominator).backward()
    share = torch.zeros_like(targets.policy_weights) if ones.grad is None else ones.grad
    return targets.policy_weights * share
