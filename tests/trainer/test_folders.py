"""A save appears whole or not at all: kills, a full disk, damage."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest

from rllab.core.errors import LabError
from rllab.trainer.checkpoints import current_version, new_version
from rllab.trainer.trainer import Trainer
from tests.trainer.small_run import same, small_run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_while_saving_leaves_a_run_that_loads(tmp_path):
    chance = random.Random(0)
    for _ in range(6):
        acknowledged = killed_while_saving(tmp_path, seconds=chance.uniform(0.0, 0.25))
        if (tmp_path / "latest.json").exists():
            assert Trainer.load(tmp_path).index >= acknowledged


def killed_while_saving(folder: Path, *, seconds: float) -> int:
    """Let a child process save again and again, kill it, and return the last update it said was saved."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        trainer = Trainer.load(folder) if (folder / "latest.json").exists() else small_run(batch_size=3)
        while True:
            trainer.run(1)
            trainer.save(folder)
            os.write(writing, f"{trainer.index}\n".encode())
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        lines = said.read().split()
    return int(lines[-1]) if lines else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits a forked process")
def test_a_file_that_cannot_grow_leaves_the_old_save(tmp_path):
    trainer = small_run()
    trainer.save(tmp_path)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))  # smaller than the policy
        trainer.run(1)
        try:
            trainer.save(tmp_path)
        except LabError as error:
            os._exit(0 if "as it was" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same(Trainer.load(tmp_path), trainer)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["000001", "latest.json", "shared"]


def test_a_full_disk_is_told_in_a_sentence(tmp_path, monkeypatch):
    trainer = small_run()
    trainer.save(tmp_path)
    trainer.run(1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rllab.trainer.checkpoints.save_file", full)
    with pytest.raises(LabError, match="no room left on the disk; what was saved before is as it was"):
        trainer.save(tmp_path)
    assert Trainer.load(tmp_path).index == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["000001", "latest.json", "shared"]


def test_the_save_before_is_kept_and_older_ones_go(tmp_path):
    trainer = small_run()
    for _ in range(4):
        trainer.save(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["000003", "000004", "latest.json", "shared"]
    (tmp_path / ".saving-left-by-a-crash").mkdir()
    trainer.save(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["000004", "000005", "latest.json", "shared"]


@pytest.mark.parametrize("file", ["policy/model.safetensors", "run.json", "history.jsonl", "manifest.json"])
def test_damage_is_seen_and_the_save_before_is_named(file, tmp_path):
    trainer = small_run()
    trainer.save(tmp_path)
    trainer.run(1)
    trainer.save(tmp_path)
    damaged = tmp_path / "000002" / file
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(LabError, match=r"save before it is .*000001"):
        Trainer.load(tmp_path)
    assert Trainer.load(tmp_path / "000001").index == 0


def test_a_damaged_shared_model_is_seen(tmp_path):
    small_run().save(tmp_path)
    [model] = (tmp_path / "shared").glob("reference-*/model.safetensors")
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(LabError, match="changed since it was written"):
        Trainer.load(tmp_path)


@pytest.mark.parametrize("pointer", [None, "{", "{}", json.dumps({"folder": "9", "manifest": "", "previous": None})])
def test_what_is_no_save_is_told(pointer, tmp_path):
    if pointer is not None:
        (tmp_path / "latest.json").write_text(pointer)
    with pytest.raises(LabError):
        Trainer.load(tmp_path)


def test_a_folder_that_is_left_half_filled_vanishes(tmp_path):
    def crash():
        with new_version(tmp_path) as folder:
            (folder / "half").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LabError, match="nothing has been saved"):
        current_version(tmp_path)


def test_a_run_folder_can_be_moved(tmp_path):
    trainer = small_run()
    trainer.run(1)
    trainer.save(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert same(Trainer.load(tmp_path / "there"), trainer)
