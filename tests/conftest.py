"""What every test runs with: one thread, no network, a home of its own."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported: its threads would fight over the few cores of a test machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"

E2E = Path(__file__).parent / "e2e"
# Where a real model may lie. The processes that share the tests inherit this one's environment: told once, at the top.
USERS_HOME = os.environ.setdefault("RLLAB_TESTS_USERS_HOME", os.environ.get("RLLAB_HOME", str(Path.home() / ".rllab")))
HOME = tempfile.TemporaryDirectory(prefix="rllab-tests-")
os.environ["RLLAB_HOME"] = HOME.name


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser tests out unless they are asked for: they need a process of their own."""
    asked = any(E2E.name in argument for argument in config.args)
    return True if collection_path == E2E and not asked else None


@pytest.fixture(scope="session", autouse=True)
def _home() -> Iterator[None]:
    """Remove the tests' home folder at the end."""
    yield
    HOME.cleanup()


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _every_picture_is_checked() -> Iterator[None]:
    """Let plotly check every setting of every picture that is drawn here; a panel sends it to the page unchecked."""
    from rllab.plots.theme import Drawing  # not at the top: what is set above has to come before any of the lab

    made = Drawing.__init__

    def check(drawing: Drawing, *arguments: object, **named: object) -> None:
        made(drawing, *arguments, **named)
        drawing.figure()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "__init__", check)
        yield
