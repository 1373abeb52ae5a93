"""Worlds that are loaded once; tests take copies of what they change."""

import pytest

from rllab.worlds import World, load_world


@pytest.fixture(scope="session")
def micro() -> World:
    return load_world("micro")


@pytest.fixture(scope="session")
def tabular() -> World:
    return load_world("micro-tabular")
