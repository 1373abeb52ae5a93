"""The loop: one update and its stages, and what is kept, compared and diagnosed of a run."""

from rllab.trainer.comparison import compare_runs, study
from rllab.trainer.diagnostics import diagnose
from rllab.trainer.frozen_batch import same_batch
from rllab.trainer.microscope import examine
from rllab.trainer.stages import Phase, Stages
from rllab.trainer.trainer import Trainer
from rllab.trainer.update_trace import open_update

__all__ = [
    "Phase",
    "Stages",
    "Trainer",
    "compare_runs",
    "diagnose",
    "examine",
    "open_update",
    "same_batch",
    "study",
]
