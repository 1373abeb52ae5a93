"""Temperature. How the entropy follows it, where pass@k is best, and the bug of scoring at another one.

The entropy of a softmax at temperature tau grows at the rate Var(z) / tau^3, z the logits. The more tries are allowed
the more a spread pays: the best temperature for pass@k rises with k. And text that is sampled at tau but scored at 1
has a ratio that is not 1 before anything was learned, which is how that bug is caught.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.maths.divergence import entropy
from rllab.trainer.stages import STAGES, Context, Stages
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world

TAUS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
TRIES = (1, 4, 16, 64, 256)
WORDS, TOKENS, HINT, NUDGE = 20, 4, 2.5, 1e-4  # a task is TOKENS choices among WORDS; HINT is how much it knows
SAMPLED = (0.5, 0.7, 1.0, 1.5)


@dataclass(frozen=True)
class Size:
    """How many tasks pass@k is averaged over, and seeds."""

    tasks: int
    seeds: int


@dataclass(frozen=True)
class Slope:
    """dH/dtau in nats at one temperature, averaged over the states of `micro`: measured, and by the law."""

    tau: float
    entropy: float  # nats
    measured: float
    law: float


@dataclass(frozen=True)
class Passes:
    """The share of tasks solved in k tries, at each of TAUS, for one seed's tasks."""

    tries: int
    seed: int
    solved: tuple[float, ...]

    @property
    def best(self) -> float:
        """Return the temperature at which most tasks are solved."""
        return TAUS[self.solved.index(max(self.solved))]


@dataclass(frozen=True)
class Mismatch:
    """The first epoch of a run that samples at one temperature, scored at the same one or at 1."""

    sampled_at: float
    scored_alike: bool
    ratio: float  # mean over tokens
    approx_kl: float  # nats per token
    clipped: float  # share of the tokens


@dataclass(frozen=True)
class Result:
    """The law, the tries and the bug."""

    slopes: tuple[Slope, ...]
    passes: tuple[Passes, ...]
    mismatches: tuple[Mismatch, ...]

    def best(self, tries: int) -> list[float]:
        """Return the best temperature for so many tries, by seed."""
        return [one.best for one in self.passes if one.tries == tries]


FAST, WORKSHOP = Size(200, 5), Size(2_000, 20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure the slope on `micro`, pass@k on drawn tasks, and the first epoch of mismatched runs."""
    world, passes, mismatches = load_world("micro"), [], []
    for seed in range(size.seeds):
        job.check()
        job.report(seed, size.seeds + 1, f"tasks of seed {seed}")
        passes += pass_at(TRIES, size.tasks, seed=seed)
    job.report(size.seeds, size.seeds + 1, "first epochs on micro")
    for tau in SAMPLED:
        mismatches += [first_epoch(world, tau, alike=alike, job=job) for alike in (True, False)]
    logits = state_logits(world)
    return Result(tuple(slope_at(logits, tau) for tau in TAUS), tuple(passes), tuple(mismatches))


def state_logits(world: World) -> Tensor:
    """Return the logits with which a world's policy begins to answer each prompt, (prompts, A)."""
    rows = []
    for prompt in world.prompts:
        ids = torch.tensor([world.policy.encode(prompt)])
        with torch.no_grad():
            rows.append(world.policy.model(ids).logits[0, -1, : world.policy.vocabulary].double())
    return torch.stack(rows)


def slope_at(logits: Tensor, tau: float) -> Slope:
    """Return the slope of the entropy in the temperature by two points, and by Var(z) / tau^3."""
    probs = (logits / tau).softmax(dim=1)
    variance = (probs * logits.square()).sum(dim=1) - (probs * logits).sum(dim=1).square()
    above, below = (entropy(logits / (tau + step)) for step in (NUDGE, -NUDGE))
    measured = float((above - below).mean()) / (2 * NUDGE)
    return Slope(tau, float(entropy(logits / tau).mean()), measured, float(variance.mean()) / tau**3)


def pass_at(tries: Sequence[int], tasks: int, *, seed: int) -> list[Passes]:
    """Draw tasks and return the exact share solved in k independent tries: the mean of 1 - (1 - p)^k."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(tasks, TOKENS, WORDS, generator=generator, dtype=torch.float64)
    logits[..., 0] += HINT  # the right word stands first, and is not always the likeliest
    logps = [(logits / tau).log_softmax(dim=-1)[..., 0].sum(dim=1) for tau in TAUS]  # (tasks,) for each tau
    missed = [torch.log1p(-one.exp().clamp(max=1 - 1e-15)) for one in logps]
    return [Passes(k, seed, tuple(1 - float((k * one).exp().mean()) for one in missed)) for k in tries]


def first_epoch(world: World, tau: float, *, alike: bool, job: Job = NO_JOB) -> Mismatch:
    """Do one update at a temperature, the old log-probs taken at the same one or, the bug, at 1."""

    def scored_at_one(context: Context, prompts: Sequence[str]) -> Rollout:
        rows = STAGES.rollout(context, prompts)
        size = context.config.micro_batch_size
        plain = evaluate(context.policy, rows, reference=context.reference, micro_batch_size=size, job=context.job)
        return dataclasses.replace(rows, logprobs=plain.logprobs)

    stages = STAGES if alike else Stages(rollout=scored_at_one)
    metrics = Trainer(world, "ppo", world.config("ppo", temperature=tau, epochs=1), stages=stages).update(job=job)
    names = ("val/ratio_first", "policy/approxkl_first", "policy/clipfrac_first")
    return Mismatch(tau, alike, *(metrics[name] for name in names))
