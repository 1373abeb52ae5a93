"""The microscope: what one real optimizer step does to the probabilities of chosen states, and to everything else.

Three numbers stand side by side for every candidate token of every chosen state: log pi before, the change that
was measured after the step, and the change that the gradient predicts, Σ_i ∂ log pi(a|s)/∂θ_i · Δθ_i with the step
Δθ that the optimizer took. Where the two differ, the step was too long for a straight line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from rllab.core.config import check_number
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.maths.divergence import categorical_kl
from rllab.maths.masking import apply_mask, masked_mean
from rllab.policy.generation import generate, sequences_from_ids
from rllab.trainer.stages import derived_seed, is_clipped
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import OpenedUpdate, open_update
from rllab.value.critic import Critic
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World

SPILL_PROMPTS, SPILL_TOKENS = 8, 40
Chosen = tuple[str, Sequence[int]]  # a prompt, and the ids of the response so far


@dataclass(frozen=True, eq=False)
class Reading:
    """What policy and critic say at S chosen states."""

    logprobs: Tensor  # (S, A) nats, temperature-scaled
    values: Tensor  # (S,)


@dataclass(frozen=True, eq=False)
class Spill:
    """What the step did on a text of one prompt that it was not asked to change."""

    prompt: str
    response: str  # written by the policy before the step
    rows: int  # responses to this prompt in the batch of the step
    kl: float  # nats: KL(after || before), mean over the states of the text
    largest: float  # nats: the largest change of a log-prob
    value: float  # reward units: the mean change of V


@dataclass(frozen=True, eq=False)
class BatchAfter:
    """The sampled responses seen by the policy after the step."""

    logprobs: Tensor  # (B, T) nats
    ratio: Tensor  # (B, T)
    clipped: Tensor  # (B, T) bool: the clip would hold these tokens back in a next epoch


@dataclass(frozen=True, eq=False)
class Examination:
    """One optimizer step, before and after; the run that was examined has not moved.

    `visits` counts how often the batch passed through each chosen state: 0 says that what changed there changed
    by generalisation alone.
    """

    states: tuple[tuple[str, tuple[int, ...]], ...]
    visits: tuple[int, ...]
    before: Reading
    after: Reading
    measured: Reading
    predicted: Reading
    spill: tuple[Spill, ...]
    update: OpenedUpdate
    batch: BatchAfter
    scale: float  # length of the step, in steps of the run
    _start: Trainer
    _stepped: Trainer

    @property
    def kl(self) -> Tensor:
        """Return KL(after || before) at each chosen state, (S,) nats."""
        return categorical_kl(self.after.logprobs, self.before.logprobs)

    @property
    def start(self) -> Trainer:
        """Return the run as it was when the step was taken; look at it, `undo` returns one to go on with."""
        return self._start

    def at(self, states: Sequence[Chosen]) -> Examination:
        """Examine other states of the same step."""
        return replace(self, **_seen(self._start, self._stepped, states, self.update.rollout))

    def keep(self) -> Trainer:
        """Return the run with the step taken, ready for `Trainer.adopt`."""
        return self._stepped.fork()

    def undo(self) -> Trainer:
        """Return the run as it was before the step."""
        return self._start.fork()

    def half(self, *, job: Job = NO_JOB) -> Trainer:
        """Return the run with half the step."""
        return _step(self._start, self.scale / 2, job)[0]

    def agreement(self) -> float:
        """Return the share of the change that the gradient predicted: 1 − |measured − predicted|² / |measured|²."""
        missed = (self.measured.logprobs - self.predicted.logprobs).square().sum()
        total = self.measured.logprobs.square().sum()
        return float(1 - missed / total) if bool(total > 0) else 1.0


def examine(trainer: Trainer, states: Sequence[Chosen], *, scale: float = 1.0, job: Job = NO_JOB) -> Examination:
    """Take the next optimizer step of a run on a fork of it, and measure what it did at chosen states.

    The step is the first epoch of the next update, on the very batch that the run would use; `scale` makes it
    longer or shorter.

    Args:
        trainer: The run; it does not move.
        states: Chosen states as (prompt, response token ids).
        scale: Factor on the length of the step.
        job: Stopping it raises Stopped.

    Returns:
        What changed at the chosen states, measured and predicted by the gradient, and the side effects elsewhere.

    Raises:
        LabError: If a state is not one of this world, or scale is not positive.
    """
    check_number("scale", scale, open_low=True)
    start = trainer.fork()
    if not states:
        raise LabError("states", [], "choose at least one state to look at")
    chosen = [_checked(start, prompt, ids) for prompt, ids in states]
    stepped, update = _step(start, scale, job)
    return Examination(
        **_seen(start, stepped, chosen, update.rollout),
        spill=_spill(start, stepped, update.rollout, job),
        update=update,
        batch=_batch_after(stepped, update, job),
        scale=scale,
        _start=start,
        _stepped=stepped,
    )


def _step(start: Trainer, scale: float, job: Job) -> tuple[Trainer, OpenedUpdate]:
    """Take one optimizer step on a fork; Adam's step is proportional to the learning rate, so that sets its length."""
    stepped, config = start.fork(), start.config
    rates = ("lr", "critic_lr") if start.algorithm.uses_critic else ("lr",)
    stepped.configure(epochs=1, **{name: scale * getattr(config, name) for name in rates})
    update = open_update(stepped, job=job)
    stepped.configure(**{name: getattr(config, name) for name in ("epochs", *rates)})
    return stepped, update


