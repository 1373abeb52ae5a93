"""The advantage panel: what each token of a response earned."""
