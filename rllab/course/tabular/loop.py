"""The loop of state, action, reward and next state, and its simplest case: a cat learns to press a lever.

The same loop drives the cat, a robot in a maze and a writer of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rllab.core.config import check_count
from rllab.core.errors import LabError
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
    truncated: bool  # the episode was cut
    info: dict[str, Any]


class Agent(Protocol):
    """What chooses, and what may learn from the outcome."""

    def act(self, observation: Any) -> Any:
        """Return an action."""
        ...

    def learn(self, moment: Moment) -> None:
        """Learn from what an action led to."""
        ...


class Wanderer:
    """An agent that knows nothing and learns nothing: every action is equally likely.

    Args:
        env: The environment whose actions are drawn.
        seed: Of the draws.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, seed: int = 0) -> None:
        self._actions = env.action_space
        self._actions.seed(seed)

    def act(self, observation: Any) -> Any:
        """Return a random action, whatever is observed."""
        del observation
        return self._actions.sample()

    def learn(self, moment: Moment) -> None:
        """Learn nothing."""


def moments(
    env: gymnasium.Env[Any, Any], agent: Agent, *, episodes: int, seed: int = 0, limit: int = 10000, job: Job = NO_JOB
) -> Iterator[Moment]:
    """Yield every turn of an agent in an environment, after the agent has learned from it.

    Args:
        env: The environment.
        agent: Chooses the actions.
        episodes: The number of episodes.
        seed: Episode k is reset with seed + k.
        limit: The number of turns after which an episode is cut: not every policy finds the end.
        job: Stops the loop.

    Raises:
        LabError: If `episodes` or `limit` is not a positive integer.
    """
    check_count("episodes", episodes)
    check_count("limit", limit)
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


# ---- A cat and a feeder: what is followed by food becomes more likely (the law of effect) ----

ACTIONS = ("ignore", "sniff", "press")
PRESS = ACTIONS.index("press")


class Feeder(gymnasium.Env[Any, Any]):
    """A box with a lever that gives food with a probability; every trial is an episode of one action.

    Args:
        pay_off: The probability of food after a press.

    Raises:
        LabError: If it is no probability.
    """

    def __init__(self, *, pay_off: float = 0.9) -> None:
        if not 0 <= pay_off <= 1:
            raise LabError("pay_off", pay_off, "give a probability between 0 and 1")
        self.pay_off = pay_off
        self.observation_space = gymnasium.spaces.Discrete(1)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start a trial and return its only state; see gymnasium."""
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Return what the action leads to; see gymnasium."""
        food = int(action) == PRESS and self.np_random.random() < self.pay_off
        return 0, float(food), True, False, {"food": bool(food)}


class Cat:
    """Softmax preferences over what a cat may do; food raises the preference for the action before it.

    Args:
        press: The probability of a press before any learning.
        lr: The learning rate.
        seed: Of the cat's actions.

    Raises:
        LabError: If `press` is not above 0 and below 1.
    """

    def __init__(self, *, press: float = 0.08, lr: float = 0.3, seed: int = 0) -> None:
        if not 0 < press < 1:
            raise LabError("press", press, "give a probability above 0 and below 1; what is never tried is never found")
        others = (1 - press) / (len(ACTIONS) - 1)
        self.preferences = np.log([press if number == PRESS else others for number in range(len(ACTIONS))])
        self.lr = lr
        self._generator = np.random.default_rng(seed)

    @property
    def policy(self) -> NDArray[np.float64]:
        """Return the probability of each action, (3,)."""
        weights = np.exp(self.preferences - self.preferences.max())
        probs: NDArray[np.float64] = weights / weights.sum()
        return probs

    def act(self, observation: int) -> int:
        """Return an action, sampled from the policy; the box always looks alike.

        Args:
            observation: The state of the box.
        """
        del observation
        return min(int((self.policy.cumsum() < self._generator.random()).sum()), len(ACTIONS) - 1)

    def learn(self, moment: Moment) -> None:
        """Move the preferences along the gradient of reward times log-prob: theta += lr r (chosen - pi).

        Args:
            moment: The trial to learn from.
        """
        chosen = np.eye(len(ACTIONS))[moment.action]
        self.preferences = self.preferences + self.lr * moment.reward * (chosen - self.policy)


def press_curve(
    cats: int = 200,
    *,
    trials: int = 200,
    press: float = 0.08,
    lr: float = 0.3,
    pay_off: float = 0.9,
    seed: int = 0,
    job: Job = NO_JOB,
) -> NDArray[np.float64]:
    """Return each cat's probability of a press before each trial, (cats, trials).

    Args:
        cats: The number of cats.
        trials: The number of trials of each.
        press: The probability of a press before any learning.
        lr: The learning rate.
        pay_off: The probability of food after a press.
        seed: Cat k learns with seed + k.
        job: Stops the learning, and receives the progress.
    """
    curve = np.zeros((cats, trials))
    feeder = Feeder(pay_off=pay_off)
    for number in range(cats):
        job.report(number, cats, f"cat {number + 1}")
        cat = Cat(press=press, lr=lr, seed=seed + number)
        before = press
        for moment in moments(feeder, cat, episodes=trials, seed=(seed + number) * trials, job=job):
            curve[number, moment.episode] = before
            before = cat.policy[PRESS]
    return curve
