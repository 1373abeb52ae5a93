"""Where no NVIDIA GPU is found, torch comes without the gigabytes that only such a GPU can use."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lab

CPU_BUILD = [lab.CPU_INDEX, "torch"]
Pip = Callable[..., list[list[str]]]


@pytest.fixture
def pip(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Return a function that installs with a faked pip, and returns what pip was asked."""

    def install(
        resolved: str, *arguments: str, gpu: bool = False, unreachable: str = "no such host"
    ) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(_: object, asked: list[str], **__: object) -> None:
            calls.append(asked)
            if "--report" in asked:
                report = asked[asked.index("--report") + 1]
                shutil.copyfile(root / "tests" / "project" / f"resolved_{resolved}.json", report)
            if unreachable in asked:
                raise lab.TroubleError("pip could not install the packages")

        monkeypatch.setattr(lab, "pip_install", run)
        monkeypatch.setattr(lab, "has_gpu", lambda: gpu)
        lab.install("python", ["-e", "the lab"], lab.parse(["setup", *arguments]), log=tmp_path / "install.log")
        return calls

    return install


def test_cuda_packages_are_left_out_where_no_gpu_can_use_them(pip: Pip) -> None:
    *questions, torch, rest = pip("cuda")
    assert [asked[-1] for asked in questions] == ["pip>=25.3", "torch"]
    assert "--dry-run" in questions[-1]
    assert torch[-2:] == CPU_BUILD
    assert rest == ["-e", "the lab"]


@pytest.mark.parametrize(
    ("resolved", "arguments", "gpu"),
    [("cuda", [], True), ("cuda", ["--gpu"], False), ("cpu", [], False)],
)
def test_the_default_torch_is_kept_where_it_fits(resolved: str, arguments: list[str], *, gpu: bool, pip: Pip) -> None:
    calls = pip(resolved, *arguments, gpu=gpu)
    assert [asked for asked in calls if lab.CPU_INDEX in asked] == []
    assert calls[-1] == ["-e", "the lab"]


def test_an_unreachable_index_is_reported_and_the_default_is_installed(
    pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, torch, rest = pip("cuda", unreachable=lab.CPU_INDEX)
    assert torch[-2:] == CPU_BUILD
    assert rest == ["-e", "the lab"]
    assert f"{lab.CPU_INDEX} cannot be reached: installing torch's GPU build" in capsys.readouterr().out


def test_a_chosen_index_is_used_without_a_question_and_has_to_work(pip: Pip) -> None:
    address = "https://example.org/rocm"
    assert [asked[-2:] for asked in pip("cuda", "--torch-index", address)] == [[address, "torch"], ["-e", "the lab"]]
    with pytest.raises(lab.TroubleError):
        pip("cuda", "--torch-index", address, unreachable=address)


def test_a_folder_of_wheels_answers_alone(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / "torch-2-py3-none-any.whl").touch()
    assert len(pip("cuda", "--wheelhouse", str(tmp_path))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script replaces the driver's tool")
@pytest.mark.parametrize(("status", "found"), [(None, False), (0, True), (9, False)])
def test_a_gpu_counts_when_its_driver_answers(
    status: int | None, *, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nexit {status}\n", "utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lab.has_gpu() == found
