"""The long measurements: one script a claim, run by `python lab.py proof`."""
