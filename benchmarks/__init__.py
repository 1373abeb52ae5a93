"""The long measurements, run by `python lab.py proof`: one script per claim."""
