"""See, touch and change the reinforcement learning of language models.

The names below are fetched from their modules when they are first used, so that `import rllab`
is quick and loads neither torch nor transformers.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names once more, for type checkers and editors; a test compares the two
    from rllab.config import Config as Config
    from rllab.errors import LabError as LabError
    from rllab.estimates.values import estimate as estimate
    from rllab.evaluation import evaluate as evaluate
    from rllab.generation import generate as generate
    from rllab.objective import Estimate as Estimate
    from rllab.objective import Objective as Objective
    from rllab.policy import Policy as Policy
    from rllab.records import LossTerms as LossTerms
    from rllab.records import Rollout as Rollout
    from rllab.records import Scores as Scores
    from rllab.records import Sequences as Sequences
    from rllab.records import State as State
    from rllab.records import Step as Step
    from rllab.records import Targets as Targets
    from rllab.records import UpdateRecord as UpdateRecord
    from rllab.reward import Reward as Reward
    from rllab.reward import RewardModel as RewardModel
    from rllab.stages import Stages as Stages
    from rllab.stepper import Stepper as Stepper
    from rllab.trainer import Trainer as Trainer
    from rllab.value import Critic as Critic
    from rllab.value import ZeroCritic as ZeroCritic
    from rllab.worlds import World as World
    from rllab.worlds import load_world as load_world

# Read by OpenMP when torch is loaded: its waiting threads would otherwise spin, and small models on a
# machine with other work run many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0.dev0"

_HOME_OF = {
    "Config": "rllab.config",
    "Critic": "rllab.value",
    "Estimate": "rllab.objective",
    "LabError": "rllab.errors",
    "LossTerms": "rllab.records",
    "Objective": "rllab.objective",
    "Policy": "rllab.policy",
    "Reward": "rllab.reward",
    "RewardModel": "rllab.reward",
    "Rollout": "rllab.records",
    "Scores": "rllab.records",
    "Sequences": "rllab.records",
    "Stages": "rllab.stages",
    "State": "rllab.records",
    "Step": "rllab.records",
    "Stepper": "rllab.stepper",
    "Targets": "rllab.records",
    "Trainer": "rllab.trainer",
    "UpdateRecord": "rllab.records",
    "World": "rllab.worlds",
    "ZeroCritic": "rllab.value",
    "estimate": "rllab.estimates.values",
    "evaluate": "rllab.evaluation",
    "generate": "rllab.generation",
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
