"""Panels: thin views of headless objects, and the only room that imports ipywidgets."""

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

__all__ = [name for name in dir() if name.endswith("Panel")]  # so that each name is written once
