"""Panels: thin views of headless objects, and the only room that imports ipywidgets."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names once more, for type checkers and editors
    from rllab.widgets.advantage import AdvantagePanel as AdvantagePanel
    from rllab.widgets.clinic import ClinicPanel as ClinicPanel
    from rllab.widgets.exact_tree import ExactTreePanel as ExactTreePanel
    from rllab.widgets.exercises import BlamePanel as BlamePanel
    from rllab.widgets.exercises import BoardPanel as BoardPanel
    from rllab.widgets.exercises import ExercisePanel as ExercisePanel
    from rllab.widgets.exercises import PredictPanel as PredictPanel
    from rllab.widgets.exercises import ProgressPanel as ProgressPanel
    from rllab.widgets.explorer import ExplorerPanel as ExplorerPanel
    from rllab.widgets.label import LabelPanel as LabelPanel
    from rllab.widgets.maze import MazePanel as MazePanel
    from rllab.widgets.microscope import MicroscopePanel as MicroscopePanel
    from rllab.widgets.observatory import ObservatoryPanel as ObservatoryPanel
    from rllab.widgets.reward import RewardPanel as RewardPanel
    from rllab.widgets.same_batch import SameBatchPanel as SameBatchPanel
    from rllab.widgets.stepper import StepperPanel as StepperPanel
    from rllab.widgets.training import TrainingPanel as TrainingPanel
    from rllab.widgets.value import ValuePanel as ValuePanel

_HOME_OF = {
    "AdvantagePanel": "rllab.widgets.advantage",
    "BlamePanel": "rllab.widgets.exercises",
    "BoardPanel": "rllab.widgets.exercises",
    "ClinicPanel": "rllab.widgets.clinic",
    "ExactTreePanel": "rllab.widgets.exact_tree",
    "ExercisePanel": "rllab.widgets.exercises",
    "ExplorerPanel": "rllab.widgets.explorer",
    "LabelPanel": "rllab.widgets.label",
    "MazePanel": "rllab.widgets.maze",
    "MicroscopePanel": "rllab.widgets.microscope",
    "ObservatoryPanel": "rllab.widgets.observatory",
    "PredictPanel": "rllab.widgets.exercises",
    "ProgressPanel": "rllab.widgets.exercises",
    "RewardPanel": "rllab.widgets.reward",
    "SameBatchPanel": "rllab.widgets.same_batch",
    "StepperPanel": "rllab.widgets.stepper",
    "TrainingPanel": "rllab.widgets.training",
    "ValuePanel": "rllab.widgets.value",
}


def __getattr__(name: str) -> object:
    """Fetch a panel from its module at its first use, so that one panel does not load all."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rllab.widgets' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """Name the panels, for completion in a notebook."""
    return sorted({*globals(), *_HOME_OF})
