"""The course: exercises, experiments with their figures, the clinic, tabular RL, the observatory."""
