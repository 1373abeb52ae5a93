"""Implementation audit. Six details that papers leave out, each on and off: what breaks, and where it shows.

After Huang et al. 2024, "The N implementation details of RLHF with PPO". Each switch names a number, says which way it
should move when the detail is left out, and is measured with and without on the same seeds of `micro`.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, Targets
from rllab.maths.masking import apply_mask
from rllab.trainer.stages import STAGES, Context, Stages
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic
from rllab.worlds import load_world
from rllab.worlds.world import World

LIFT, LOUD, WIDE = 3.0, 10.0, 1.0  # of the reward's level and unit; spread of a critic's head


@dataclass(frozen=True)
class Size:
    """How many seeds, updates of the longer runs, and responses in a batch."""

    seeds: int
    updates: int
    batch: int


@dataclass(frozen=True)
class Outcome:
    """One switch on one seed: the number that betrays it, with the detail and without."""

    switch: str
    seed: int
    kept: float
    left_out: float


@dataclass(frozen=True)
class Result:
    """All switches on the same seeds."""

    outcomes: tuple[Outcome, ...]

    def of(self, switch: str) -> list[Outcome]:
        """Return one switch's outcomes, by seed."""
        return [one for one in self.outcomes if one.switch == switch]

    def means(self, switch: str) -> tuple[float, float]:
        """Return the mean number with the detail and without."""
        own = self.of(switch)
        return statistics.fmean(one.kept for one in own), statistics.fmean(one.left_out for one in own)


FAST, WORKSHOP = Size(seeds=3, updates=9, batch=48), Size(seeds=5, updates=15, batch=64)


@dataclass(frozen=True)
class Switch:
    """A detail, the number that betrays its absence, and which way that moves: +1 up, -1 down."""

    name: str
    number: str
    way: int
    measure: Callable[[World, Size, int], tuple[float, float]]  # world, size, seed -> kept, left out


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure each switch with and without its detail on each seed."""
    outcomes, world = [], load_world("micro")
    for number, switch in enumerate(SWITCHES):
        job.report(number, len(SWITCHES), switch.name)
        for seed in range(size.seeds):
            job.check()
            outcomes.append(Outcome(switch.name, seed, *switch.measure(world, size, seed)))
    return Result(tuple(outcomes))


def unit_of_reward(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the critic's first gradient, over the norm it is cut to, for a reward in its unit and a loud one."""
    norms = []
    for stages in (STAGES, Stages(score=_louder)):
        trainer = Trainer(world, "ppo", world.config("ppo", **_small(size), epochs=1), seed=seed, stages=stages)
        norms.append(trainer.update()["critic/grad_norm"] / trainer.config.max_grad_norm)
    return norms[0], norms[1]


def whitening(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the share of tokens that a reward lifted by 3 pushes up, whitened and raw: all of them where raw."""
    shares = []
    for whiten in (True, False):
        config = world.config("reinforce", **_small(size), epochs=1, whiten=whiten)
        trainer = Trainer(world, "reinforce", config, seed=seed, stages=Stages(score=_lifted))
        loop = trainer.phases()
        targets = next(phase.record for phase in loop if isinstance(phase.record, Targets))
        loop.close()
        shares.append(float((targets.policy_weights[targets.loss_mask] > 0).double().mean()))
    return shares[0], shares[1]


def end_is_no_padding(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the share of the written tokens that are learned from, the end token among them and taken for padding."""
    shares = []
    for stages in (STAGES, Stages(targets=_end_masked)):
        trainer = Trainer(world, "ppo", world.config("ppo", **_small(size), epochs=1), seed=seed, stages=stages)
        shares.append(trainer.update()["policy/trained_share"])
    return shares[0], shares[1]


def penalty_without_end(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the share of responses that are cut, with a price on it and without."""
    return _cut(world, size, seed, penalty=2.0), _cut(world, size, seed, penalty=0.0)


def head_at_zero(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the critic's first loss, with its head at zero and at random."""
    losses = []
    for spread in (0.0, WIDE):
        critic = world.critic.copy()
        if isinstance(critic, Critic):
            generator = torch.Generator().manual_seed(seed)
            head = critic.model.get_submodule("score")
            with torch.no_grad():
                for one in head.parameters():
                    one.copy_(spread * torch.randn(one.shape, generator=generator, dtype=one.dtype))
        config = world.config("ppo", **_small(size), epochs=1)
        losses.append(Trainer(world.replace(critic=critic), "ppo", config, seed=seed).update()["loss/value_avg"])
    return losses[0], losses[1]


def adam_eps(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return how many learning rates one small late gradient moves a weight in all, with a floor under it and without.

    Adam divides by the root of what a weight has seen. One that has seen nothing for 200 steps, a rare token's say,
    is thrown far out by its first gradient, however small that is.
    """
    del world, size  # one weight shows it
    gradient = 1e-5 * (1 + torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    moved = []
    for eps in (1e-5, 1e-12):
        weight = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=1.0, eps=eps)
        for step in range(300):
            weight.grad = gradient.clone() if step == 200 else torch.zeros_like(weight)
            optimizer.step()
        moved.append(abs(float(weight.detach())))
    return moved[0], moved[1]


SWITCHES = (
    Switch("reward normalisation", "critic's first gradient / its limit", +1, unit_of_reward),
    Switch("advantage whitening", "share of tokens pushed up", +1, whitening),
    Switch("EOS is not PAD", "share of tokens learned from", -1, end_is_no_padding),
    Switch("penalty without EOS", "responses cut", +1, penalty_without_end),
    Switch("value head at zero", "first value loss", +1, head_at_zero),
    Switch("Adam's epsilon", "learning rates that one late gradient moves", +1, adam_eps),
)


def _small(size: Size) -> Mapping[str, Any]:
    return {"batch_size": size.batch, "micro_batch_size": size.batch}


def _cut(world: World, size: Size, seed: int, *, penalty: float) -> float:
    """Train, and return the share of responses that are cut, over the last third of the run."""
    config = world.config("ppo", **_small(size), epochs=1, lr=1e-2, missing_eos_penalty=penalty)
    trainer = Trainer(world, "ppo", config, seed=seed)
    trainer.run(size.updates)
    late = trainer.history[-(size.updates // 3) :]
    return statistics.fmean(record.metrics["completions/clipped_ratio"] for record in late)


def _last(rows: Rollout) -> torch.Tensor:
    """Mark the last token of each response, (B, T)."""
    return rows.response_mask & (rows.response_mask.cumsum(dim=1) == rows.lengths[:, None])


def _louder(context: Context, rows: Rollout) -> Scores:
    """Pay the reward in a tenth of its unit, so that its numbers are ten times as large."""
    scores = STAGES.score(context, rows)
    return dataclasses.replace(scores, total=LOUD * scores.total, per_token=LOUD * scores.per_token)


def _lifted(context: Context, rows: Rollout) -> Scores:
    """Pay 3 more for every response, whatever it says."""
    scores = STAGES.score(context, rows)
    return dataclasses.replace(scores, total=scores.total + LIFT, per_token=scores.per_token + LIFT * _last(rows))


def _end_masked(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Take the end token for padding: it has an id of its own meaning, and yet no gradient."""
    targets = STAGES.targets(context, rows, scores)
    mask = targets.loss_mask & (rows.response_tokens != context.policy.eos_id)
    return dataclasses.replace(targets, loss_mask=mask, policy_weights=apply_mask(targets.policy_weights, mask))
