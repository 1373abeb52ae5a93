"""X20: the story exercise as a two by two: paid at the end or at every token, by an honest judge or one easy to please.

Repetitive nonsense has two causes. Late pay makes credit slow, and paying at every token cures that. A score that is
easy to please is pleased, and paying at every token only pleases it sooner. Gold watches all four runs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from rllab.config import Timing
from rllab.errors import Stopped
from rllab.generation import Progress
from rllab.judges.story_rewards import happy_words
from rllab.observatory import Curve, watch
from rllab.reward import Reward, TextReward
from rllab.trainer import Trainer
from rllab.worlds import World, load_world

TIMINGS: tuple[Timing, ...] = ("eos", "prefix")
JUDGES = ("honest", "easy to please")


@dataclass(frozen=True)
class Size:
    """Which world, how many seeds, how long, and how many samples are read at each measurement."""

    world: str
    seeds: int
    updates: int
    every: int
    samples: int


@dataclass(frozen=True)
class Arm:
    """One run, measured every few updates; the texts are one sample from its beginning and its end."""

    judge: str
    timing: str
    seed: int
    updates: tuple[int, ...]
    proxy: tuple[float, ...]
    gold: tuple[float, ...]
    kl: tuple[float, ...]  # nats per response
    variety: tuple[float, ...]  # different tokens for each token written
    first_text: str
    last_text: str

    @property
    def fall(self) -> float:
        """Return how far gold has fallen from its peak at the end."""
        return max(self.gold) - self.gold[-1]

    @property
    def gain(self) -> float:
        """Return how far gold has risen from the start at the end."""
        return self.gold[-1] - self.gold[0]


@dataclass(frozen=True)
class Result:
    """The four outcomes on every seed."""

    arms: tuple[Arm, ...]

    def of(self, judge: str, timing: str) -> list[Arm]:
        """Return one of the four cells, by seed."""
        return [arm for arm in self.arms if (arm.judge, arm.timing) == (judge, timing)]

    def mean_proxy(self, judge: str, timing: str) -> float:
        """Return the proxy averaged over a run and over seeds: the larger, the sooner it was pleased."""
        arms = self.of(judge, timing)
        return sum(sum(arm.proxy) / len(arm.proxy) for arm in arms) / len(arms)


FAST, WORKSHOP = Size("micro", 1, 10, 5, 100), Size("tales", 5, 32, 4, 64)


def run(size: Size, *, stop: threading.Event | None = None, progress: Progress | None = None) -> Result:
    """Train by PPO once for each cell and seed."""
    world, arms = load_world(size.world), []
    cells = [(seed, judge, timing) for seed in range(size.seeds) for judge in JUDGES for timing in TIMINGS]
    for number, (seed, judge, timing) in enumerate(cells):
        if progress is not None:
            progress(number, len(cells), f"{judge}, {timing}, seed {seed}")
        arms.append(run_cell(world, size, judge, timing, seed=seed, stop=stop))
    return Result(tuple(arms))


def run_cell(
    world: World, size: Size, judge: str, timing: Timing, *, seed: int, stop: threading.Event | None = None
) -> Arm:
    """Train once, without a price on KL."""
    asked = world.replace(reward=judge_of(world, judge))
    trainer = Trainer(asked, "ppo", asked.config("ppo", kl_coef=0.0, timing=timing), seed=seed)
    curve = watch(trainer, method=judge, updates=size.updates, every=size.every, samples=size.samples, stop=stop)
    if stop is not None and stop.is_set():
        raise Stopped
    return _arm(curve, judge, timing, seed)


def judge_of(world: World, judge: str) -> Reward:
    """Return gold itself, or a score that counts happy words and hears no `not`."""
    if judge == "honest" and world.gold is not None:
        return world.gold
    return EASY[world.name](world)


def _deaf(prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
    """Count happy words less sad ones, deaf to `not`."""
    del prompt, ended  # that it does not look at them is the point
    words = response.split()
    return {"happy": words.count("happy"), "sad": words.count("sad")}


def _arm(curve: Curve, judge: str, timing: str, seed: int) -> Arm:
    """Keep of a curve what a figure draws."""
    points = curve.points
    return Arm(
        judge,
        timing,
        seed,
        updates=tuple(point.step for point in points),
        proxy=tuple(round(point.proxy, 4) for point in points),
        gold=tuple(round(point.gold, 4) for point in points),
        kl=tuple(round(point.kl, 4) for point in points),
        variety=tuple(round(point.variety, 4) for point in points),
        first_text=points[0].samples[0].response,
        last_text=points[-1].samples[0].response,
    )


EASY = {
    "micro": lambda world: TextReward("happy words", _deaf, world.policy.decode, {"happy": 1.0, "sad": -1.0}),
    "tales": lambda world: happy_words(world.policy.decode),
}
