"""Comparisons: one frozen batch through every algorithm, runs beside runs, and arms that must not learn."""

from rllab.comparison.bands import Band, band, difference
from rllab.comparison.frozen_batch import AlgorithmView, BatchComparison, same_batch
from rllab.comparison.placebo import ARMS, Arm, Study, study
from rllab.comparison.shelf import Shelf
from rllab.comparison.side_by_side import RunComparison, compare_runs

__all__ = [
    "ARMS",
    "AlgorithmView",
    "Arm",
    "Band",
    "BatchComparison",
    "RunComparison",
    "Shelf",
    "Study",
    "band",
    "compare_runs",
    "difference",
    "same_batch",
    "study",
]
