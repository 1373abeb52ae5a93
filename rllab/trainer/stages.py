"""The five stages of one update, each a function from record to record that can be replaced.

The order is rollout, score, targets, and then loss and step once for every epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.core.records import LossTerms, Rollout, Scores, Targets, check_rows, detached, take_rows
from rllab.maths.advantages import whiten
from rllab.maths.divergence import entropy, kl_k1, kl_k2, kl_k3, selected_logprobs
from rllab.maths.losses import clipped_value_loss, count, reduce
from rllab.maths.masking import apply_mask, masked_sum
from rllab.maths.returns import apply_kl_penalty
from rllab.policy.generation import generate
from rllab.value.evaluation import evaluate, slices

if TYPE_CHECKING:
    from rllab.maths.algorithms import Algorithm
    from rllab.policy.policy import Policy
    from rllab.value.critic import ValueFunction
    from rllab.value.objective import Objective

KL_ESTIMATORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}


@dataclass(frozen=True, eq=False)
class Context:
    """All that a stage may look at during one update."""

    policy: Policy
    reference: Policy
    critic: ValueFunction
    objective: Objective
    algorithm: Algorithm
    config: Config
    kl_coef: float  # as it is now: an adaptive coefficient moves away from the configured one
    optimizer: torch.optim.Optimizer
    parameters: Sequence[torch.nn.Parameter]
    seed: int
    index: int  # 1 for the first update
    job: Job


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of the batch with what they are to be divided by, so that slices add up to the whole."""

    rollout: Rollout
    targets: Targets
    policy_count: Tensor  # what the configured reducer counts over the whole batch
    token_count: Tensor  # tokens that the critic is fitted at, of the whole batch
    action_count: Tensor  # tokens that carry gradient, of the whole batch


@dataclass(frozen=True, eq=False)
class Phase:
    """What one stage of an update made.

    Attributes:
        name: rollout, score, targets, loss or step.
        epoch: 0-based; 0 before the epochs begin.
        record: What the stage made; of a step its statistics.
    """

    name: str  # rollout, score, targets, loss, step
    epoch: int  # 0-based; 0 before the epochs begin
    record: Rollout | Scores | Targets | LossTerms | Mapping[str, float]


def derived_seed(seed: int, *names: object) -> int:
    """Make an independent seed for each purpose and update out of the run's seed."""
    text = ":".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def choose_prompts(context: Context, prompts: Sequence[str]) -> list[str]:
    """Choose the prompts of an update: all in turn, in an order of its own for each update."""
    generator = torch.Generator().manual_seed(derived_seed(context.seed, "prompts", context.index))
    wanted = context.config.batch_size // context.config.samples_per_prompt
    order: list[int] = []
    while len(order) < wanted:
        order += torch.randperm(len(prompts), generator=generator).tolist()
    return [prompts[number] for number in order[:wanted]]


def adapted_kl_coef(kl_coef: float, kl: float, config: Config) -> float:
    """Move an adaptive KL coefficient towards its target (Ziegler et al. 2019); `kl` in nats per response."""
    if config.kl_target is None:
        return kl_coef
    error = max(-0.2, min(0.2, kl / config.kl_target - 1.0))
    return kl_coef * (1.0 + error * config.batch_size / config.kl_horizon)


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory ran out: Python's own, the GPU's, or the CPU allocator's words."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)


def rollout(context: Context, prompts: Sequence[str]) -> Rollout:
    """Sample responses, and evaluate them in the slices that the update will use."""
    config = context.config
    sequences = generate(
        context.policy,
        prompts,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        samples_per_prompt=config.samples_per_prompt,
        seed=derived_seed(context.seed, "rollout", context.index),
        job=context.job.quiet(),
    )
    return evaluate(
        context.policy,
        sequences,
        reference=context.reference,
        critic=context.critic,
        temperature=config.temperature,
        micro_batch_size=config.micro_batch_size,
        job=context.job,
    )


def score(context: Context, rows: Rollout) -> Scores:
    """Score the responses; an error that the reward raises becomes a LabError."""
    try:
        return context.objective.score(rows)
    except Exception as error:
        if isinstance(error, LabError) or out_of_memory(error):
            raise
        name = f"reward {context.objective.reward.name}"
        raise LabError(name, type(error).__name__, f"it raised this error ({error}); fix the function") from error


