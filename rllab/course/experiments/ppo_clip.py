"""The mechanics of PPO. Where the clip removes the gradient, and how far a policy goes on one batch.

On a bandit one batch is used 200 times: clipped, the policy stops where the batch has no more to say; unclipped it goes
on, and the form met in courses never stops pushing a bad answer down. The figures show the size of the step: the clip
bounds it, which is no claim about reward. On `micro` the first epoch has ratio 1 everywhere, whatever epsilon is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.course.experiments import unmet
from rllab.maths.divergence import categorical_kl
from rllab.maths.losses import clipped_surrogate_loss, course_clipped_loss
from rllab.maths.masking import masked_mean
from rllab.plots.charts import HEIGHT, Axes, Line, line_chart
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed
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
PAPER, ONE_SIDED, NO_CLIP = "paper, epsilon 0.2", "one-sided, epsilon 0.2", "no clip"  # the forms that are drawn
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
    """One PPO update on `micro`, epoch by epoch: what was clipped when it began, and the KL from its start."""

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

    def mean_kl(self, form: str) -> list[float]:
        """Return the KL every MARK epochs of one form, mean over seeds, in nats."""
        kl: list[float] = np.mean([walk.kl for walk in self.of(form)], axis=0).tolist()
        return kl


FAST, WORKSHOP = Size(5, 6), Size(20, 16)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Walk on the bandit, compute the corners, and open one update on `micro` for each epsilon.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Walks, corners and epochs.
    """
    total, walks, epochs = size.seeds + len(EPSILONS), [], []
    for seed in range(size.seeds):
        job.report(seed, total, f"bandit, seed {seed}")
        walks += [walk(form, seed=seed, job=job) for form in FORMS]
    for number, clip_eps in enumerate(EPSILONS):
        job.report(size.seeds + number, total, f"micro, epsilon {clip_eps:g}")
        epochs.append(open_epochs(clip_eps, size.epochs, job))
    return Result(tuple(walks), tuple(corner(ratio, sign) for sign in SIGNS for ratio in RATIOS), tuple(epochs))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    paper, one_sided, free = (result.mean_kl(form) for form in (PAPER, ONE_SIDED, NO_CLIP))
    halfway = len(paper) // 2
    epsilons = [result.mean_kl(f"paper, epsilon {eps}")[-1] for eps in (0.1, 0.2, 0.4)]
    walks = list(zip(*(result.of(form) for form in (PAPER, ONE_SIDED, NO_CLIP)), strict=True))
    return unmet(
        {
            "the clip bounds the step, on every seed": all(
                clipped.kl[-1] < min(course.kl[-1], unclipped.kl[-1] / 10) for clipped, course, unclipped in walks
            ),
            "the one-sided clip pushes bad answers further down": all(
                course.least_ratio < 0.3 < clipped.least_ratio for clipped, course, _ in walks
            ),
            "a clipped step is small": 0.01 < paper[-1] < 0.06,
            "a step with a one-sided clip is large": one_sided[-1] > 0.2,
            "a step without a clip is larger": free[-1] > 1.0,
            "with the clip the policy has stopped": paper[-1] < 1.15 * paper[halfway],
            "with the one-sided clip it goes on": one_sided[-1] > 1.3 * one_sided[halfway],
            "a larger epsilon goes further": epsilons == sorted(epsilons),
            "the clip removes the gradient where the token has moved its way": all(
                math.isclose(corner.paper, 0.0 if _is_held(corner) else corner.advantage, abs_tol=1e-12)
                for corner in result.corners
            ),
            "the one-sided clip removes it above 1 + epsilon": all(
                math.isclose(corner.one_sided, 0.0 if corner.ratio > 1.2 else corner.advantage, abs_tol=1e-12)
                for corner in result.corners
            ),
            **_claims_on_micro(result.epochs),
        }
    )


def _is_held(corner: Corner) -> bool:
    """Return whether a good token is above 1 + 0.2 or a bad one below 1 - 0.2."""
    return corner.ratio > 1.2 if corner.advantage > 0 else corner.ratio < 0.8


