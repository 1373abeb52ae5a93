"""Estimators of the policy gradient, and of KL, held against the exact ones."""

from rllab.truth.estimators.arms import ARMS, Arm, gae_arms
from rllab.truth.estimators.gradients import Gradients, enumerated, sampled, true_gradient
from rllab.truth.estimators.kl import KLRow, kl_rows
from rllab.truth.estimators.rows import BenchRow, compare, judge

__all__ = [
    "ARMS",
    "Arm",
    "BenchRow",
    "Gradients",
    "KLRow",
    "compare",
    "enumerated",
    "gae_arms",
    "judge",
    "kl_rows",
    "sampled",
    "true_gradient",
]
