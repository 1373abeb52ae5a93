"""On `tales`, 60 PPO updates at the notebook's defaults against the learned reward raise gold, on every seed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import torch

from benchmarks.result import Result
from rllab.course.recipes.tales import quality, write_stories
from rllab.reward.stories import story_grammar
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world
from rllab.worlds.shipped import prompts_of

SEEDS, UPDATES, ROLLOUTS = 5, 60, 256
MIN_SHARE, MIN_GAIN, MAX_SECONDS, MAX_KL, MIN_LENGTH, MIN_DISTINCT = 0.95, 1.0, 120.0, 10.0, 0.7, 0.8
TARGET = (
    f"at least {MIN_SHARE:.0%} of sentences parse and of responses end; {UPDATES} updates on {SEEDS} of {SEEDS} "
    f"seeds: gold up by at least {MIN_GAIN:g} initial sd in at most {MAX_SECONDS:g} s, KL at most {MAX_KL:g} nats, "
    f"length at least {MIN_LENGTH:.0%} of the start, at least {MIN_DISTINCT:.0%} distinct"
)


@dataclass(frozen=True)
class Run:
    """The result of one seed's run, measured on held-out prompts before and after."""

    seed: int
    gain: float  # of gold, in standard deviations before
    seconds: float  # of the updates alone
    kl: float  # nats per response, exact over the vocabulary
    length: float  # share of the length before
    distinct: float  # share of the responses
    parseable: float  # share of the sentences
    ended: float  # share of the responses
    gold: float
    reward: float

    @property
    def passed(self) -> bool:
        """Return whether this run meets every target."""
        return (
            self.gain >= MIN_GAIN
            and self.seconds <= MAX_SECONDS
            and self.kl <= MAX_KL
            and self.length >= MIN_LENGTH
            and self.distinct >= MIN_DISTINCT
        )


def measure() -> Result:
    """Measure the reference model, then one run for each seed."""
    world, grammar = load_world("tales"), story_grammar()
    held_out = world.replace(prompts=prompts_of("tales", "held-out"))
    before = quality(held_out, write_stories(held_out, count=ROLLOUTS, seed=0), grammar)
    runs = [run(world, seed) for seed in range(SEEDS)]
    good = sum(one.passed for one in runs)
    gains = ", ".join(f"{one.gain:+.2f}" for one in runs)
    figure = (
        f"reference: {before.parseable:.1%} parse, {before.ended:.1%} end; {good} of {SEEDS} seeds: gold {gains} sd, "
        f"at most {max(one.seconds for one in runs):.0f} s and {max(one.kl for one in runs):.1f} nats, length at least "
        f"{min(one.length for one in runs):.0%}, at least {min(one.distinct for one in runs):.1%} distinct"
    )
    passed = good == SEEDS and min(before.parseable, before.ended) >= MIN_SHARE
    details = {"reference": asdict(before), "runs": [asdict(one) for one in runs], "threads": torch.get_num_threads()}
    claim = "PPO on the story world raises the hidden gold score, and its responses remain stories"
    return Result(claim, TARGET, figure, passed=passed, details=details)


def run(world: World, seed: int) -> Run:
    """Train once and compare held-out responses before and after, sampled with the same seed."""
    grammar, trainer = story_grammar(), Trainer(world, "ppo", seed=seed)
    then = world.replace(prompts=prompts_of("tales", "held-out"))
    start = quality(then, write_stories(then, count=ROLLOUTS, seed=1000 + seed), grammar)
    began = time.perf_counter()
    trainer.run(UPDATES)
    seconds = time.perf_counter() - began
    now = trainer.world.replace(prompts=then.prompts)
    sequences = write_stories(now, count=ROLLOUTS, seed=1000 + seed)
    end = quality(now, sequences, grammar)
    rollout = evaluate(now.policy, sequences, reference=now.reference)
    return Run(
        seed=seed,
        gain=(end.gold - start.gold) / start.gold_sd,
        seconds=seconds,
        kl=rollout.exact_kl.sum(dim=1).mean().item(),
        length=end.length / start.length,
        distinct=end.distinct,
        parseable=end.parseable,
        ended=end.ended,
        gold=end.gold,
        reward=now.reward.score(sequences).total.mean().item(),
    )
