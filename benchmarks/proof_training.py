"""On `micro-tabular` PPO, RLOO and A2C close the gap to the optimal policy, which is known exactly."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.result import Result
from rllab.policy.policy import Policy
from rllab.trainer.trainer import Trainer
from rllab.truth import Tree, exact
from rllab.worlds import load_world
from rllab.worlds.world import World

BETA, SEEDS, SECONDS = 0.5, 5, 60.0  # reward per nat; runs; seconds of one core in training at most
TARGET, EVERY = 0.98, 20  # updates between two evaluations
# Changes to the world's defaults: smaller steps and larger batches, because a constant rate leaves residual noise.
STEADY = {"batch_size": 768, "micro_batch_size": 768, "lr": 0.05}
SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": STEADY | {"critic_lr": 0.2},
    "rloo": STEADY,
    "a2c": STEADY | {"critic_lr": 0.2},
}

Later = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Closed:
    """The share of the gap that one run closed, and its cost."""

    world: str
    algorithm: str
    seed: int
    share: float  # (J - J_ref) / (J* - J_ref), by enumeration
    seconds: float  # of one core, training only
    updates: int
    settings: dict[str, Any] = field(default_factory=dict)
    later: dict[int, Mapping[str, float]] = field(default_factory=dict)  # changes after that many updates


class Gap:
    """The gap between the reference and the optimal policy for E[R] - beta KL, over all prompts of a world."""

    def __init__(self, world: World, *, beta: float = BETA) -> None:
        self.world, self.objective = world, dataclasses.replace(world.objective, kl_coef=beta)
        self.trees = [self._tree(prompt, world.reference) for prompt in world.prompts]
        self.optima = [tree.optimum(beta) for tree in self.trees]
        self.reference = sum(tree.J for tree in self.trees)
        self.best = sum(optimum.J for optimum in self.optima)

    def closed(self, policy: Policy) -> float:
        """Return the exact share of the gap that a policy has closed."""
        reached = sum(self._tree(prompt, policy).J for prompt in self.world.prompts)
        return (reached - self.reference) / (self.best - self.reference)

    def _tree(self, prompt: str, policy: Policy) -> Tree:
        return exact(self.world, prompt, objective=self.objective, policy=policy)


def train(
    gap: Gap, algorithm: str, seed: int, *, target: float, every: int = EVERY, later: Later | None = None, **own: Any
) -> Closed:
    """Train until the target is reached or the time is up; evaluation does not count as training time.

    `later` maps a number of updates to the settings that change after it.
    """
    config = gap.world.config(algorithm, kl_coef=BETA, **own)
    trainer, seconds, share = Trainer(gap.world, algorithm, config, seed=seed), 0.0, 0.0
    while share < target and seconds < SECONDS:
        for _ in range(every):
            began = time.process_time()
            trainer.configure(**(later or {}).get(trainer.index, {}))
            trainer.update()
            seconds += time.process_time() - began
            if seconds >= SECONDS:
                break
        share = gap.closed(trainer.world.policy)
    done = Closed(gap.world.name, algorithm, seed, share, seconds, trainer.index, own, dict(later or {}))
    print(done, flush=True)
    return done


def measure() -> Result:
    """Train each algorithm on each seed."""
    torch.set_num_threads(1)  # so that CPU time equals the time on an idle core
    gap = Gap(load_world("micro-tabular"))
    runs = [train(gap, name, seed, target=TARGET, **own) for name, own in SETTINGS.items() for seed in range(SEEDS)]
    good = {name: sum(run.share >= TARGET for run in runs if run.algorithm == name) for name in SETTINGS}
    said = "; ".join(f"{name} {good[name]} of {SEEDS}, {_range(runs, name)}" for name in SETTINGS)
    return Result(
        claim="on micro-tabular PPO, RLOO and A2C close the gap to the optimal policy",
        target=f"at least {TARGET:.0%} of (J - J_ref) / (J* - J_ref) at beta {BETA:g}, by enumeration, in at most "
        f"{SECONDS:.0f} s of one core in training, on {SEEDS} of {SEEDS} seeds",
        figure=said,
        passed=all(count == SEEDS for count in good.values()),
        details={"runs": [asdict(run) for run in runs]},
    )


def _range(runs: list[Closed], algorithm: str) -> str:
    own = [run for run in runs if run.algorithm == algorithm]
    shares, seconds = sorted(run.share for run in own), max(run.seconds for run in own)
    return f"{shares[0]:.1%} to {shares[-1]:.1%} in at most {seconds:.0f} s"
