"""Implementation audit. Six details that papers leave out, each on and off: what breaks, and where it shows.

After Huang et al. 2024, "The N implementation details of RLHF with PPO". Each switch names a number and the direction
it should move when the detail is left out, and is measured with and without it on the same seeds of `micro`.
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
from rllab.course.experiments import unmet
from rllab.maths.masking import apply_mask
from rllab.plots.charts import HEIGHT, log_axis
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed
from rllab.trainer.stages import STAGES, Context, Stages
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic
from rllab.worlds import load_world
from rllab.worlds.world import World

LIFT, LOUD, WIDE = 3.0, 10.0, 1.0  # added to the reward, multiplied with it; spread of a critic's head


@dataclass(frozen=True)
class Size:
    """How many seeds, updates of the longer runs, and responses in a batch."""

    seeds: int
    updates: int
    batch: int


@dataclass(frozen=True)
class Outcome:
    """One switch on one seed: the number that shows it, with the detail and without."""

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
        return [outcome for outcome in self.outcomes if outcome.switch == switch]

    def means(self, switch: str) -> tuple[float, float]:
        """Return the mean number with the detail and without."""
        seeds = self.of(switch)
        return statistics.fmean(seed.kept for seed in seeds), statistics.fmean(seed.left_out for seed in seeds)


FAST, WORKSHOP = Size(seeds=3, updates=6, batch=48), Size(seeds=5, updates=15, batch=64)


@dataclass(frozen=True)
class Switch:
    """A detail, the number that shows its absence, and the direction that moves: +1 up, -1 down."""

    name: str
    number: str
    way: int
    measure: Callable[[World, Size, int], tuple[float, float]]  # world, size, seed -> kept, left out


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure each switch with and without its detail on each seed.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The number of each switch, with the detail and without.
    """
    outcomes, world = [], load_world("micro")
    for number, switch in enumerate(SWITCHES):
        job.report(number, len(SWITCHES), switch.name)
        for seed in range(size.seeds):
            job.check()
            outcomes.append(Outcome(switch.name, seed, *switch.measure(world, size, seed)))
    return Result(tuple(outcomes))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    kept, raw = result.means("advantage whitening")
    zero, wide = result.means("value head at zero")
    moved = {
        f"{switch.name}: {switch.number} go {'up' if switch.way > 0 else 'down'} without it, on every seed": all(
            switch.way * (seed.left_out - seed.kept) > 0 for seed in result.of(switch.name)
        )
        for switch in SWITCHES
    }
    return unmet(
        moved
        | {
            "whitened advantages push some tokens up and some down": 0.2 < kept < 0.8,
            "raw advantages of a lifted reward push nearly all tokens up": raw > 0.95,
            "a random value head doubles the first loss": wide > 2 * zero,
        }
    )


def details_left_out(result: Result) -> Picture:
    """Draw, for each detail, how many times as large the number that shows its absence is without it.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture.
    """
    pairs = [result.means(switch.name) for switch in SWITCHES]
    times = [without / max(kept, 1e-3) for kept, without in pairs]
    dots = {
        "type": "scatter",
        "mode": "markers+text",
        "y": [f"{switch.name}: {switch.number}" for switch in SWITCHES],
        "x": times,
        "text": [f"  {fixed(kept)} → {fixed(without)}" for kept, without in pairs],
        "textposition": "middle right",
        "cliponaxis": False,
        "marker": {"color": colour("down"), "size": 9},
    }
    here = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": colour("edge")}}
    layout = {
        "height": HEIGHT,
        "xaxis": log_axis(min(times) / 1.5, 1.5 * max(times)),
        "yaxis": {"autorange": "reversed"},
        "margin": {"r": 90},
        "shapes": [here],
    }
    drawn = drawing([dots], x="times as large when left out (log)", y="", layout=layout)
    seeds = len(result.of(SWITCHES[0].name))
    words = f"Mean of {seeds} seeds; without its detail each number moves the same way on every seed."
    return Picture(drawn, words, "six details, with and without")


def unit_of_reward(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the critic's first gradient over its limit, with the reward as it is and ten times as large."""
    norms = []
    for stages in (STAGES, Stages(score=_ten_times)):
        trainer = Trainer(world, "ppo", world.config("ppo", **_small(size), epochs=1), seed=seed, stages=stages)
        norms.append(trainer.update()["critic/grad_norm"] / trainer.config.max_grad_norm)
    return norms[0], norms[1]


def whitening(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the share of tokens that a reward lifted by 3 pushes up, whitened and raw: all of them if raw."""
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
    """Return the share of sampled tokens that are learned from, the end token included and taken for padding."""
    shares = []
    for stages in (STAGES, Stages(targets=_end_masked)):
        trainer = Trainer(world, "ppo", world.config("ppo", **_small(size), epochs=1), seed=seed, stages=stages)
        shares.append(trainer.update()["policy/trained_share"])
    return shares[0], shares[1]


def penalty_without_end(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return the share of responses that are cut, with a penalty for it and without."""
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
                for parameter in head.parameters():
                    parameter.copy_(spread * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
        config = world.config("ppo", **_small(size), epochs=1)
        losses.append(Trainer(world.replace(critic=critic), "ppo", config, seed=seed).update()["loss/value_avg"])
    return losses[0], losses[1]


def adam_eps(world: World, size: Size, seed: int) -> tuple[float, float]:
    """Return how many learning rates one small late gradient moves a weight in total, with epsilon and nearly without.

    Adam divides by the root of the mean squared gradient. A weight without a gradient for 200 steps, a rare token's
    say, is thrown far out by its first gradient, however small that is.
    """
    del world, size  # a single weight shows it
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
    """Return which token is the last of its response, (B, T)."""
    return rows.response_mask & (rows.response_mask.cumsum(dim=1) == rows.lengths[:, None])


def _ten_times(context: Context, rows: Rollout) -> Scores:
    """Return the reward in a tenth of its unit, so that its numbers are ten times as large."""
    scores = STAGES.score(context, rows)
    return dataclasses.replace(scores, total=LOUD * scores.total, per_token=LOUD * scores.per_token)


def _lifted(context: Context, rows: Rollout) -> Scores:
    """Return a reward that is higher by 3 for every response."""
    scores = STAGES.score(context, rows)
    return dataclasses.replace(scores, total=scores.total + LIFT, per_token=scores.per_token + LIFT * _last(rows))


def _end_masked(context: Context, rows: Rollout, scores: Scores) -> Targets:
    """Return targets that take the end token for padding: it gets no gradient."""
    targets = STAGES.targets(context, rows, scores)
    mask = targets.loss_mask & (rows.response_tokens != context.policy.eos_id)
    return dataclasses.replace(targets, loss_mask=mask, policy_weights=apply_mask(targets.policy_weights, mask))
