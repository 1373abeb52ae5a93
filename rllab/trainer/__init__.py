"""The loop: one update and its stages, and what is kept, compared and diagnosed of a run."""
