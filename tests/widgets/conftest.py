"""Worlds for the panels' tests, loaded once."""

import pytest

from rllab import World, load_world


@pytest.fixture(scope="session")
def micro() -> World:
    return load_world("micro")
