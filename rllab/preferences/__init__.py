"""Pairs of responses: written, labelled, and learned from."""
