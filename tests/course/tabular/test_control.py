"""Tables learn what they should: the cliff's two lessons, and the bias of the maximum."""

import math
import threading
from typing import Any

import gymnasium
import numpy as np
import pytest

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.course.tabular.control import DOUBLE_Q, Q_LEARNING, SARSA, greedy_return, learn, maximisation_bias
from rllab.course.tabular.maze import Maze, sweeps


def test_q_learning_finds_the_optimal_values_of_the_maze() -> None:
    maze = Maze()
    learned = learn(maze, Q_LEARNING, episodes=400, alpha=1.0, epsilon=0.4, seed=1)
    *_, (q, _) = sweeps(maze)
    visited = learned.q != 0
    path_value = learned.q[maze.start].max()
    assert path_value == pytest.approx(np.nanmax(q[maze.start]), abs=1e-9)
    assert visited.sum() > 30
    assert greedy_return(maze, learned.q) == pytest.approx(np.nanmax(q[maze.start]))


def test_sarsa_without_exploration_follows_its_own_rule() -> None:
    rows = np.array([1.0, 5.0, 2.0])
    assert SARSA.bootstrap(rows, rows, 2) == 2.0
    assert Q_LEARNING.bootstrap(rows, rows, 2) == 5.0
    other = np.array([7.0, -1.0, 0.0])
    assert DOUBLE_Q.bootstrap(rows, other, 0) == -1.0  # one table chooses, the other judges


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [learn(Maze(), SARSA, episodes=20, seed=3) for _ in range(2)]
    assert np.array_equal(runs[0].q, runs[1].q)
    assert np.array_equal(runs[0].returns, runs[1].returns)
    assert not np.array_equal(runs[0].returns, learn(Maze(), SARSA, episodes=20, seed=4).returns)


def test_a_run_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        learn(Maze(), SARSA, episodes=10, job=Job(stop))


def test_what_a_table_cannot_hold_is_refused() -> None:
    with pytest.raises(LabError, match="numbered states"):
        learn(gymnasium.make("CartPole-v1"), SARSA, episodes=1)
    with pytest.raises(LabError, match="epsilon"):
        learn(Maze(), SARSA, episodes=1, epsilon=2.0)


def expected_maximum(count: int) -> float:
    """Integrate the mean of the maximum of `count` standard normals."""
    x = np.linspace(-8, 8, 20_001)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-at / math.sqrt(2)) for at in x])
    return float(np.trapezoid(x * count * density * below ** (count - 1), x))


@pytest.mark.parametrize(("count", "table"), [(2, 0.56), (4, 1.03), (10, 1.54), (50, 2.25)])
def test_the_maximum_of_noise_is_too_high_and_the_double_estimator_is_not(count: int, table: float) -> None:
    trials = 20_000
    single, double = maximisation_bias(count, trials=trials, seed=5)
    assert expected_maximum(count) == pytest.approx(table, abs=0.006)
    assert abs(single - expected_maximum(count)) < 4 / math.sqrt(trials)
    assert abs(double) < 4 / math.sqrt(trials)


class TwoDoors(gymnasium.Env[Any, Any]):
    """Right ends at once with 0; left leads to a room where each of ten actions pays N(-0.1, 1).

    The example of Sutton and Barto (2018, 6.7): left is worth -0.1, but the maximum over ten noisy estimates looks
    better than 0. In the hall the actions after the first (left) all mean right.
    """

    HALL, ROOM, ACTIONS = 0, 1, 10

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Discrete(2)
        self.action_space = gymnasium.spaces.Discrete(self.ACTIONS)
        self.state = self.HALL

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.state = self.HALL
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if self.state == self.HALL and action == 0:
            self.state = self.ROOM
            return self.state, 0.0, False, False, {}
        reward = 0.0 if self.state == self.HALL else float(self.np_random.normal(-0.1, 1.0))
        return self.state, reward, True, False, {}


def test_double_q_learning_is_fooled_less_often() -> None:
    runs = 24
    left = {}
    for rule in (Q_LEARNING, DOUBLE_Q):
        firsts = [learn(TwoDoors(), rule, episodes=100, alpha=0.1, seed=seed).first_actions for seed in range(runs)]
        left[rule.name] = float(np.mean([(run[20:] == 0).mean() for run in firsts]))
    assert left["Q-learning"] > 0.4
    assert left["double Q-learning"] < 0.25
