"""What every test runs with: one thread, no network, a home of its own."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: its threads would fight over the few cores of a test machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"

# Property tests try the same examples on every machine, and a busy machine fails none of them.
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")

E2E = Path(__file__).parent / "e2e"
# Where a real model may lie. The processes that share the tests inherit this one's environment: told once, at the top.
USERS_HOME = os.environ.setdefault("RLLAB_TESTS_USERS_HOME", os.environ.get("RLLAB_HOME", str(Path.home() / ".rllab")))
HOME = tempfile.TemporaryDirectory(prefix="rllab-tests-")
os.environ["RLLAB_HOME"] = HOME.name
os.environ["HF_HUB_CACHE"] = str(Path(HOME.name) / "hub")


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
    from rllab.plots.drawing import Drawing  # not at the top: what is set above has to come before any of the lab

    made = Drawing.__init__

    def check(drawing: Drawing, *arguments: object, **named: object) -> None:
        made(drawing, *arguments, **named)
        drawing.figure()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "__init__", check)
        yield


@pytest.fixture(scope="session")
def micro():
    """Return the smallest world, loaded once; tests take copies of what they change."""
    from rllab.worlds import load_world

    return load_world("micro")


@pytest.fixture(scope="session")
def tabular():
    """Return the smallest world with a table as its policy."""
    from rllab.worlds import load_world

    return load_world("micro-tabular")


@pytest.fixture
def untouched_chance():
    """Fail a test whose work moved a global source of random numbers."""
    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the global state is the point)
    yield
    after = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert all(np.array_equal(one, other) for one, other in zip(before[1], after[1], strict=True))
    assert torch.equal(before[2], after[2])


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the tiny model once; tests copy it before they change anything."""
    from tests.worlds.tiny import save_tiny

    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def tiny(saved: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny model's folder that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test a home of its own."""
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fetched(saved: Path, home: Path) -> Path:
    """Put the tiny model where a fetched SmolLM2 lies."""
    from rllab.core.files import write_manifest
    from rllab.worlds.machine import model_folder

    folder = Path(shutil.copytree(saved, model_folder("smollm2")))
    write_manifest(folder)
    return folder
