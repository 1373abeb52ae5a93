"""One JupyterLab and one browser for all browser tests.

They run in a pytest process of their own (`pytest tests/e2e`): a live Playwright owns an event loop,
with which `asyncio.run` elsewhere in the process would clash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.lab import Server, running_browser, running_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a JupyterLab that serves an empty folder; its kernels can import the tests' helpers."""
    with running_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium."""
    with running_browser() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for screenshots: RLLAB_SHOTS, or a temporary one."""
    named = os.environ.get("RLLAB_SHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("shots")
