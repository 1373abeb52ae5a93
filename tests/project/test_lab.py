"""lab.py uses what is installed, installs what is not, serves the tour and closes cleanly."""

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import lab


@pytest.fixture
def options() -> argparse.Namespace:
    return lab.parse(["setup"])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """Put .venv into a folder of the test, and record what pip would install where; torch needs no choice."""
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    monkeypatch.setattr(lab, "VENV", tmp_path)
    monkeypatch.setattr(lab, "STAMP", tmp_path / "stamp.json")
    monkeypatch.setattr(lab, "pip_install", lambda python, arguments, **_: calls.append((str(python), arguments)))
    monkeypatch.setattr(lab, "brings_cuda", lambda *_, **__: False)
    return calls


@pytest.fixture
def bare(asked: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Act as if this Python had nothing and a venv could be made."""

    def make() -> None:
        lab.venv_python().parent.mkdir(exist_ok=True)
        lab.venv_python().touch()

    monkeypatch.setattr(lab, "missing", lambda *_: ["torch>=2"])
    monkeypatch.setattr(lab, "make_venv", make)
    return asked


def test_an_equipped_python_is_used_as_it_is(asked: list, options: argparse.Namespace) -> None:
    assert lab.ready_python(options, "llm", "test") == sys.executable
    assert asked == []


def test_an_equipped_python_gets_only_what_an_extra_lacks(
    asked: list, options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "missing", lambda *extras: ["gguf>=99"] if "llm" in extras else [])
    assert lab.ready_python(options, "llm") == sys.executable
    assert asked == [(sys.executable, ["gguf>=99"])]


def test_a_bare_python_fills_the_venv_once(bare: list, options: argparse.Namespace) -> None:
    for _ in range(2):
        assert lab.ready_python(options) == str(lab.venv_python())
    assert bare == [(str(lab.venv_python()), ["-e", f"{lab.ROOT}[lab,llm]"])]


def test_new_extras_are_added_and_kept(bare: list, options: argparse.Namespace) -> None:
    lab.ready_python(options)
    lab.ready_python(options, "test")
    lab.ready_python(options, "llm")
    assert [arguments[-1] for _, arguments in bare] == [f"{lab.ROOT}[lab,llm]", f"{lab.ROOT}[lab,llm,test]"]


def test_changed_requirements_are_installed_again(
    bare: list, options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.ready_python(options, "test")
    monkeypatch.setattr(lab, "install_key", lambda: "another")
    lab.ready_python(options)
    assert len(bare) == 2


def test_an_install_that_failed_is_tried_again(
    bare: list, options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise lab.TroubleError("no network")

    with monkeypatch.context() as broken:
        broken.setattr(lab, "pip_install", fail)
        with pytest.raises(lab.TroubleError):
            lab.ready_python(options)
    lab.ready_python(options)
    assert len(bare) == 1


def test_a_wheelhouse_replaces_the_network(bare: list, tmp_path: Path) -> None:
    (tmp_path / "x-1-py3-none-any.whl").touch()
    lab.ready_python(lab.parse(["--wheelhouse", str(tmp_path)]))
    assert bare[0][1][:3] == ["--no-index", "--find-links", str(tmp_path)]


def test_an_empty_wheelhouse_is_reported(bare: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.main(["setup", "--wheelhouse", str(tmp_path / "nowhere")]) == 1
    told = capsys.readouterr().err
    assert "holds no wheels" in told
    assert "Traceback" not in told


def test_on_a_hub_this_python_gets_everything(
    bare: list, options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    monkeypatch.setattr(lab, "satisfied", lambda _: False)
    assert lab.ready_python(options) == sys.executable
    assert bare == [(sys.executable, ["torch>=2", "-e", str(lab.ROOT)])]


def test_pip_trouble_is_one_sentence_with_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    with pytest.raises(lab.TroubleError, match="No matching distribution") as caught:
        lab.pip_install(sys.executable, ["--no-index", "no-such-package-here"], log=log)
    assert str(log) in str(caught.value)
    assert "no-such-package-here" in log.read_text("utf-8")


def test_the_reason_of_a_failed_build_is_reported_as_well(tmp_path: Path) -> None:
    """Without a network it is not the package that fails first, but what pip would build it with."""
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["no-such-builder-here"]\n')
    with pytest.raises(lab.TroubleError, match=r"\(No matching distribution found for no-such-builder-here\)"):
        lab.pip_install(sys.executable, ["--no-index", str(tmp_path)], log=tmp_path / "install.log")


def test_versions_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    """Pip's last line is an address that explains conflicts; the line before it names the conflict."""
    for name, needs in (("one", "two==2"), ("two", "")):
        (tmp_path / name).mkdir()
        settings = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = [{needs!r}]\n' if needs else ""
        (tmp_path / name / "pyproject.toml").write_text(settings or f'[project]\nname = "{name}"\nversion = "1"\n')
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    with pytest.raises(lab.TroubleError, match=r"\(Cannot install .*conflicting dependencies\.\)"):
        lab.pip_install(sys.executable, ["--no-index", "--no-build-isolation", *folders], log=tmp_path / "install.log")


def test_trouble_ends_with_status_1_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise lab.TroubleError("the disk is full: free some space")

    monkeypatch.setitem(lab.COMMANDS, "setup", fail)
    assert lab.main(["setup"]) == 1
    assert capsys.readouterr().err == "lab.py setup: the disk is full: free some space.\n"


def test_names_belong_to_proof_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.parse(["proof", "fresh_clone"]).names == ["fresh_clone"]
    with pytest.raises(SystemExit):
        lab.parse(["test", "fresh_clone"])
    assert "takes no names" in capsys.readouterr().err


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lab.free_port(port) != port


@pytest.mark.parametrize(
    ("system", "variables", "seen"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"DISPLAY": ":10", "SSH_CONNECTION": "1"}, False),
        ("darwin", {}, True),
    ],
)
def test_screens(system: str, variables: dict, *, seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert lab.has_screen() == seen


def test_a_server_that_does_not_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "SETTINGS", tmp_path / "settings")
    monkeypatch.setattr(lab, "SERVER_LOG", tmp_path / "server.log")
    (tmp_path / "python").write_text("#!/bin/sh\necho no jupyterlab >&2\nexit 1\n", "utf-8")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(lab.TroubleError, match=r"server\.log says why"):
        lab.serve(str(tmp_path / "python"))
    assert "no jupyterlab" in (tmp_path / "server.log").read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_the_tour_is_served_quietly_and_closes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "no screen here")
    command = [sys.executable, "lab.py"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            lines = iter(running.stdout.readline, "")
            address = next(found.group() for line in lines if (found := re.search(r"http://\S+", line)))
            parts = re.fullmatch(r"(http://[\d.:]+)/lab/tree/notebooks/00_tour\.ipynb\?token=(\w+)", address)
            base, token = parts.groups()
            name = "@jupyterlab/apputils-extension:notification"
            with urllib.request.urlopen(f"{base}/lab/api/settings/{name}?token={token}") as answer:
                news = json.load(answer)["schema"]["properties"]["fetchNews"]["default"]
        finally:
            running.send_signal(signal.SIGTERM)
        closing, errors = running.communicate()
    assert news == "false"
    assert closing.split() == ["Closed."]
    assert errors == ""
    assert running.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{base}/api", timeout=2)
