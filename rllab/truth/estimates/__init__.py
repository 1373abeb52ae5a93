"""V, Q and A of any state three ways, and what would have happened after another choice: one headless place."""

from rllab.truth.estimates.candidates import Candidates, candidates, foreseen, of_tree
from rllab.truth.estimates.line import Line, along
from rllab.truth.estimates.values import estimate
from rllab.truth.estimates.what_if import WhatIf, what_if

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
