"""The clinic of silent bugs: a run with a hidden fault, to be named from its curves and its tokens."""

from rllab.clinic.cases import Case, Verdict, draw_case
from rllab.clinic.faults import Fault, catalogue, fault

__all__ = ["Case", "Fault", "Verdict", "catalogue", "draw_case", "fault"]