def check_loss(terms: LossTerms, rows: Rollout, *, first: int) -> None:
    """Raise LabError if the loss is not finite, naming the row that it comes from where there is one."""
    remedy = "the update was undone; lower the learning rate or look at the reward"
    check_rows("log-prob", terms.logprobs, rows, remedy=remedy, first=first)
    if not bool(torch.isfinite(terms.loss)):
        raise LabError("loss", terms.loss.item(), remedy)


def targets(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Join reward and KL, and make advantages, weights and returns."""
    config, mask = context.config, rows.response_mask
    estimator = KL_ESTIMATORS[config.kl_estimator]
    kl = apply_mask(estimator(apply_mask(rows.logprobs, mask), apply_mask(rows.ref_logprobs, mask)), mask)
    penalty = context.kl_coef if config.kl_in == "reward" else 0.0
    rewards = apply_kl_penalty(scores.per_token.to(kl.dtype), kl, mask, kl_coef=penalty)
    advantages, returns = context.algorithm.advantages(rows, rewards, config)
    loss_mask = rows.action_mask & trained_rows(rows, config)
    weights = whiten(advantages, loss_mask) if config.whiten else apply_mask(advantages, loss_mask)
    return Targets(kl, rewards, advantages, weights, returns, loss_mask)


def trained_rows(rows: Rollout, config: Config) -> Tensor:
    """Return which rows anything is learned from, policy and critic alike, (B, 1): where asked, not those cut off."""
    return (rows.ended if config.truncation == "mask" else torch.ones_like(rows.ended))[:, None]


def whole_batch(context: Context, rows: Rollout, targets: Targets) -> Batch:
    """Check the targets, and count what the reducers divide by, once for the whole batch."""
    for name, numbers in (("weight", targets.policy_weights), ("return", targets.returns)):
        check_rows(name, numbers, rows, remedy="the reward or the critic is out of range; nothing was changed")
    config, mask = context.config, targets.loss_mask
    policy_count = (
        torch.tensor(len(rows) * config.max_new_tokens) if config.reducer == "constant" else count(mask, config.reducer)
    )
    fitted = (rows.response_mask & trained_rows(rows, config)).sum()
    return Batch(rows, targets, policy_count.clamp(min=1), fitted.clamp(min=1), mask.sum().clamp(min=1))


def part_of(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, still divided by the counts of the whole."""
    values = {name: getattr(batch.targets, name)[rows] for name in Targets.__dataclass_fields__}
    return Batch(
        take_rows(batch.rollout, rows), Targets(**values), batch.policy_count, batch.token_count, batch.action_count
    )


def loss(context: Context, batch: Batch) -> LossTerms:
    """Make the loss of some rows: policy, KL where it belongs to the loss, entropy and critic."""
    config, rows, targets = context.config, batch.rollout, batch.targets
    logits = context.policy.logits(rows, temperature=config.temperature)  # (b, T, A)
    logprobs = apply_mask(selected_logprobs(logits, rows.response_tokens), rows.response_mask)
    entropies = apply_mask(entropy(logits), targets.loss_mask)
    terms = context.algorithm.policy_loss(logprobs, rows, targets.policy_weights, targets.loss_mask, config)
    if config.kl_in == "loss":
        kl = KL_ESTIMATORS[config.kl_estimator](logprobs, apply_mask(rows.ref_logprobs, rows.response_mask))
        terms = terms + context.kl_coef * apply_mask(kl, targets.loss_mask)
    regularized = terms - config.ent_coef * entropies
    policy_loss = reduce(regularized, targets.loss_mask, config.reducer, denominator=batch.policy_count)
    value_loss, value_shift = _value_loss(context, batch)
    ratio = apply_mask(logprobs - rows.logprobs, targets.loss_mask).exp()
    clips = "clip_eps" in context.algorithm.fields
    clipped = is_clipped(ratio, targets, config) if clips else torch.zeros_like(targets.loss_mask)
    stats = _stats(batch, policy_loss, value_loss, ratio, clipped, entropies) | {"val/value_shift": value_shift}
    return LossTerms(policy_loss + config.vf_coef * value_loss, logprobs, ratio, clipped, stats)


def step(context: Context) -> dict[str, float]:
    """Clip the gradients of policy and critic, each to the norm, and take one optimizer step on both."""
    norms = {}
    for whose, parameters in (("policy", context.parameters), ("critic", tuple(context.critic.parameters()))):
        norm = norms[whose] = torch.nn.utils.clip_grad_norm_(parameters, context.config.max_grad_norm)
        if not bool(torch.isfinite(norm)):
            remedy = "the loss left the range of numbers; lower the learning rate or check the reward"
            raise LabError(f"gradient norm of the {whose}", norm.item(), remedy)
    with context.policy.lock:
        context.policy.changed()  # first, so that a step that is interrupted halfway is known to need undoing
        context.optimizer.step()
    context.optimizer.zero_grad(set_to_none=True)
    return {"grad_norm": float(norms["policy"]), "critic/grad_norm": float(norms["critic"])}


@dataclass(frozen=True)
class Stages:
    """The stages of an update; replace one to see what it was for.

    Attributes:
        rollout: Samples the responses of an update and evaluates them.
        score: Scores them.
        targets: Turns scores and KL into rewards, advantages, policy weights and returns.
        loss: Returns the loss of some rows.
        step: Takes one optimizer step and returns its statistics.
    """

    rollout: Callable[[Context, Sequence[str]], Rollout] = rollout
    score: Callable[[Context, Rollout], Scores] = score
    targets: Callable[[Context, Rollout, Scores], Targets] = targets
    loss: Callable[[Context, Batch], LossTerms] = loss
    step: Callable[[Context], dict[str, float]] = step

    @property
    def replaced(self) -> tuple[str, ...]:
        """Return the names of the stages that are not the lab's own."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not field.default)


STAGES = Stages()


def learn(context: Context, stages: Stages, batch: Batch) -> Iterator[Phase]:
    """Take one optimizer step per epoch on the whole batch; slices of it only add up their gradients."""
    for epoch in range(context.config.epochs):
        stats: dict[str, float] = {}
        for part in slices(len(batch.rollout), size=context.config.micro_batch_size):
            context.job.check()
            rows = part_of(batch, part)
            terms = stages.loss(context, rows)
            check_loss(terms, rows.rollout, first=part.start)
            terms.loss.backward()
            stats = {name: stats.get(name, 0.0) + value for name, value in terms.stats.items()}
            yield Phase("loss", epoch, detached(terms))
        yield Phase("step", epoch, stats | stages.step(context))


def _value_loss(context: Context, batch: Batch) -> tuple[Tensor, float]:
    """Fit the critic to the returns of the learned rows; also tell how far V has moved there since the rollout."""
    rows, returns, n = batch.rollout, batch.targets.returns, batch.token_count
    if not context.algorithm.uses_critic:
        return torch.zeros((), device=rows.tokens.device), 0.0
    mask = rows.response_mask & trained_rows(rows, context.config)
    values = context.critic.state_values(rows)[:, :-1].to(returns.dtype)
    limit = context.config.value_clip_eps
    reach = float("inf") if limit is None else limit
    terms = clipped_value_loss(values, rows.values, returns, mask, clip_eps=reach)
    shift = masked_sum((values.detach() - rows.values).abs(), mask) / n
    return reduce(terms, mask, "token-mean", denominator=n), float(shift)


def is_clipped(ratio: Tensor, targets: Targets, config: Config) -> Tensor:
    """Mark the tokens whose gradient the clip has switched off, (b, T)."""
    high = config.clip_eps if config.clip_eps_high is None else config.clip_eps_high
    over = ratio > 1 + high
    if config.clip_mode == "one-sided":
        return targets.loss_mask & over
    under = ratio < 1 - config.clip_eps
    return targets.loss_mask & ((over & (targets.policy_weights > 0)) | (under & (targets.policy_weights < 0)))


def _stats(
    batch: Batch, policy_loss: Tensor, value_loss: Tensor, ratio: Tensor, clipped: Tensor, entropies: Tensor
) -> dict[str, float]:
    """Sum up this slice's share of the batch means."""
    mask, n = batch.targets.loss_mask, batch.action_count
    log_ratio = ratio.detach().log()
    return {
        "loss/policy_avg": float(policy_loss.detach()),
        "loss/value_avg": float(value_loss.detach()),
        "policy/entropy_avg": float(masked_sum(entropies.detach(), mask) / n),
        "policy/approxkl_avg": float(masked_sum(log_ratio.square() / 2, mask) / n),
        "policy/clipfrac_avg": float(clipped.double().sum() / n),
        "val/ratio": float(masked_sum(ratio.detach(), mask) / n),
    }
