"""The catalogue of faults: what each is called, what it shows, where it happened, and how a case of it is run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.core.records import LossTerms, Rollout, Scores, Sequences, Targets
from rllab.maths.advantages import whiten
from rllab.maths.losses import count
from rllab.maths.masking import apply_mask, last_index
from rllab.trainer.stages import STAGES, Batch, Context, Stages, derived_seed
from rllab.value.critic import ValueFunction
from rllab.value.evaluation import evaluate

HEALTHY = "healthy"
# Runs that bring faults out: algorithm, and settings other than the world's own. Most faults show in several runs, so
# that the run alone gives none away.
RUNS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ppo": ("ppo", {}),
    "grpo": ("grpo", {"samples_per_prompt": 8}),
    "pieces": ("ppo", {"reducer": "token-mean", "micro_batch_size": 8, "epochs": 1}),
}


@dataclass(frozen=True)
class Fault:
    """One silent bug."""

    name: str
    title: str
    shows: str  # its effects on a run
    hint: str  # where to look, without naming it
    story: str  # where it happened
    mend: str
    views: tuple[str, ...]  # curve:METRIC or tokens:COLUMN, in which it can be seen
    finding: str  # its name in the checkup; empty where the checkup finds nothing
    unnamed: str  # why the checkup finds nothing
    threads: tuple[str, ...]
    runs: tuple[str, ...]  # those of RUNS in which it shows

    @property
    def stages(self) -> Stages:
        """Return the stages with the fault in them."""
        return FAULT_STAGES[self.name]


@functools.cache
def catalogue() -> Mapping[str, Fault]:
    """Return all faults by name, the healthy run first."""
    file = data_dir() / "clinic" / "faults.json"
    try:
        rows: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))["faults"]
    except (OSError, ValueError, KeyError) as error:
        raise LabError("data file", str(file), "it cannot be read; restore it from the repository") from error
    lists = {name: {key: tuple(row[key]) for key in ("views", "threads", "runs")} for name, row in rows.items()}
    return {name: Fault(name=name, **(row | lists[name])) for name, row in rows.items()}


def fault(name: str) -> Fault:
    """Return a fault of the catalogue.

    Args:
        name: Its name.

    Raises:
        LabError: If there is no such fault.
    """
    if name not in catalogue():
        raise LabError.choice("fault", name, catalogue())
    return catalogue()[name]


# ---- Stages of an update, each wrong in one place and right in all others; they take what the right stage takes ----

COLD, DROPOUT = 0.6, 0.1


def shifted_values(context: Context, prompts: Sequence[str]) -> Rollout:
    """Record V(s_{t+1}) in place of V(s_t)."""
    rows = STAGES.rollout(context, prompts)
    later = torch.cat([rows.values[:, 1:], torch.zeros_like(rows.values[:, :1])], dim=1)
    last = last_index(rows.response_mask)
    later[torch.arange(len(rows)), last] = rows.bootstrap
    return dataclasses.replace(rows, values=apply_mask(later, rows.response_mask))


def late_reward(context: Context, rows: Rollout) -> Scores:
    """Pay each reward one column too late."""
    scores = STAGES.score(context, rows)
    late = torch.cat([torch.zeros_like(scores.per_token[:, :1]), scores.per_token[:, :-1]], dim=1)
    return dataclasses.replace(scores, per_token=late)


def early_score(context: Context, rows: Rollout) -> Scores:
    """Score each response without its last token."""
    prefix_scores = context.objective.reward.prefix_scores(rows)
    before = (rows.lengths - 2).clamp(min=0)[:, None]
    total = prefix_scores.gather(1, before)[:, 0]
    columns = torch.arange(prefix_scores.shape[1], device=prefix_scores.device)
    is_last = columns == last_index(rows.response_mask)[:, None]
    return Scores(total, {context.objective.reward.name: total}, torch.where(is_last, total[:, None], 0.0))


class _CutOff:
    """A critic whose values have no gradient."""

    def __init__(self, critic: ValueFunction) -> None:
        self._critic = critic

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return the critic's values, cut off from its weights."""
        return self._critic.state_values(sequences).detach()

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the critic's weights, which will get no gradient."""
        return self._critic.parameters()

    def copy(self) -> _CutOff:
        """Return a copy of the same kind."""
        return _CutOff(self._critic.copy())


