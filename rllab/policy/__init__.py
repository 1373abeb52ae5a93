"""The language model that acts: reading and writing text, and the networks inside."""
