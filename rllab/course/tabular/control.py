"""Learning to act from experience with tables: SARSA, Q-learning and double Q-learning as one loop.

    Q(s, a) <- Q(s, a) + alpha [r + gamma bootstrap(s') - Q(s, a)]

SARSA bootstraps with the action it will really take, Q-learning with the best one. Double Q-learning (van Hasselt
2010) keeps two tables: one says which action is best, the other what it is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.course.tabular.loop import Moment, moments

# ---- Learning to act from experience with tables: SARSA, Q-learning and double Q-learning as one loop ----

Floats = NDArray[np.float64]
TIE = 1e-9  # how much chance adds to break ties between equal values


@dataclass(frozen=True)
class Rule:
    """How a next state is valued: from its row in the table that learns, in the other table, and the next action."""

    name: str
    tables: int
    bootstrap: Callable[[Floats, Floats, int], float]


SARSA = Rule("SARSA", 1, lambda _own, other, action: float(other[action]))
Q_LEARNING = Rule("Q-learning", 1, lambda own, other, _: float(other[own.argmax()]))
DOUBLE_Q = Rule("double Q-learning", 2, Q_LEARNING.bootstrap)  # the same rule; with one table, other is own


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned, and how it went meanwhile."""

    q: Floats  # (states, actions); the mean of the tables
    returns: Floats  # (episodes,) undiscounted, while learning and exploring
    first_actions: NDArray[np.int64]  # (episodes,) the action taken at the start


def learn(
    env: gymnasium.Env[Any, Any],
    rule: Rule,
    *,
    episodes: int,
    alpha: float = 0.5,
    epsilon: float = 0.1,
    gamma: float = 1.0,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Learned:
    """Learn a table of action values by acting epsilon-greedily in an environment with numbered states."""
    agent = TableAgent(env, rule, alpha=alpha, epsilon=epsilon, gamma=gamma, seed=seed)
    returns, firsts = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    for moment in moments(env, agent, episodes=episodes, seed=seed, job=job):
        returns[moment.episode] += moment.reward
        if moment.t == 0:
            firsts[moment.episode] = moment.action
    return Learned(agent.tables.mean(axis=0), returns, firsts)


def greedy_return(env: gymnasium.Env[Any, Any], q: Floats, *, limit: int = 200) -> float:
    """Return what the greedy policy of a table collects in one episode, cut after `limit` steps."""
    state, _ = env.reset(seed=0)
    total = 0.0
    for _ in range(limit):
        state, reward, terminated, truncated, _ = env.step(int(q[state].argmax()))
        total += float(reward)
        if terminated or truncated:
            break
    return total


class TableAgent:
    """Acts epsilon-greedily by one table or two, and learns from every turn of the loop."""

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        rule: Rule,
        *,
        alpha: float = 0.5,
        epsilon: float = 0.1,
        gamma: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise LabError("epsilon", epsilon, "give a probability between 0 and 1")
        self.rule, self.alpha, self.epsilon, self.gamma = rule, alpha, epsilon, gamma
        self.tables = np.zeros((rule.tables, *_size(env)))
        self._chance = np.random.default_rng(seed)
        self._next: int | None = None  # SARSA learns from the action that it will take, so that one is kept

    def act(self, observation: int) -> int:
        """Take the action that was chosen when the last turn was learned from, or choose a first one."""
        chosen, self._next = self._next, None
        return self.choose(observation) if chosen is None else chosen

    def choose(self, state: int) -> int:
        """Choose epsilon-greedily by the sum of the tables; equals are broken by chance."""
        dice = self._chance.random(1 + self.tables.shape[2])
        if dice[0] < self.epsilon:
            return int(dice[1] * (len(dice) - 1))
        row = self.tables[0, state] if len(self.tables) == 1 else self.tables[:, state].sum(axis=0)
        return int((row + TIE * dice[1:]).argmax())

    def learn(self, moment: Moment) -> None:
        """Move one entry towards the reward plus what the rule makes of the next state."""
        next_action = self.choose(moment.following)
        which = int(self._chance.integers(2)) if len(self.tables) == 2 else 0
        own, other = self.tables[which], self.tables[-1 - which]
        ahead = self.rule.bootstrap(own[moment.following], other[moment.following], next_action)
        target = moment.reward + (0.0 if moment.terminated else self.gamma * ahead)
        own[moment.state, moment.action] += self.alpha * (target - own[moment.state, moment.action])
        self._next = None if moment.terminated or moment.truncated else next_action


def _size(env: gymnasium.Env[Any, Any]) -> tuple[int, int]:
    """Return how many states and actions there are; both have to be numbered."""
    spaces = (env.observation_space, env.action_space)
    if not all(isinstance(space, gymnasium.spaces.Discrete) for space in spaces):
        raise LabError("environment", str(env), "a table needs numbered states and actions")
    states, actions = (int(space.n) for space in spaces if isinstance(space, gymnasium.spaces.Discrete))
    return states, actions


# ---- The maximum of noisy estimates is too high: the optimiser's curse, and the double estimator that lif ----


def maximisation_bias(actions: int, *, trials: int = 20_000, seed: int = 0) -> tuple[float, float]:
    """Return the mean of max_a and of the double estimator, where every action is worth 0 and estimated with N(0, 1).

    The double estimator lets one set of estimates choose and an independent one say what the choice is worth.
    """
    chooser, judge = np.random.default_rng(seed).standard_normal((2, trials, actions))
    chosen = chooser.argmax(axis=1)
    return float(chooser.max(axis=1).mean()), float(judge[np.arange(trials), chosen].mean())


class TwoDoors(gymnasium.Env[Any, Any]):
    """Right ends at once with 0; left leads to a room where every one of ten actions pays N(-0.1, 1).

    The example of Sutton and Barto (2018, 6.7): left is worth -0.1, but the maximum over ten noisy estimates looks
    better than 0. In the hall the actions beyond the first (left) all mean right.
    """

    HALL, ROOM, ACTIONS = 0, 1, 10

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Discrete(2)
        self.action_space = gymnasium.spaces.Discrete(self.ACTIONS)
        self.state = self.HALL

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Go back to the hall."""
        super().reset(seed=seed, options=options)
        self.state = self.HALL
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Go through a door, or take what the room pays."""
        if self.state == self.HALL and action == 0:
            self.state = self.ROOM
            return self.state, 0.0, False, False, {}
        reward = 0.0 if self.state == self.HALL else float(self.np_random.normal(-0.1, 1.0))
        return self.state, reward, True, False, {}
