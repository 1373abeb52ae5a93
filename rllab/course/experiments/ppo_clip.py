"""The mechanics of PPO. Where the clip takes the gradient away, and how far a policy goes on one batch.

On a bandit one batch is used 200 times: clipped the policy stops where the batch says no more, unclipped it goes on,
and the form met in courses never stops pushing a bad answer down. What is drawn is the size of the step: the clip
bounds it, and that is no claim about reward. On `micro` the first epoch has ratio 1 everywhere, whatever epsilon is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.maths.divergence import categorical_kl
from rllab.maths.losses import clipped_surrogate_loss, course_clipped_loss
from rllab.maths.masking import masked_mean
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world

ARMS_OF_BANDIT, BATCH, EPOCHS, MARK, RATE, NEVER = 10, 64, 200, 5, 0.3, 1e9
RATIOS, SIGNS = (0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 1.5), (1.0, -1.0)
FORMS: dict[str, tuple[Callable[..., Tensor], float]] = {
    "paper, epsilon 0.1": (clipped_surrogate_loss, 0.1),
    "paper, epsilon 0.2": (clipped_surrogate_loss, 0.2),
    "paper, epsilon 0.4": (clipped_surrogate_loss, 0.4),
    "one-sided, epsilon 0.2": (course_clipped_loss, 0.2),
    "no clip": (clipped_surrogate_loss, NEVER),
}
EPSILONS = (0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Size:
    """How many seeds of the bandit, and epochs of one update on `micro`."""

    seeds: int
    epochs: int


@dataclass(frozen=True)
class Walk:
    """One batch of the bandit used again and again: KL(new || old) in nats every MARK epochs, and where it ended."""

    form: str
    seed: int
    kl: tuple[float, ...]
    least_ratio: float
    most_ratio: float
    reward: float  # true, expected, after the last epoch


@dataclass(frozen=True)
class Corner:
    """The slope of the surrogate in the ratio, at one ratio and one sign of the advantage."""

    ratio: float
    advantage: float
    paper: float
    one_sided: float


@dataclass(frozen=True)
class Epochs:
    """One PPO update on `micro`, epoch by epoch: what was clipped as it began, and the KL from where it started."""

    clip_eps: float
    ratio: tuple[float, ...]  # mean over tokens
    clipped: tuple[float, ...]  # share of the tokens
    kl: tuple[float, ...]  # nats per token, exact KL(new || old) after the epoch's step


@dataclass(frozen=True)
class Result:
    """The bandit's walks, the corners of the surrogate at epsilon 0.2, and the epochs on `micro`."""

    walks: tuple[Walk, ...]
    corners: tuple[Corner, ...]
    epochs: tuple[Epochs, ...]

    def of(self, form: str) -> list[Walk]:
        """Return the walks of one form, by seed."""
        return [walk for walk in self.walks if walk.form == form]


FAST, WORKSHOP = Size(5, 6), Size(20, 16)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Walk on the bandit, read the corners, and open one update on `micro` for each epsilon."""
    total, walks, epochs = size.seeds + len(EPSILONS), [], []
    for seed in range(size.seeds):
        job.report(seed, total, f"bandit, seed {seed}")
        walks += [walk(form, seed=seed, job=job) for form in FORMS]
    for number, clip_eps in enumerate(EPSILONS):
        job.report(size.seeds + number, total, f"micro, epsilon {clip_eps:g}")
        epochs.append(open_epochs(clip_eps, size.epochs, job))
    return Result(tuple(walks), tuple(corner(ratio, sign) for sign in SIGNS for ratio in RATIOS), tuple(epochs))


def walk(form: str, *, seed: int, job: Job = NO_JOB) -> Walk:
    """Use one batch of a bandit for all epochs."""
    generator = torch.Generator().manual_seed(seed)
    start, worth = torch.randn(2, ARMS_OF_BANDIT, generator=generator, dtype=torch.float64)
    drawn = torch.multinomial(start.softmax(dim=0), BATCH, replacement=True, generator=generator)
    rewards = worth[drawn] + torch.randn(BATCH, generator=generator, dtype=torch.float64)
    advantages, mask = ((rewards - rewards.mean()) / rewards.std())[:, None], torch.ones(BATCH, 1)
    old = start.log_softmax(dim=0)[drawn][:, None]
    (loss_form, clip_eps), logits, kls = FORMS[form], start.clone().requires_grad_(), []
    for epoch in range(EPOCHS):
        job.check()
        logprobs = logits.log_softmax(dim=0)[drawn][:, None]
        loss = loss_form(logprobs, old, advantages, mask, clip_eps=clip_eps).mean()
        (slope,) = torch.autograd.grad(loss, logits)
        logits = (logits - RATE * slope).detach().requires_grad_()
        if (epoch + 1) % MARK == 0:
            kls.append(round(float(categorical_kl(logits.detach(), start)), 6))
    ratios = (logits.detach().log_softmax(dim=0) - start.log_softmax(dim=0)).exp()[drawn]
    reward = float(logits.detach().softmax(dim=0) @ worth)
    return Walk(form, seed, tuple(kls), float(ratios.min()), float(ratios.max()), reward)


def corner(ratio: float, advantage: float) -> Corner:
    """Differentiate both forms of the surrogate at a ratio."""
    slopes = []
    for form in (clipped_surrogate_loss, course_clipped_loss):
        logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
        weight, one = torch.full((1, 1), advantage, dtype=torch.float64), torch.ones(1, 1)
        loss = form(logprob, torch.zeros_like(logprob), weight, one, clip_eps=0.2).sum()
        (slope,) = torch.autograd.grad(loss, logprob)
        slopes.append(0.0 - float(slope) / ratio)  # d(surrogate)/d(log ratio) = ratio d(surrogate)/d(ratio)
    return Corner(ratio, advantage, *slopes)


def open_epochs(clip_eps: float, epochs: int, job: Job = NO_JOB) -> Epochs:
    """Go through one update on `micro` and measure after each of its steps how far the policy has gone."""
    world = load_world("micro")
    trainer = Trainer(world, "ppo", world.config("ppo", clip_eps=clip_eps, epochs=epochs, lr=1e-3))
    rows: Rollout | None = None
    kls: list[float] = []
    stats: list[dict[str, float]] = []
    for phase in trainer.phases(job=job):
        if isinstance(phase.record, Rollout):
            rows = phase.record
        elif phase.name == "step" and rows is not None and isinstance(phase.record, dict):
            now = evaluate(trainer.world.policy, rows, reference=world.policy, micro_batch_size=len(rows), job=job)
            kls.append(float(masked_mean(now.exact_kl, rows.response_mask)))
            stats.append(phase.record)
    ratio, clipped = (tuple(one[name] for one in stats) for name in ("val/ratio", "policy/clipfrac_avg"))
    return Epochs(clip_eps, ratio, clipped, tuple(kls))
