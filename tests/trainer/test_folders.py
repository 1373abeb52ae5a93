"""A save appears whole or not at all: kills, a full disk, damage."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rllab.core.errors import LabError
from rllab.core.files import remove_recorded
from rllab.trainer import runs
from rllab.trainer.checkpoints import current_version, new_version, saved_update, shared_folder
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from tests.trainer.small_run import same, small_run


def visible(folder: Path) -> list[str]:
    """Return what a folder holds, without the lock."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scatter(folder: Path, chance: random.Random) -> dict[Path, bytes]:
    """Put files of a user into a folder, under names that look like the lab's own."""
    places = ["", "2024", "007", "000001", "000002", "999999", "shared", ".saving-mine", "000003/policy", "notes"]
    written = {}
    for _ in range(chance.randint(1, 5)):
        path = (
            folder / chance.choice(places) / chance.choice(["thesis.txt", "data.json", "x.safetensors", "config.json"])
        )
        if path.exists():
            continue  # a file of the lab
        path.parent.mkdir(parents=True, exist_ok=True)
        written[path] = chance.randbytes(40)
        path.write_bytes(written[path])
    return written


def save(folder: Path) -> None:
    """Save as a trainer does, without the cost of its models."""
    with new_version(folder) as fresh:
        (fresh / "policy").mkdir()
        (fresh / "policy" / "config.json").write_text("{}")
        (fresh / "run.json").write_text("{}")
        with shared_folder(folder, "reference-1") as model:
            if model is not None:
                (model / "config.json").write_text("{}")


def test_saving_changes_nothing_that_is_not_its_own(tmp_path):
    chance = random.Random(3)
    for number in range(200):
        folder = tmp_path / str(number)
        if number % 2:  # a folder of the user's
            scatter(folder, chance)
            before = contents(folder)
            with pytest.raises(LabError, match="it holds something else"):
                save(folder)
            assert contents(folder) == before
            continue
        for _ in range(chance.randint(1, 3)):
            save(folder)
        users = scatter(folder, chance)
        for _ in range(chance.randint(1, 3)):
            save(folder)
            assert all(path.read_bytes() == content for path, content in users.items())


def test_a_trainer_refuses_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "thesis.txt").write_text("my only copy")
    with pytest.raises(LabError, match=r"it holds something else \(2024\); name a new or an empty folder"):
        small_run().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["2024"]


@pytest.mark.parametrize("name", ["../../mine", "/mine", "000001/../../mine", 3, ""])
def test_a_pointer_names_nothing_outside_its_folder(name, tmp_path):
    run = tmp_path / "run"
    trainer = small_run()
    trainer.save(run)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text(json.dumps({"files": {}}))
    for field in ("folder", "previous", "written"):
        pointer = json.loads((run / "latest.json").read_text())
        pointer[field] = [name] if field == "written" else name
        (run / "latest.json").write_text(json.dumps(pointer))
        for ask in (trainer.save, Trainer.load):
            with pytest.raises(LabError, match="run pointer"):
                ask(run)
    assert (tmp_path / "mine" / "manifest.json").is_file()


def test_a_manifest_removes_nothing_outside_its_folder(tmp_path):
    users = tmp_path / "thesis.txt"
    users.write_text("my only copy")
    folder = tmp_path / "000001"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"files": {"../thesis.txt": "", str(users): ""}}))
    remove_recorded(folder)
    assert users.read_text() == "my only copy"
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks two processes")
def test_of_two_processes_that_go_on_with_one_run_one_is_refused(tmp_path):
    runs.record(small_run(batch_size=3), tmp_path / "run", 2)
    for done in range(2, 22):
        codes = [go_on_in_a_child(tmp_path / "run", updates=1) for _ in range(2)]
        assert sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in codes) == [0, 3]
        history = runs.read(tmp_path / "run").history
        assert [record.index for record in history] == list(range(1, done + 2))
        assert Trainer.load(tmp_path / "run" / "checkpoint").index == done + 1


def go_on_in_a_child(folder: Path, *, updates: int) -> int:
    """Resume a run in a child process; it ends with 0, or with 3 where it was refused."""
    child = os.fork()
    if child == 0:
        try:
            runs.record(runs.resume(folder), folder, updates)
        except LabError as error:
            os._exit(3 if "is writing there" in str(error) or "load it again" in str(error) else 4)
        os._exit(0)
    return child


def test_a_run_is_recorded_in_no_folder_that_holds_something_else(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("mine\n")
    with pytest.raises(LabError, match="it holds something else"):
        runs.record(small_run(), tmp_path, 1)
    assert contents(tmp_path) == {tmp_path / "metrics.jsonl": b"mine\n"}
    runs.record(small_run(seed=1), tmp_path / "run", 1)
    with pytest.raises(LabError, match="with seed 1"):
        runs.record(small_run(seed=2), tmp_path / "run", 1)


def test_an_update_that_fails_leaves_a_saved_run(tmp_path):
    def score(*_):
        if trainer.index == 2:
            raise RuntimeError("the judge is away")
        return STAGES.score(*_)

    trainer = small_run(stages=Stages(score=score))
    with pytest.raises(RuntimeError, match="the judge is away"):
        runs.record(trainer, tmp_path / "run", 5)
    again = Trainer.load(tmp_path / "run" / "checkpoint", stages=trainer.stages)
    assert again.index == len(runs.read(tmp_path / "run").history) == 2


def test_a_default_name_is_taken_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path))
    trainer = small_run()
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: runs.new_folder(trainer), range(16)))
    assert len(set(folders)) == 16
    assert all(folder.is_dir() for folder in folders)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_while_saving_leaves_a_run_that_loads(tmp_path):
    chance = random.Random(0)
    for _ in range(6):
        acknowledged = killed_while_saving(tmp_path, seconds=chance.uniform(0.0, 0.25))
        if saved_update(tmp_path) is not None:
            assert Trainer.load(tmp_path).index >= acknowledged
        else:
            assert acknowledged == 0


def killed_while_saving(folder: Path, *, seconds: float) -> int:
    """Let a child process save again and again, kill it, and return the last update it said was saved."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        trainer = small_run(batch_size=3) if saved_update(folder) is None else Trainer.load(folder)
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
    assert visible(tmp_path) == ["000001", "latest.json", "shared"]


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
    assert visible(tmp_path) == ["000001", "latest.json", "shared"]


def test_the_save_before_is_kept_and_older_ones_go(tmp_path):
    trainer = small_run()
    for _ in range(4):
        trainer.save(tmp_path)
    assert visible(tmp_path) == ["000003", "000004", "latest.json", "shared"]
    left, users = tmp_path / ".saving-left-by-a-crash", tmp_path / ".saving-of-the-user"
    left.mkdir()
    (left / "rllab.json").write_text("{}")
    users.mkdir()
    trainer.save(tmp_path)
    assert visible(tmp_path) == ["000004", "000005", "latest.json", "shared"]
    assert users.is_dir()
    assert not left.exists()


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
    assert visible(tmp_path) == ["latest.json"]
    with pytest.raises(LabError, match="nothing has been saved"):
        current_version(tmp_path)
    small_run().save(tmp_path)
    assert Trainer.load(tmp_path).index == 0


def test_a_run_folder_can_be_moved(tmp_path):
    trainer = small_run()
    trainer.run(1)
    trainer.save(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert same(Trainer.load(tmp_path / "there"), trainer)
