"""A tiny language model in a folder of its own, and a home for fetched models."""

import shutil
from pathlib import Path

import pytest

from rllab.paths import write_manifest
from rllab.worlds.pretrained import model_folder
from tests.worlds.tiny import save_tiny


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the tiny model once; tests copy it before they change anything."""
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
    folder = Path(shutil.copytree(saved, model_folder("smollm2")))
    write_manifest(folder)
    return folder