def _claims_on_micro(epochs: tuple[Epochs, ...]) -> dict[str, bool]:
    kls, clipped = [update.kl[-1] for update in epochs], [update.clipped[2] for update in epochs]
    return {
        "the first epoch has ratio 1": all(math.isclose(update.ratio[0], 1.0, abs_tol=1e-12) for update in epochs),
        "the first epoch clips nothing": all(update.clipped[0] == 0.0 for update in epochs),
        "the first step is the same for every epsilon": all(
            math.isclose(update.kl[0], epochs[0].kl[0], rel_tol=1e-9) for update in epochs
        ),
        "later epochs clip more": all(update.clipped[-1] > update.clipped[1] for update in epochs),
        "later epochs go further": all(update.kl[-1] > 2 * update.kl[0] for update in epochs),
        "a larger epsilon goes further on micro": kls == sorted(kls),
        "a larger epsilon clips less": clipped == sorted(clipped, reverse=True),
    }


def step_size(result: Result) -> Picture:
    """Draw how far a policy goes on one batch of a bandit, epoch by epoch, mean over seeds.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is how many times further the unclipped policy went.
    """
    names = {PAPER: ("PPO's clip", "policy"), ONE_SIDED: ("one-sided clip", "reward"), NO_CLIP: ("no clip", "down")}
    kls = {form: result.mean_kl(form) for form in names}
    epochs = [MARK * (place + 1) for place in range(len(kls[PAPER]))]
    lines = [Line(name, epochs, kls[form], role) for form, (name, role) in names.items()]
    drawn = line_chart(lines, Axes("epoch on the same batch", "KL(new ‖ old) (nats, log)", log_y=True))
    least = {form: fixed(min(walk.least_ratio for walk in result.of(form))) for form in names}
    words = (
        f"After {EPOCHS} epochs PPO's clip has let the policy go {fixed(kls[PAPER][-1], 3)} nats from its start, the "
        f"one-sided clip {fixed(kls[ONE_SIDED][-1])} and no clip {fixed(kls[NO_CLIP][-1])}. Its smallest ratio is "
        f"{least[PAPER]}, the one-sided clip's {least[ONE_SIDED]}: that form never stops pushing a bad answer down. "
        "This is the size of the step and says nothing about reward."
    )
    return Picture(drawn, words, "KL between new and old policy by epoch", kls[NO_CLIP][-1] / kls[PAPER][-1])


def epochs_grid(result: Result) -> Picture:
    """Draw KL(new || old) on `micro` as a map: epochs across, epsilon up.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is how many times further the largest epsilon went than the smallest.
    """
    first, last = result.epochs[0], result.epochs[-1]
    epochs = list(range(1, len(first.kl) + 1))
    heat = {
        "type": "heatmap",
        "x": epochs,
        "y": [f"{update.clip_eps:g}" for update in result.epochs],
        "z": [list(update.kl) for update in result.epochs],
        "colorscale": [[0, colour("line")], [1, colour("policy")]],
        "colorbar": {"title": {"text": "nats per token", "side": "right"}},
        "hovertemplate": "epoch %{x}, ε %{y}: %{z:.4f} nats",
    }
    drawn = drawing([heat], x="epoch", y="ε", layout={"height": HEIGHT, "yaxis": {"type": "category"}})
    words = (
        f"After {len(epochs)} epochs on one batch the policy has gone {fixed(first.kl[-1], 3)} nats per token at "
        f"ε {first.clip_eps:g} and {fixed(last.kl[-1], 3)} at {last.clip_eps:g}. The first epoch is the same for all: "
        f"ratio {fixed(first.ratio[0])}, {first.clipped[0]:.0%} clipped."
    )
    return Picture(drawn, words, "KL between new and old policy by epoch and epsilon", last.kl[-1] / first.kl[-1])


def walk(form: str, *, seed: int, job: Job = NO_JOB) -> Walk:
    """Return where one batch of a bandit takes the policy in EPOCHS epochs, under one of FORMS."""
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
    """Return the slope of both forms of the surrogate at a ratio."""
    slopes = []
    for form in (clipped_surrogate_loss, course_clipped_loss):
        logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
        weight, mask = torch.full((1, 1), advantage, dtype=torch.float64), torch.ones(1, 1)
        loss = form(logprob, torch.zeros_like(logprob), weight, mask, clip_eps=0.2).sum()
        (slope,) = torch.autograd.grad(loss, logprob)
        slopes.append(0.0 - float(slope) / ratio)  # d(surrogate)/d(log ratio) = ratio d(surrogate)/d(ratio)
    return Corner(ratio, advantage, *slopes)


def open_epochs(clip_eps: float, epochs: int, job: Job = NO_JOB) -> Epochs:
    """Return how far the policy has gone after each step of one update on `micro`."""
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
    ratio, clipped = (tuple(numbers[name] for numbers in stats) for name in ("val/ratio", "policy/clipfrac_avg"))
    return Epochs(clip_eps, ratio, clipped, tuple(kls))
