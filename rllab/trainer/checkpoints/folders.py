"""Numbered folders that appear whole or not at all, and the pointer that says which one counts.

    RUN/latest.json       switched in one step, after everything else is on the disk
    RUN/000012/           what it names; manifest.json holds the SHA-256 of every file
    RUN/000011/           the save before, kept
    RUN/shared/NAME/      what does not change from save to save, under the hash of its content

A file that somebody has mapped into memory cannot be replaced on Windows, so nothing is ever overwritten but
the small pointer. One process saves to a run folder at a time.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from rllab.core.errors import LabError
from rllab.core.files import check_manifest, sha256, write_atomically, write_manifest

POINTER, SHARED = "latest.json", "shared"


@contextlib.contextmanager
def new_version(run: Path) -> Iterator[Path]:
    """Give an empty folder to fill; at the end it takes the next number and the pointer turns to it."""
    with told_in_words(run):
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = _pointed(run)
        number = max((int(one.name) for one in _versions(run)), default=0) + 1
        with _whole(run, run / f"{number:06d}") as fresh:
            yield fresh
        version = run / f"{number:06d}"
        pointer = {"folder": version.name, "manifest": sha256(version / "manifest.json"), "previous": present}
        write_atomically(run / POINTER, json.dumps(pointer, indent=1) + "\n")
        _tidy(run, keep={version.name, present})


@contextlib.contextmanager
def shared_folder(run: Path, name: str) -> Iterator[Path | None]:
    """Give an empty folder to fill under a name that stands for its content; None where it is there already."""
    target = run / SHARED / name
    if (target / "manifest.json").is_file():
        yield None
        return
    with told_in_words(run):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _whole(target.parent, target) as fresh:
            yield fresh


def shared_version(run: Path, name: str) -> Path:
    """Return a shared folder, its hashes checked."""
    folder = run / SHARED / name
    try:
        check_manifest(folder, rebuild="Trainer.save")
    except LabError as error:
        raise LabError("saved model", str(folder), "it is missing or changed since it was written") from error
    return folder


def current_version(path: Path) -> Path:
    """Return the folder to read for a run folder, or for one of its numbered folders; its hashes are checked."""
    if (path / "run.json").is_file():
        version, previous = path, None
    else:
        pointer = _pointer(path)
        version, previous = path / str(pointer["folder"]), pointer.get("previous")
        if not version.is_dir() or sha256(version / "manifest.json") != pointer["manifest"]:
            raise LabError("saved run", str(version), _other(path, previous))
    try:
        check_manifest(version, rebuild="Trainer.save")
    except LabError as error:
        raise LabError("saved run", str(version), _other(path, previous)) from error
    return version


def _other(run: Path, previous: object) -> str:
    """Say what can be done about a save that is damaged."""
    broken = "a file of it is missing or changed since it was written"
    return f"{broken}; the save before it is {run / previous}" if isinstance(previous, str) else broken


def _pointer(run: Path) -> dict[str, object]:
    """Read which folder counts."""
    file = run / POINTER
    if not file.is_file():
        raise LabError("run folder", str(run), "nothing has been saved there; name a folder that Trainer.save wrote")
    try:
        pointer: dict[str, object] = json.loads(file.read_text("utf-8"))
        return {"folder": pointer["folder"], "manifest": pointer["manifest"], "previous": pointer["previous"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LabError("run pointer", str(file), "it cannot be read; load one of the numbered folders") from error


def _pointed(run: Path) -> str | None:
    """Return the name of the folder that counts now, None before the first save."""
    return str(_pointer(run)["folder"]) if (run / POINTER).is_file() else None


def _versions(run: Path) -> list[Path]:
    return [one for one in run.iterdir() if one.name.isdecimal()]


@contextlib.contextmanager
def _whole(parent: Path, target: Path) -> Iterator[Path]:
    """Fill a temporary folder, bring it to the disk with its manifest, then give it its name."""
    with tempfile.TemporaryDirectory(dir=parent, prefix=".saving-", ignore_cleanup_errors=True) as temporary:
        fresh = Path(temporary) / "new"
        fresh.mkdir()
        yield fresh
        write_manifest(fresh)
        for file in fresh.rglob("*"):
            if file.is_file():
                _to_disk(file)
        fresh.rename(target)


def _to_disk(file: Path) -> None:
    """Wait until a file's bytes have reached the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _tidy(run: Path, *, keep: set[str | None]) -> None:
    """Remove older saves and what an earlier process left when it was killed."""
    for one in run.iterdir():
        if one.name.startswith(".saving-") or (one.name.isdecimal() and one.name not in keep):
            shutil.rmtree(one, ignore_errors=True)


@contextlib.contextmanager
def told_in_words(run: Path) -> Iterator[None]:
    """Turn what the file system or the weight writer says into a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or "os error 28" in str(error)
        why = "there is no room left on the disk" if full else f"it cannot be written ({error})"
        raise LabError("run folder", str(run), f"{why}; what was saved before is as it was") from error
