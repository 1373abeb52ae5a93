"""Exercises, predictions and boards: what takes a learner's answer, and how far the learner is."""
