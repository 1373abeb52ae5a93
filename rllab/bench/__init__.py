"""Estimators of the policy gradient, and of KL, held against the exact ones."""

from rllab.bench.arms import ARMS, Arm, gae_arms
from rllab.bench.gradients import Gradients, enumerated, sampled, true_gradient
from rllab.bench.kl import KLRow, kl_rows
from rllab.bench.rows import BenchRow, compare, judge

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
