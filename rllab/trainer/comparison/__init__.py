"""Comparisons: one frozen batch through every algorithm, runs beside runs, and arms that must not learn."""

from rllab.trainer.comparison.bands import Band, band, difference
from rllab.trainer.comparison.frozen_batch import AlgorithmView, BatchComparison, same_batch
from rllab.trainer.comparison.placebo import ARMS, Arm, Study, study
from rllab.trainer.comparison.shelf import Shelf
from rllab.trainer.comparison.side_by_side import RunComparison, compare_runs

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
