"""Experiments with known signatures: each module has sizes FAST and WORKSHOP, and `run(size) -> Result`.

FAST is what tests run, a few seconds; what WORKSHOP gave is kept in `data/runs/` (see `recorded`).
"""
