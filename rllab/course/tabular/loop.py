"""The loop of state, action, reward and next state: a cat, a robot and a writer go through it alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium

from rllab.core.config import check_count
from rllab.core.jobs import NO_JOB, Job


@dataclass(frozen=True, eq=False)
class Moment:
    """One turn of the loop."""

    episode: int  # 0-based
    t: int  # 0-based, in its episode
    state: Any
    action: Any
    reward: float
    following: Any  # the next state
    terminated: bool  # the task is over
    truncated: bool  # somebody stopped watching
    info: dict[str, Any]


class Agent(Protocol):
    """Who chooses, and who may learn from what came of it."""

    def act(self, observation: Any) -> Any:
        """Choose an action."""
        ...

    def learn(self, moment: Moment) -> None:
        """Take notice of what an action led to."""
        ...


class Wanderer:
    """An agent that knows nothing and learns nothing: every action is as likely as any other."""

    def __init__(self, env: gymnasium.Env[Any, Any], *, seed: int = 0) -> None:
        self._actions = env.action_space
        self._actions.seed(seed)

    def act(self, observation: Any) -> Any:
        """Draw an action."""
        del observation  # it makes no difference
        return self._actions.sample()

    def learn(self, moment: Moment) -> None:
        """Take no notice."""


def moments(
    env: gymnasium.Env[Any, Any], agent: Agent, *, episodes: int, seed: int = 0, limit: int = 10000, job: Job = NO_JOB
) -> Iterator[Moment]:
    """Let an agent act in an environment, and give every turn after the agent has learned from it.

    Episode k is seeded with seed + k. One longer than `limit` turns is cut: not every policy finds the end.
    """
    for name, value in (("episodes", episodes), ("limit", limit)):
        check_count(name, value)
    for episode in range(episodes):
        state, _ = env.reset(seed=seed + episode)
        for t in range(limit):
            job.check()
            action = agent.act(state)
            following, reward, terminated, truncated, info = env.step(action)
            cut = bool(truncated) or t + 1 == limit
            moment = Moment(episode, t, state, action, float(reward), following, bool(terminated), cut, info)
            agent.learn(moment)
            yield moment
            state = following
            if terminated or cut:
                break


def episode_returns(turns: Iterator[Moment]) -> list[float]:
    """Add up the rewards of each episode."""
    returns: list[float] = []
    for moment in turns:
        if moment.t == 0:
            returns.append(0.0)
        returns[-1] += moment.reward
    return returns
