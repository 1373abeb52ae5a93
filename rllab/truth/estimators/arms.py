"""The estimators that are compared: an algorithm, the settings that make it, and whose V it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rllab.core.config import Config
from rllab.core.records import Sequences
from rllab.maths.algorithms import named
from rllab.truth import ExactCritic, Tree
from rllab.value.critic import Unlearned, ValueFunction, ZeroCritic
from rllab.worlds.world import World

ChooseCritic = Callable[[World, Sequence[Tree]], ValueFunction]


class Expected(Unlearned):
    """A baseline and no more: the expected return of the prompt in every state of it."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = trees

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return J of each row's prompt at all its states, (B, T+1)."""
        expected = {tree.prompt: tree.J for tree in self.trees}
        column = torch.tensor([expected[prompt] for prompt in sequences.prompts], dtype=torch.float64)
        return column[:, None].expand(-1, sequences.response_mask.shape[1] + 1).to(sequences.tokens.device)


def learned(world: World, _trees: Sequence[Tree]) -> ValueFunction:
    """Look at the world's critic, which does not know the truth."""
    return world.critic


def true(_world: World, trees: Sequence[Tree]) -> ValueFunction:
    """Look at the exact V."""
    return ExactCritic(trees)


def expected(_world: World, trees: Sequence[Tree]) -> ValueFunction:
    """Look at the expected return alone."""
    return Expected(trees)


def nobody(_world: World, _trees: Sequence[Tree]) -> ValueFunction:
    """Look at nothing: V = 0."""
    return ZeroCritic()


@dataclass(frozen=True)
class Arm:
    """One way to estimate the gradient."""

    name: str
    algorithm: str
    critic: ChooseCritic = nobody
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self, world: World, *, rows: int, group: int) -> Config:
        """Return the settings of one gradient of `rows` responses, for the world's own objective.

        Nothing is whitened, and a row counts as the sum of its tokens: only so can the mean be the gradient of J.
        """
        objective = world.objective
        wanted = {
            "whiten": False,
            "reducer": "seq-mean-token-sum",
            "kl_place": "reward",
            "kl_estimator": "k1",
            "kl_coef": objective.kl_coef,
            "gamma": objective.gamma,
            "timing": objective.timing,
            "prefix_pay": objective.prefix_pay,
            "missing_eos_penalty": objective.missing_eos_penalty,
            "temperature": objective.temperature,
            "samples_per_prompt": group,
            "batch_size": rows,
            "micro_batch_size": rows,
            "epochs": 1,
        } | dict(self.settings)
        algorithm = named(self.algorithm)
        read = algorithm.fields
        if algorithm.per_response and objective.prefix_pay == "increment":
            read -= {"timing"}  # the sum over a response is the same under each
        return world.config(self.algorithm, **{name: value for name, value in wanted.items() if name in read})


ARMS: tuple[Arm, ...] = (
    Arm("REINFORCE", "reinforce"),
    Arm("REINFORCE + baseline", "a2c", expected, {"lam": 1.0}),
    Arm("A2C, learned critic", "a2c", learned),
    Arm("A2C, exact critic", "a2c", true),
    Arm("A2C, no critic", "a2c", nobody),
    Arm("RLOO", "rloo"),
    Arm("GRPO", "grpo"),
    Arm("Dr. GRPO", "grpo", nobody, {"scale_by_std": False}),
)


def gae_arms(
    lams: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0), critic: ChooseCritic = learned
) -> list[Arm]:
    """Return A2C over a range of lambda."""
    return [Arm(f"GAE, lambda {lam:g}", "a2c", critic, {"lam": lam}) for lam in lams]
