"""Seeded inputs of the golden files: small padded batches that hold the awkward cases.

row 0   five tokens                                     1 1 1 1 1
row 1   three tokens, then padding                      1 1 1 0 0
row 2   one token                                       1 0 0 0 0
row 3   four tokens, of which the second was forced     1 0 1 1 0
"""

import numpy as np
import torch

ROWS, WIDTH, VOCABULARY = 4, 5, 6
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 1, 1, 0]], dtype=torch.float64)
GROUP = [7, 2, 7, 2, 2, 7, 7]  # two prompts, their answers in mixed order


def normal(*shape, seed, scale=1.0):
    """Draw numbers that are the same wherever this runs."""
    return torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=shape))


def tokens(seed):
    """Draw one token per position."""
    return torch.from_numpy(np.random.default_rng(seed).integers(VOCABULARY, size=(ROWS, WIDTH)))


def logprobs(seed):
    """Draw log-probs of tokens, all below 0."""
    return -normal(ROWS, WIDTH, seed=seed).abs() - 0.05
