"""The cliff walk. Q-learning finds the shortest way and falls off it while it explores; SARSA keeps its distance.

Q-learning is off-policy and learns about the greedy policy; SARSA is on-policy and learns about the policy that acts,
explorations included. So Q-learning's greedy path is better and its returns while learning are worse.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import gymnasium
import numpy as np

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.tabular.control import DOUBLE_Q, Q_LEARNING, SARSA, Rule, greedy_return, learn
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed

RULES = (Q_LEARNING, SARSA, DOUBLE_Q)
ALPHA, EPSILON = 0.5, 0.1
SHORTEST = -13  # return of the shortest way
ROLES = {SARSA.name: "policy", Q_LEARNING.name: "reward", DOUBLE_Q.name: "value"}
WINDOW = 20  # episodes that a smoothed return is the mean of
FLOOR = -150.0  # return: a few early episodes are far below, and would flatten the rest


@dataclass(frozen=True)
class Size:
    """How many seeds, and episodes each; returns are averaged over the second half."""

    seeds: int
    episodes: int


@dataclass(frozen=True)
class Arm:
    """One rule: its return while learning, by episode and by seed, and its greedy path's return."""

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


FAST, WORKSHOP = Size(seeds=5, episodes=300), Size(seeds=20, episodes=500)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train each rule on the cliff walk on each seed.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Returns while learning and of the greedy paths.
    """
    env, arms = gymnasium.make("CliffWalking-v1", disable_env_checker=True), []
    for number, rule in enumerate(RULES):
        job.report(number, len(RULES), rule.name)
        learned = [
            learn(env, rule, episodes=size.episodes, alpha=ALPHA, epsilon=EPSILON, seed=seed, job=job)
            for seed in range(size.seeds)
        ]
        curve = np.mean([walk.returns for walk in learned], axis=0).tolist()
        online = tuple(float(walk.returns[size.episodes // 2 :].mean()) for walk in learned)
        arms.append(Arm(rule.name, tuple(curve), online, tuple(greedy_return(env, walk.q) for walk in learned)))
    return Result(tuple(arms))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    q, sarsa = result.arm(Q_LEARNING), result.arm(SARSA)
    return unmet(
        {
            "Q-learning earns less while it learns, on every seed": all(
                falls < keeps for falls, keeps in zip(q.online, sarsa.online, strict=True)
            ),
            "Q-learning's greedy path is the shortest": all(path == SHORTEST for path in q.greedy),
            "SARSA's greedy path is longer": all(path < SHORTEST for path in sarsa.greedy),
            "SARSA's greedy path is safe": -19 <= statistics.median(sarsa.greedy) <= -15,
            "Q-learning earns about -50 while it learns": -70 < statistics.fmean(q.online) < -35,
            "SARSA earns about -26 while it learns": -35 < statistics.fmean(sarsa.online) < -18,
        }
    )


def cliff_returns(result: Result) -> Picture:
    """Draw the return of each rule while it learns and explores, and put its greedy path into words.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome says who earns more while learning: "sarsa" or "q".
    """
    lines, found, online = [], [], {}
    for arm in result.arms:
        smooth = np.convolve(arm.curve, np.full(WINDOW, 1 / WINDOW), mode="valid")
        episodes = list(range(WINDOW, WINDOW + len(smooth)))
        lines.append(Line(arm.rule, episodes, smooth.clip(min=FLOOR).tolist(), ROLES[arm.rule]))
        online[arm.rule] = statistics.fmean(arm.online)
        greedy = statistics.median(arm.greedy)
        found.append(f"{arm.rule} earns {fixed(online[arm.rule], 1)} while learning, {fixed(greedy, 0)} when greedy")
    words = f"{'; '.join(found)}. Returns below {fixed(FLOOR, 0)} at the start are drawn there."
    axes = Axes("episode", f"return, mean of {WINDOW} episodes")
    best = "sarsa" if online[SARSA.name] > online[Q_LEARNING.name] else "q"
    return Picture(line_chart(lines, axes), words, "return of each rule while it learns", best)
