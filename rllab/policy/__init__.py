"""The language model that acts: reading and writing text, and the networks inside."""

from rllab.policy.generation import generate, sequences_from_ids
from rllab.policy.policy import Policy, choose_trainable

__all__ = ["Policy", "choose_trainable", "generate", "sequences_from_ids"]
