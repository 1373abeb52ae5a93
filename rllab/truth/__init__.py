"""The truth that estimates are held against: exact by enumeration where a world is small, sampled where not."""

from rllab.truth.enumeration import exact
from rllab.truth.optimum import BestOf, Optimum
from rllab.truth.sampling import monte_carlo
from rllab.truth.tree import ExactCritic, Tree

__all__ = ["BestOf", "ExactCritic", "Optimum", "Tree", "exact", "monte_carlo"]
