"""On `micro`, 60 PPO updates at the notebook's defaults against the learned reward raise gold, on every seed."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from benchmarks.result import Result
from rllab.reward.judges import micro_gold
from rllab.trainer.trainer import Trainer
from rllab.truth import Tree, exact
from rllab.value.objective import Objective
from rllab.worlds import World, load_world

SEEDS, UPDATES = 5, 60
MIN_GAIN, MAX_SECONDS, MAX_KL, MIN_LENGTH = 1.0, 20.0, 10.0, 0.7
TARGET = (
    f"{UPDATES} updates on {SEEDS} of {SEEDS} seeds: gold up by at least {MIN_GAIN:g} initial sd in at most "
    f"{MAX_SECONDS:g} s, KL at most {MAX_KL:g} nats, length at least {MIN_LENGTH:.0%} of the start, all by enumeration"
)


@dataclass(frozen=True)
class Law:
    """Exact statistics of all responses of a policy, by enumeration, averaged over the prompts."""

    score: float  # of the gold judge
    spread: float  # its standard deviation
    length: float  # tokens
    choices: float  # exp of the entropy in nats: that many equally likely responses have the same entropy


@dataclass(frozen=True)
class Run:
    """The result of one seed's run."""

    seed: int
    gain: float  # of gold, in standard deviations before
    seconds: float  # of the updates alone
    kl: float  # nats per response
    length: float  # share of the length before
    choices: float  # of the policy after

    @property
    def passed(self) -> bool:
        """Return whether this run meets every target."""
        quick = self.seconds <= MAX_SECONDS
        return quick and self.gain >= MIN_GAIN and self.kl <= MAX_KL and self.length >= MIN_LENGTH


def measure() -> Result:
    """Train once for each seed and enumerate all responses before and after."""
    world = load_world("micro")
    runs = [run(world, seed) for seed in range(SEEDS)]
    good, before = sum(one.passed for one in runs), law([tree(world, prompt) for prompt in world.prompts])
    figure = (
        f"{good} of {SEEDS} seeds: gold {', '.join(f'{one.gain:+.2f}' for one in runs)} sd, at most "
        f"{max(one.seconds for one in runs):.1f} s and {max(one.kl for one in runs):.2f} nats, length at least "
        f"{min(one.length for one in runs):.0%}; as many choices as {before.choices:.0f} equally likely responses "
        f"before, {statistics.median(one.choices for one in runs):.0f} after (median)"
    )
    details = {"before": asdict(before), "runs": [asdict(one) for one in runs], "threads": torch.get_num_threads()}
    claim = "PPO on the smallest world raises the hidden gold score, which is known exactly"
    return Result(claim, TARGET, figure, passed=good == SEEDS, details=details)


def run(world: World, seed: int) -> Run:
    """Train once and compare the exact statistics before and after."""
    trainer = Trainer(world, "ppo", seed=seed)
    began = time.perf_counter()
    trainer.run(UPDATES)
    seconds = time.perf_counter() - began
    start = law([tree(world, prompt) for prompt in world.prompts])
    trees = [tree(trainer.world, prompt) for prompt in world.prompts]
    end = law(trees)
    return Run(
        seed=seed,
        gain=(end.score - start.score) / start.spread,
        seconds=seconds,
        kl=statistics.fmean(one.kl(world.reference) for one in trees),
        length=end.length / start.length,
        choices=end.choices,
    )


def tree(world: World, prompt: str) -> Tree:
    """Enumerate the responses to a prompt; their reward is gold, without a KL penalty."""
    judge = micro_gold(world.policy.decode)
    objective = Objective.of(replace(world.config(), kl_coef=0.0), reward=judge, reference=world.reference)
    return exact(world, prompt, objective=objective)


def law(trees: list[Tree]) -> Law:
    """Return the statistics of several trees, with equal weight for each prompt."""
    p = torch.cat([tree.leaf_logprobs.exp() for tree in trees]) / len(trees)

    def mean(numbers: list[Tensor]) -> float:
        return float((p * torch.cat(numbers).double()).sum())

    score = mean([tree.scores.total for tree in trees])
    square = mean([tree.scores.total.double().square() for tree in trees])
    return Law(
        score=score,
        spread=(square - score**2) ** 0.5,
        length=mean([tree.leaves.lengths for tree in trees]),
        choices=float(torch.tensor(mean([-tree.leaf_logprobs for tree in trees])).exp()),
    )
