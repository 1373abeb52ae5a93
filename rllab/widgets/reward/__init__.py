"""The reward panel: what each reward gives a response, and why."""
