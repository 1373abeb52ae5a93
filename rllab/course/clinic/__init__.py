"""The clinic of silent bugs: a run with a hidden fault, to be named from its curves and its tokens."""

from rllab.course.clinic.cases import CHECKS, Case, Check, Sighting, Verdict, begin, draw_case
from rllab.course.clinic.faults import RUNS, Fault, catalogue, fault

__all__ = [
    "CHECKS",
    "RUNS",
    "Case",
    "Check",
    "Fault",
    "Sighting",
    "Verdict",
    "begin",
    "catalogue",
    "draw_case",
    "fault",
]