def _seen(start: Trainer, stepped: Trainer, states: Sequence[Chosen], rows: Sequences) -> dict[str, Any]:
    """Read chosen states before and after a step, and predict the change."""
    chosen = [_checked(start, prompt, ids) for prompt, ids in states]
    before, after = (_read(trainer.world, chosen, start.config.temperature) for trainer in (start, stepped))
    return {
        "states": tuple((prompt, tuple(ids)) for prompt, ids in chosen),
        "visits": tuple(_visits(rows, prompt, ids) for prompt, ids in chosen),
        "before": before,
        "after": after,
        "measured": Reading(after.logprobs - before.logprobs, after.values - before.values),
        "predicted": _predict(start.world, stepped.world, chosen, start.config.temperature),
    }


def _checked(trainer: Trainer, prompt: str, ids: Sequence[int]) -> tuple[str, list[int]]:
    """Raise LabError for a state in which this run never chooses a token."""
    policy, limit = trainer.world.policy, trainer.config.max_new_tokens
    policy.encode(prompt)
    for token in ids:
        if not 0 <= token < policy.vocabulary or token == policy.eos_id:
            raise LabError("state", list(ids), f"{token} is no token that a response goes on after")
    if len(ids) >= limit:
        raise LabError(
            "state", list(ids), f"nothing is chosen after {len(ids)} tokens; this run writes at most {limit}"
        )
    return prompt, list(ids)


def _visits(rows: Sequences, prompt: str, ids: Sequence[int]) -> int:
    """Count the responses that chose a token in this state."""
    texts = ((rows.prompts[row], rows.response_ids(row)) for row in range(len(rows)))
    return sum(text == prompt and len(own) > len(ids) and own[: len(ids)] == list(ids) for text, own in texts)


def _laid_out(world: World, chosen: Sequence[Chosen]) -> tuple[Sequences, Tensor]:
    """Return the states as rows with one more token, and the column of each state, (S,)."""
    policy = world.policy
    rows = sequences_from_ids(policy, [prompt for prompt, _ in chosen], [[*ids, policy.eos_id] for _, ids in chosen])
    return rows, rows.lengths - 1


def _logprobs_at(world: World, rows: Sequences, columns: Tensor, temperature: float) -> Tensor:
    """Return all log-probs at one column of each row, (S, A)."""
    logits = world.policy.logits(rows, temperature=temperature)  # (S, T, A)
    return torch.log_softmax(logits[torch.arange(len(rows)), columns], dim=-1)


def _values_at(world: World, rows: Sequences, columns: Tensor) -> Tensor:
    """Return V at one column of each row, (S,)."""
    return world.critic.state_values(rows).gather(1, columns[:, None])[:, 0]


def _read(world: World, chosen: Sequence[Chosen], temperature: float) -> Reading:
    """Read policy and critic at the chosen states."""
    rows, columns = _laid_out(world, chosen)
    with torch.no_grad(), world.policy.lock:
        return Reading(_logprobs_at(world, rows, columns, temperature), _values_at(world, rows, columns))


