"""Files: whole or not there at all, checked before they are read, each in its place."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rllab.core.errors import LabError
from rllab.core.files import (
    append,
    check_manifest,
    data_dir,
    home_dir,
    remove_unfinished,
    replaced_folder,
    sha256,
    write_atomically,
    write_manifest,
)
from rllab.worlds import load_world

KILLS = 20
WRITER = """
import os, signal, sys, time
from pathlib import Path
from rllab.core.files import write_atomically
path, kills = Path(sys.argv[1]), int(sys.argv[2])
done = 0
for kill in range(kills):
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            done += 1
            write_atomically(path, f"{done:09}\\n" * 60_000)
            os.write(told, f"{done:09}\\n".encode())
    os.close(told)
    os.read(heard, 10)  # it is at work
    time.sleep(0.003 * kill)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    acknowledged = os.read(heard, 1_000_000).decode().split()
    lines = path.read_text("ascii").splitlines()
    assert len(lines) == 60_000, "cut"
    assert len(set(lines)) == 1, "mixed"
    done = int(lines[0])
    assert done >= max(map(int, acknowledged), default=0), "older than what was acknowledged"
    print(done)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system where a process can be forked and killed")
def test_a_file_is_whole_although_its_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "state.txt"), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    written = [int(line) for line in done.stdout.split()]
    assert len(written) == KILLS
    assert written == sorted(written)
    assert written[-1] > KILLS  # it wrote in between


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "state.txt"
    write_atomically(path, "old")

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["state.txt"]


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "é\n\u2028")
    write_atomically(tmp_path / "bytes", b"\x00\r\n")
    assert (tmp_path / "text").read_bytes() == "é\n\u2028".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\r\n"


def test_the_places_of_files_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = data_dir()
    assert (shipped / "micro" / "grammar.json").is_file()
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path / "home"))
    assert (data_dir(), home_dir()) == (tmp_path / "data", tmp_path / "home")
    monkeypatch.delenv("RLLAB_HOME")
    assert home_dir() == Path.home() / ".rllab"


# Model folders


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the shipped models of micro, which load_world then reads."""
    shutil.copytree(data_dir() / "micro", tmp_path / "micro")
    shutil.copytree(data_dir() / "models" / "micro", tmp_path / "models" / "micro")
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    return tmp_path / "models" / "micro"


FILES = sorted(json.loads((data_dir() / "models" / "micro" / "manifest.json").read_text("utf-8"))["files"])


@pytest.mark.parametrize("name", FILES)
def test_a_changed_a_cut_and_a_missing_model_file_are_refused_by_name(name: str, models: Path) -> None:
    file = models / name
    whole = file.read_bytes()
    changed = bytes([whole[0] ^ 1]) + whole[1:]
    for spoilt in (changed, whole[:-1], whole + b"\n", b""):
        file.write_bytes(spoilt)
        with pytest.raises(LabError, match="SHA-256") as caught:
            load_world("micro")
        assert caught.value.value == str(file)
        assert "python -m rllab build micro" in str(caught.value)
    file.unlink()
    with pytest.raises(LabError, match="it is missing"):
        load_world("micro")
    file.write_bytes(whole)
    check_manifest(models, rebuild="")


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "{}", '{"files": 3}', '{"files": []}', '{"files": {}}', "\xff", '{"files": [1]}']
)
def test_a_damaged_manifest_is_refused(content: str | None, models: Path) -> None:
    manifest = models / "manifest.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_text(content, "latin-1")
    with pytest.raises(LabError, match=r"manifest|recorded"):
        load_world("micro")


@pytest.mark.parametrize("name", ["policy/adapter_config.json", "model.safetensors", "reward/model-00002.safetensors"])
def test_a_file_that_was_slipped_in_is_refused(name: str, models: Path) -> None:
    (models / name).write_text("{}")
    with pytest.raises(LabError, match="not one of the recorded files"):
        load_world("micro")
    (models / name).unlink()
    (models / ".DS_Store").write_text("what a file manager leaves behind")
    check_manifest(models, rebuild="")


def test_a_configuration_that_asks_to_run_code_is_refused(models: Path) -> None:
    config = models / "policy" / "config.json"
    settings = json.loads(config.read_text("utf-8")) | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    config.write_text(json.dumps(settings), "utf-8")
    (models / "policy" / "evil.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(LabError, match="SHA-256"):
        load_world("micro")


def test_a_manifest_lists_every_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_text("1")
    (tmp_path / "two.txt").write_text("2")
    write_manifest(tmp_path)
    files = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert files == {"a/one.json": sha256(tmp_path / "a" / "one.json"), "two.txt": sha256(tmp_path / "two.txt")}
    check_manifest(tmp_path, rebuild="")


def test_a_folder_is_rebuilt_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "models"
    with replaced_folder(target) as fresh:
        (fresh / "one").write_text("first")
    check_manifest(target, rebuild="")
    with pytest.raises(FileNotFoundError), replaced_folder(target) as fresh:
        (fresh / "one").rename(fresh / "two")
    assert (target / "one").read_text() == "first"
    with replaced_folder(target) as fresh:
        (fresh / "two").write_text("third")
    assert sorted(path.name for path in target.iterdir()) == ["manifest.json", "two"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_lines_are_added_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "lines.jsonl"
    append(file, "one\n")
    append(file, b"two\n", to_disk=False)
    assert file.read_bytes() == b"one\ntwo\n"

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append(file, "three\n")
    assert file.read_bytes() == b"one\ntwo\n"


def test_only_unfinished_folders_of_the_lab_are_removed_once_they_are_old(tmp_path: Path) -> None:
    ours, others = tmp_path / ".saving-1", tmp_path / ".saving-2"
    for folder in (ours, others):
        folder.mkdir()
    (ours / "rllab.json").write_text("{}\n")
    remove_unfinished(tmp_path, seconds=3600)
    assert ours.is_dir()
    remove_unfinished(tmp_path)
    assert not ours.exists()
    assert others.is_dir()
