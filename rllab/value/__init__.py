"""What a value predicts: the critic, the objective, and the one full pass that evaluates a batch."""

from rllab.value.critic import Critic, ValueFunction, ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.value.objective import Estimate, Objective

__all__ = ["Critic", "Estimate", "Objective", "ValueFunction", "ZeroCritic", "evaluate"]
