"""PPO updates of the real LLM on a CPU raise the mean sentiment of its responses to held-out prompts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch

from benchmarks.result import Result
from rllab.core.records import UpdateRecord
from rllab.policy.generation import generate
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world
from rllab.worlds.fetch import fetch
from rllab.worlds.shipped import NAME, prompts_of

CLAIM = "25 PPO updates (16 rollouts of 24 tokens) of SmolLM2 on a CPU raise the mean sentiment of held-out rollouts"
UPDATES, SEEDS, SAMPLES = 25, (0, 1), 16  # samples of each of the 16 held-out prompts: 256 rollouts
LEAST_GAIN, GIB = 0.1, 2**30


def measure() -> Result:
    """Measure the untrained policy, train it twice, and compare."""
    fetch(NAME)
    began = time.perf_counter()
    world = load_world(NAME, device="cpu")
    loaded = time.perf_counter() - began
    before, speed = held_out(world)
    runs = [run(world, before, seed=seed) for seed in SEEDS]
    memory = psutil.Process().memory_info().rss / GIB
    seconds = {name: round(statistics.median(one["seconds"][name] for one in runs), 1) for name in runs[0]["seconds"]}
    gains = ", ".join(f"{one['gain']:+.3f} (95% from {one['low']:+.3f}, KL {one['kl']:.1f} nats)" for one in runs)
    phases = ", ".join(f"{name} {value:g}" for name, value in seconds.items())
    return Result(
        claim=CLAIM,
        target=f"a gain of at least {LEAST_GAIN}, its lower 95% bound above 0, on {len(SEEDS)} of {len(SEEDS)} seeds",
        figure=f"mood {before.mean():.3f}, gains {gains}; median seconds of an update: {phases}; load {loaded:.1f} s, "
        f"{speed:.0f} tokens/s in a batch of {len(before)}, {torch.get_num_threads()} threads, {memory:.1f} GiB",
        passed=all(one["gain"] >= LEAST_GAIN and one["low"] > 0 for one in runs),
        details={"runs": runs, "load_seconds": loaded, "tokens_per_second": speed, "config": vars(world.config("ppo"))},
    )


def run(world: World, before: torch.Tensor, *, seed: int) -> dict[str, Any]:
    """Train once, and return the gain in mood on held-out rollouts."""
    trainer = Trainer(world, "ppo", seed=seed)
    began = time.process_time()
    for _ in range(UPDATES):
        trainer.update()
        print(f"seed {seed}, {told(trainer.history[-1])}", flush=True)
    worked = (time.process_time() - began) / UPDATES
    after, _ = held_out(trainer.world)
    gain = float(after.mean() - before.mean())
    error = math.sqrt(float(after.var() / len(after) + before.var() / len(before)))
    return {
        "seed": seed,
        "gain": gain,
        "low": gain - 1.96 * error,
        "mood": float(after.mean()),
        "seconds": {**median_seconds(trainer.history), "of CPU": worked},  # independent of other work on the machine
        **quality(trainer.world),
    }


def held_out(world: World) -> tuple[torch.Tensor, float]:
    """Return the mood of rollouts on the held-out prompts, and the tokens sampled per second."""
    began = time.perf_counter()
    length = world.config("ppo").max_new_tokens
    rows = generate(
        world.policy, prompts_of("smollm2", "held-out"), max_new_tokens=length, samples_per_prompt=SAMPLES, seed=2**31
    )
    speed = int(rows.response_mask.sum()) / (time.perf_counter() - began)
    return world.reward.score(rows).parts["mood"], speed


def quality(world: World) -> dict[str, float]:
    """Return the policy's KL to the reference, and the length and variety of its answers."""
    length = world.config("ppo").max_new_tokens
    prompts = prompts_of("smollm2", "held-out")
    rows = generate(world.policy, prompts, max_new_tokens=length, samples_per_prompt=2, seed=7)
    rollout = evaluate(world.policy, rows, reference=world.reference)
    return {
        "kl": float(rollout.exact_kl.sum(dim=1).mean()),  # nats per response
        "length": float(rows.lengths.double().mean()),
        "distinct": len(set(rows.responses)) / len(rows),
    }


def median_seconds(history: Sequence[UpdateRecord]) -> Mapping[str, float]:
    """Return the median seconds of each phase, and of the whole update."""
    phases = {name: statistics.median(record.seconds[name] for record in history) for name in history[0].seconds}
    return phases | {"update": statistics.median(sum(record.seconds.values()) for record in history)}


def told(record: UpdateRecord) -> str:
    """Format the result of an update on one line."""
    metrics = record.metrics
    return (
        f"update {record.index}: score {metrics['objective/scores']:.3f}, KL {metrics['objective/kl']:.2f} nats, "
        f"{sum(record.seconds.values()):.0f} s"
    )
