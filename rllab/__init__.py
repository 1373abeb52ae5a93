"""See, touch and change the reinforcement learning of language models.

The names below are fetched from their modules when they are first used, so that `import rllab`
is quick and loads neither torch nor transformers.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names once more, for type checkers and editors; a test compares the two
    from rllab.core.config import Config as Config
    from rllab.core.errors import LabError as LabError
    from rllab.core.records import LossTerms as LossTerms
    from rllab.core.records import Rollout as Rollout
    from rllab.core.records import Scores as Scores
    from rllab.core.records import Sequences as Sequences
    from rllab.core.records import State as State
    from rllab.core.records import Step as Step
    from rllab.core.records import Targets as Targets
    from rllab.core.records import UpdateRecord as UpdateRecord
    from rllab.policy.generation import generate as generate
    from rllab.policy.policy import Policy as Policy
    from rllab.reward.reward import Reward as Reward
    from rllab.reward.reward import RewardModel as RewardModel
    from rllab.trainer.stages import Stages as Stages
    from rllab.trainer.trainer import Trainer as Trainer
    from rllab.truth.estimates import estimate as estimate
    from rllab.value.critic import Critic as Critic
    from rllab.value.critic import ZeroCritic as ZeroCritic
    from rllab.value.evaluation import evaluate as evaluate
    from rllab.value.objective import Estimate as Estimate
    from rllab.value.objective import Objective as Objective
    from rllab.worlds import World as World
    from rllab.worlds import load_world as load_world
    from rllab.worlds.stepper import Stepper as Stepper

# Read by OpenMP when torch is loaded: its waiting threads would otherwise spin, and small models on a
# machine with other work run many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.2.0"

_HOME_OF = {
    "Config": "rllab.core.config",
    "Critic": "rllab.value.critic",
    "Estimate": "rllab.value.objective",
    "LabError": "rllab.core.errors",
    "LossTerms": "rllab.core.records",
    "Objective": "rllab.value.objective",
    "Policy": "rllab.policy.policy",
    "Reward": "rllab.reward.reward",
    "RewardModel": "rllab.reward.reward",
    "Rollout": "rllab.core.records",
    "Scores": "rllab.core.records",
    "Sequences": "rllab.core.records",
    "Stages": "rllab.trainer.stages",
    "State": "rllab.core.records",
    "Step": "rllab.core.records",
    "Stepper": "rllab.worlds.stepper",
    "Targets": "rllab.core.records",
    "Trainer": "rllab.trainer.trainer",
    "UpdateRecord": "rllab.core.records",
    "World": "rllab.worlds",
    "ZeroCritic": "rllab.value.critic",
    "estimate": "rllab.truth.estimates",
    "evaluate": "rllab.value.evaluation",
    "generate": "rllab.policy.generation",
    "load_world": "rllab.worlds",
}


def __getattr__(name: str) -> object:
    """Fetch a public name from its module at its first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rllab' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public, for completion in a notebook."""
    return sorted({*globals(), *_HOME_OF})
