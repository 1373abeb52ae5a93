"""Over-optimisation: a policy is pressed against a proxy, while gold only watches."""

from rllab.course.observatory.best_of import best_of_chances, watch_best_of_n
from rllab.course.observatory.forms import Form, fit_forms, forms_of
from rllab.course.observatory.methods import BEST_OF_N, DPO, PPO, Observatory, Plan, Steered
from rllab.course.observatory.points import Curve, Point, Sample, first_hacked, measure
from rllab.course.observatory.watching import Watch, watch

__all__ = [
    "BEST_OF_N",
    "DPO",
    "PPO",
    "Curve",
    "Form",
    "Observatory",
    "Plan",
    "Point",
    "Sample",
    "Steered",
    "Watch",
    "best_of_chances",
    "first_hacked",
    "fit_forms",
    "forms_of",
    "measure",
    "watch",
    "watch_best_of_n",
]
