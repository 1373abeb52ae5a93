"""The cliff walk. Q-learning finds the shortest way and falls off it while it explores; SARSA keeps away.

Q-learning learns about the greedy policy, SARSA about the policy that acts, explorations included. So Q-learning's
greedy path is better and its returns while learning are worse.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import gymnasium

from rllab.core.jobs import NO_JOB, Job
from rllab.course.tabular.control import DOUBLE_Q, Q_LEARNING, SARSA, Rule, greedy_return, learn

RULES = (Q_LEARNING, SARSA, DOUBLE_Q)
ALPHA, EPSILON = 0.5, 0.1


@dataclass(frozen=True)
class Size:
    """How many seeds, and how many episodes each; returns are averaged over the second half."""

    seeds: int
    episodes: int


@dataclass(frozen=True)
class Arm:
    """One rule: its mean return while learning, episode by episode and seed by seed, and its greedy path's return."""

    rule: str
    curve: tuple[float, ...]  # mean over seeds
    online: tuple[float, ...]  # by seed, mean over the second half of the episodes
    greedy: tuple[float, ...]  # by seed


@dataclass(frozen=True)
class Result:
    """All rules on the same seeds."""

    arms: tuple[Arm, ...]

    def arm(self, rule: Rule) -> Arm:
        """Return one rule's part."""
        return next(arm for arm in self.arms if arm.rule == rule.name)


FAST, WORKSHOP = Size(seeds=5, episodes=500), Size(seeds=20, episodes=500)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Let each rule learn the cliff walk on each seed."""
    arms = []
    for number, rule in enumerate(RULES):
        job.report(number, len(RULES), rule.name)
        arms.append(_arm(rule, size, job=job))
    return Result(tuple(arms))


def _arm(rule: Rule, size: Size, *, job: Job) -> Arm:
    env = gymnasium.make("CliffWalking-v1", disable_env_checker=True)
    runs = [
        learn(env, rule, episodes=size.episodes, alpha=ALPHA, epsilon=EPSILON, seed=seed, job=job)
        for seed in range(size.seeds)
    ]
    curve = tuple(statistics.fmean(one.returns[episode] for one in runs) for episode in range(size.episodes))
    online = tuple(float(one.returns[size.episodes // 2 :].mean()) for one in runs)
    return Arm(rule.name, curve, online, tuple(greedy_return(env, one.q) for one in runs))
