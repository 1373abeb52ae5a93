"""The world smollm2 says which weights it has, and takes the original ones where they were fetched by their hub id."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from rllab.core.errors import LabError
from rllab.core.files import write_manifest
from rllab.worlds import load_world
from rllab.worlds.machine import model_folder
from rllab.worlds.shipped import ORIGINAL, original_folder


@pytest.fixture
def cache(saved: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the tiny model where transformers keeps the original, and return its snapshot's folder."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / f"models--{ORIGINAL.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("5e" * 20, "ascii")
    return Path(shutil.copytree(saved, repository / "snapshots" / ("5e" * 20)))


def test_the_shipped_copy_is_called_a_4_bit_copy(fetched: Path) -> None:
    assert "a 4-bit (Q4_1) copy of its weights, dequantised" in load_world("smollm2", device="cpu").describe()


def test_the_original_in_the_cache_is_loaded_even_next_to_the_copy(cache: Path, fetched: Path) -> None:
    (fetched / "config.json").unlink()
    assert original_folder() == cache
    described = load_world("smollm2", device="cpu").describe()
    assert "its original weights" in described
    assert "4-bit" not in described


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_part_of_the_original_is_not_taken_for_it(name: str, cache: Path) -> None:
    (cache / name).unlink()
    assert original_folder() is None


def test_the_original_that_the_lab_fetched_comes_first_and_is_checked(cache: Path) -> None:
    folder = Path(shutil.copytree(cache, model_folder(ORIGINAL)))
    write_manifest(folder)
    assert original_folder() == folder
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(LabError, match=f"python -m rllab fetch {ORIGINAL}"):
        original_folder()
