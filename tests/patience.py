"""How long a test waits for what the lab does within a second."""

# A second on a machine of its own, which `python lab.py proof proof_stop` measures. The tests share the cores with
# each other, so here it may take twice as long.
SOON = 2.0  # seconds
