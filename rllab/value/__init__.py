"""What to expect from here: the critic, what a value predicts, and the one full pass that evaluates a batch."""
