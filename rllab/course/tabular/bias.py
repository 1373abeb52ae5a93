"""The maximum of noisy estimates is too high: the optimiser's curse, and the double estimator that lifts it.

Best-of-n with an imperfect reward model is the same maximum over noisy estimates.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


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
