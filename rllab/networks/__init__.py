"""Neural networks in transformers' format, and the one way to run them over prompts and responses."""