def _predict(before: World, after: World, chosen: Sequence[Chosen], temperature: float) -> Reading:
    """Predict the change at the chosen states to first order in the step that was taken."""
    rows, columns = _laid_out(before, chosen)
    logprobs = _along(before.policy.model, after.policy.model, lambda: _logprobs_at(before, rows, columns, temperature))
    if isinstance(before.critic, Critic) and isinstance(after.critic, Critic):
        return Reading(
            logprobs, _along(before.critic.model, after.critic.model, lambda: _values_at(before, rows, columns))
        )
    return Reading(logprobs, torch.zeros(len(rows), device=rows.tokens.device))


class _Readout(nn.Module):
    """A function of a network's weights that calls the network somewhere inside."""

    def __init__(self, network: nn.Module, read: Callable[[], Tensor]) -> None:
        super().__init__()
        self.network = network
        self._read = read

    def forward(self) -> Tensor:
        """Read."""
        return self._read()


def _along(before: nn.Module, after: nn.Module, read: Callable[[], Tensor]) -> Tensor:
    """Return the derivative of what is read in the direction of a step, exact to first order (forward-mode AD)."""
    there = dict(after.named_parameters())
    weights = {name: one.detach() for name, one in before.named_parameters() if one.requires_grad}
    step = {name: there[name].detach() - weight for name, weight in weights.items()}
    readout = _Readout(before, read)

    def at(parameters: dict[str, Tensor]) -> Tensor:
        named = {f"network.{name}": parameter for name, parameter in parameters.items()}
        read_there: Tensor = torch.func.functional_call(readout, named, ())
        return read_there

    with sdpa_kernel(SDPBackend.MATH):  # the other attention kernels know no forward-mode derivative
        derivative: Tensor = torch.func.jvp(at, (weights,), (step,))[1]
    return derivative


def _batch_after(stepped: Trainer, update: OpenedUpdate, job: Job) -> BatchAfter:
    """Score the batch's own responses once more, and see which tokens the clip would hold back now."""
    rows, config = update.rollout, stepped.config
    policy, size = stepped.world.policy, config.micro_batch_size
    logprobs = evaluate(policy, rows, temperature=config.temperature, micro_batch_size=size, job=job).logprobs
    ratio = apply_mask(logprobs - rows.logprobs, update.targets.loss_mask).exp()
    clips = "clip_eps" in stepped.algorithm.fields
    clipped = is_clipped(ratio, update.targets, config) if clips else torch.zeros_like(rows.response_mask)
    return BatchAfter(logprobs, ratio, clipped)


def _spill(start: Trainer, stepped: Trainer, rows: Sequences, job: Job) -> tuple[Spill, ...]:
    """Measure the change along texts of several prompts, those that the batch knows least first."""
    world, config = start.world, start.config
    seen = Counter(rows.prompts)
    prompts = sorted(dict.fromkeys(world.prompts), key=lambda prompt: seen[prompt])[:SPILL_PROMPTS]
    texts = generate(
        world.policy,
        prompts,
        max_new_tokens=min(config.max_new_tokens, SPILL_TOKENS),
        temperature=config.temperature,
        seed=derived_seed(start.seed, "spill", start.index),
        job=job.quiet(),
    )
    with torch.no_grad():
        logits = [trainer.world.policy.logits(texts, temperature=config.temperature) for trainer in (start, stepped)]
        values = [trainer.world.critic.state_values(texts)[:, :-1] for trainer in (start, stepped)]
    mask = texts.response_mask
    kl = masked_mean(categorical_kl(logits[1], logits[0]), mask, dim=1)
    moved = (torch.log_softmax(logits[1], dim=-1) - torch.log_softmax(logits[0], dim=-1)).abs().amax(dim=-1)
    largest, value = apply_mask(moved, mask).amax(dim=1), masked_mean(values[1] - values[0], mask, dim=1)
    return tuple(
        Spill(prompt, texts.responses[row], seen[prompt], float(kl[row]), float(largest[row]), float(value[row]))
        for row, prompt in enumerate(prompts)
    )
