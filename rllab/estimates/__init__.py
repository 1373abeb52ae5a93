"""V, Q and A of any state three ways, and what would have happened after another choice: one headless place."""

from rllab.estimates.candidates import Candidates, candidates, foreseen, of_tree
from rllab.estimates.line import Line, along
from rllab.estimates.values import estimate
from rllab.estimates.what_if import WhatIf, what_if

__all__ = [
    "Candidates",
    "Line",
    "WhatIf",
    "along",
    "candidates",
    "estimate",
    "foreseen",
    "of_tree",
    "what_if",
]
