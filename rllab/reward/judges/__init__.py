"""Judges: the gold standard of each world, and rewards that are plain functions of text."""
