"""What `python -m rllab` does."""