def cut_off_critic(context: Context, batch: Batch) -> LossTerms:
    """Fit a critic whose output is detached."""
    return STAGES.loss(dataclasses.replace(context, critic=_CutOff(context.critic)), batch)


def kl_bonus(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Add the KL to the reward instead of subtracting it."""
    return STAGES.targets(dataclasses.replace(context, kl_coef=-context.kl_coef), rows, scores)


def cold_sampling(context: Context, prompts: Sequence[str]) -> Rollout:
    """Sample at a low temperature, and evaluate at the configured one."""
    config = context.config
    cold = dataclasses.replace(context, config=config.replace(temperature=COLD * config.temperature))
    return evaluate(
        context.policy,
        STAGES.rollout(cold, prompts),
        reference=context.reference,
        critic=context.critic,
        temperature=config.temperature,
        micro_batch_size=config.micro_batch_size,
        job=context.job,
    )


def lonely_groups(context: Context, prompts: Sequence[str]) -> Rollout:
    """Put every row into a group of its own."""
    rows = STAGES.rollout(context, prompts)
    return dataclasses.replace(rows, group=torch.arange(len(rows), device=rows.group.device))


@contextlib.contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout on for the duration of the context."""
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    model.train()
    for module in dropouts:
        module.p = DROPOUT
    try:
        yield
    finally:
        model.eval()
        for module in dropouts:
            module.p = 0.0


def dropout_on(context: Context, batch: Batch) -> LossTerms:
    """Compute the log-probs of the update in training mode."""
    seed = derived_seed(context.seed, "dropout", context.index, context.policy.version)
    with torch.random.fork_rng(), _training_mode(context.policy.model):
        torch.manual_seed(seed % 2**63)
        return STAGES.loss(context, batch)


def unlearned_end(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Leave the end token out of the loss."""
    targets = STAGES.targets(context, rows, scores)
    mask = targets.loss_mask & (rows.response_tokens != context.policy.eos_id)
    weights = whiten(targets.advantages, mask) if context.config.whiten else apply_mask(targets.advantages, mask)
    return dataclasses.replace(targets, loss_mask=mask, policy_weights=weights)


def own_reference(context: Context, prompts: Sequence[str]) -> Rollout:
    """Use the policy itself as the reference."""
    rows = STAGES.rollout(context, prompts)
    return dataclasses.replace(rows, ref_logprobs=rows.logprobs, exact_kl=torch.zeros_like(rows.exact_kl))


def grey_weights(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Whiten over the whole rectangle, padding included."""
    targets = STAGES.targets(context, rows, scores)
    weights = whiten(targets.advantages, torch.ones_like(targets.loss_mask))
    return dataclasses.replace(targets, policy_weights=apply_mask(weights, targets.loss_mask))


def mean_of_means(context: Context, batch: Batch) -> LossTerms:
    """Divide each micro-batch by its own count, and average the results."""
    mask, parts = batch.targets.loss_mask, context.config.batch_size / len(batch.rollout)
    own = count(mask, context.config.reducer).clamp(min=1) * parts
    return STAGES.loss(context, dataclasses.replace(batch, policy_count=own))


FAULT_STAGES: dict[str, Stages] = {
    "healthy": STAGES,
    "values shifted by one": Stages(rollout=shifted_values),
    "reward on padding": Stages(score=late_reward),
    "detached critic": Stages(loss=cut_off_critic),
    "KL with the wrong sign": Stages(targets=kl_bonus),
    "sampled colder than scored": Stages(rollout=cold_sampling),
    "groups of one": Stages(rollout=lonely_groups),
    "dropout on": Stages(loss=dropout_on),
    "end token dropped": Stages(targets=unlearned_end),
    "reference follows": Stages(rollout=own_reference),
    "whitened over padding": Stages(targets=grey_weights),
    "mean of means": Stages(loss=mean_of_means),
    "score read one token early": Stages(score=early_score),
}
