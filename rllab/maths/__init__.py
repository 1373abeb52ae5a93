"""Hold the equations of the lab as pure tensor functions: torch in, torch out.

Nothing here knows a model, a tokenizer, a config or a device. One file per idea:

    masking      which positions count, and sums over them
    divergence   log-probs, entropy and KL of next-token distributions
    returns      rewards per token, returns, TD errors, GAE
    advantages   baselines and scales that need the whole batch or a group
    losses       one loss per position or per pair, and the four reducers

Letters in the shapes: B rows, T response width, V vocabulary. ``t`` counts columns from 0.
"""
