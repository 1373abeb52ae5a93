"""Worlds that are loaded once; tests take copies of what they change."""

import random

import numpy as np
import pytest
import torch

from rllab.worlds import World, load_world


@pytest.fixture(scope="session")
def micro() -> World:
    return load_world("micro")


@pytest.fixture(scope="session")
def tabular() -> World:
    return load_world("micro-tabular")


@pytest.fixture
def untouched_chance():
    """Fail a test whose work moved a global source of random numbers."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the global state is the point)
    yield
    after = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert all(np.array_equal(one, other) for one, other in zip(before[1], after[1], strict=True))
    assert torch.equal(before[2], after[2])
