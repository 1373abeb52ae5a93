"""Model-free control with tables: SARSA, Q-learning and double Q-learning as one loop.

    Q(s, a) <- Q(s, a) + alpha [r + gamma bootstrap(s') - Q(s, a)]

SARSA bootstraps with the action it will really take, Q-learning with the best one. Double Q-learning (van Hasselt
2010) keeps two tables: one chooses the action, the other evaluates it.
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

Floats = NDArray[np.float64]
TIE = 1e-9  # the random numbers that break ties between equal values


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
    """What was learned, and what was earned meanwhile."""

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
    """Learn a table of action values by acting epsilon-greedily.

    Args:
        env: An environment with numbered states and actions.
        rule: How a next state is valued.
        episodes: The number of episodes.
        alpha: The learning rate.
        epsilon: The probability of a random action.
        gamma: The discount.
        seed: Of the environment and of the actions.
        job: Stops the learning.

    Returns:
        The table and what was earned while learning.

    Raises:
        LabError: If states or actions are not numbered, or epsilon is no probability.
    """
    agent = TableAgent(env, rule, alpha=alpha, epsilon=epsilon, gamma=gamma, seed=seed)
    returns, firsts = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    for moment in moments(env, agent, episodes=episodes, seed=seed, job=job):
        returns[moment.episode] += moment.reward
        if moment.t == 0:
            firsts[moment.episode] = moment.action
    return Learned(agent.tables.mean(axis=0), returns, firsts)


def greedy_return(env: gymnasium.Env[Any, Any], q: Floats, *, limit: int = 200) -> float:
    """Return the undiscounted return of the greedy policy of a table in one episode.

    Args:
        env: The environment.
        q: The table, (states, actions).
        limit: The number of steps after which the episode is cut.
    """
    state, _ = env.reset(seed=0)
    total = 0.0
    for _ in range(limit):
        state, reward, terminated, truncated, _ = env.step(int(q[state].argmax()))
        total += float(reward)
        if terminated or truncated:
            break
    return total


class TableAgent:
    """Acts epsilon-greedily by one table or two, and learns from every turn of the loop; see `learn`."""

    def __init__(
        self, env: gymnasium.Env[Any, Any], rule: Rule, *, alpha: float, epsilon: float, gamma: float, seed: int
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise LabError("epsilon", epsilon, "give a probability between 0 and 1")
        sizes = [
            int(space.n)
            for space in (env.observation_space, env.action_space)
            if isinstance(space, gymnasium.spaces.Discrete)
        ]
        if len(sizes) != 2:
            raise LabError("environment", str(env), "a table needs numbered states and actions")
        self.rule, self.alpha, self.epsilon, self.gamma = rule, alpha, epsilon, gamma
        self.tables = np.zeros((rule.tables, *sizes))
        self._generator = np.random.default_rng(seed)
        self._next: int | None = None  # SARSA learns from the action that it will take, so that action is kept

    def act(self, observation: int) -> int:
        """Return the action that was chosen when the last turn was learned from, or a first one.

        Args:
            observation: The state.
        """
        chosen, self._next = self._next, None
        return self._choose(observation) if chosen is None else chosen

    def learn(self, moment: Moment) -> None:
        """Move one entry towards the reward plus the rule's value of the next state.

        Args:
            moment: The turn to learn from.
        """
        next_action = self._choose(moment.following)
        which = int(self._generator.integers(2)) if len(self.tables) == 2 else 0
        own, other = self.tables[which], self.tables[-1 - which]
        ahead = self.rule.bootstrap(own[moment.following], other[moment.following], next_action)
        target = moment.reward + (0.0 if moment.terminated else self.gamma * ahead)
        own[moment.state, moment.action] += self.alpha * (target - own[moment.state, moment.action])
        self._next = None if moment.terminated or moment.truncated else next_action

    def _choose(self, state: int) -> int:
        """Return an epsilon-greedy action by the sum of the tables; ties are broken at random."""
        draws = self._generator.random(1 + self.tables.shape[2])
        if draws[0] < self.epsilon:
            return int(draws[1] * (len(draws) - 1))
        row = self.tables[0, state] if len(self.tables) == 1 else self.tables[:, state].sum(axis=0)
        return int((row + TIE * draws[1:]).argmax())


def maximisation_bias(actions: int, *, trials: int = 20_000, seed: int = 0) -> tuple[float, float]:
    """Return the mean of max_a and of the double estimator, where every action is worth 0 and estimated with N(0, 1).

    The maximum of noisy estimates is too high (the optimiser's curse); best-of-n with an imperfect reward model is
    such a maximum. The double estimator lets one set of estimates choose and an independent one evaluate the choice.

    Args:
        actions: The number of actions.
        trials: The number of repetitions.
        seed: Of the noise.
    """
    chooser, judge = np.random.default_rng(seed).standard_normal((2, trials, actions))
    chosen = chooser.argmax(axis=1)
    return float(chooser.max(axis=1).mean()), float(judge[np.arange(trials), chosen].mean())
