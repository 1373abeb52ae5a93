"""Where files live: what ships with the lab, and what belongs to the user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rllab.core.errors import LabError
from rllab.core.records import UpdateRecord

# ---- Where files live: what ships with the lab, and what belongs to the user ----


def data_dir() -> Path:
    """Return the folder of shipped data: `RLLAB_DATA`, or the one that came with the package."""
    chosen = os.environ.get("RLLAB_DATA")
    return Path(chosen) if chosen else shipped_dir("data")


def shipped_dir(name: str) -> Path:
    """Return a folder that comes with the lab: inside the installed package, or next to it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def home_dir() -> Path:
    """Return the user's folder for downloads, runs and progress: `RLLAB_HOME`, or `~/.rllab`."""
    chosen = os.environ.get("RLLAB_HOME")
    return Path(chosen) if chosen else Path.home() / ".rllab"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a half.

    The bytes go to a temporary file in the same folder, reach the disk, and then take the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_manifest(folder: Path) -> None:
    """Record the SHA-256 of every file of a model folder in its `manifest.json`."""
    files = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    write_atomically(folder / "manifest.json", json.dumps({"files": files}, indent=1) + "\n")


def check_manifest(folder: Path, *, rebuild: str) -> None:
    """Refuse a model folder whose files are missing or changed; `rebuild` is the remedy's command."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise LabError("model folder", str(folder), f"it has no manifest.json; make it again with `{rebuild}`")
    try:
        files: dict[str, str] = dict(json.loads(manifest.read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError("model manifest", str(manifest), f"it cannot be read; make it again with `{rebuild}`") from error
    for path in _read_by_loaders(folder):
        if path.relative_to(folder).as_posix() not in files:
            remedy = f"it is none of the recorded files; take it away, or make the folder again with `{rebuild}`"
            raise LabError("model file", str(path), remedy)
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise LabError("model file", str(path), f"it is missing; make it again with `{rebuild}`")
        if sha256(path) != expected:
            raise LabError(
                "model file", str(path), f"its SHA-256 is not the recorded one; make it again with `{rebuild}`"
            )


def _read_by_loaders(folder: Path) -> list[Path]:
    """Return the files that loading a model may read, listed in its manifest or not."""
    found = [path for ending in ("*.json", "*.safetensors") for path in sorted(folder.rglob(ending))]
    return [path for path in found if path.name != "manifest.json" and not path.name.startswith(".")]


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Give a new folder to build in; it takes the target's place at the end, with its manifest.

    A recipe that is stopped or fails leaves the models of before as they were.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        fresh, old = Path(temporary) / "new", Path(temporary) / "old"
        fresh.mkdir()
        yield fresh
        write_manifest(fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)


LOCK, HOLDER = ".rllab.lock", ".rllab.holder.json"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an existing folder for this process: what others begin there meanwhile is refused before it writes.

    The operating system drops the lock when its process ends, however it ends.

    Raises:
        LabError: If another process, or another thread of this one, holds the folder; names the holder.
    """
    lock = FileLock(folder / LOCK, thread_local=False, is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LabError("run folder", str(folder), f"{_holder(folder)} is writing there; wait for its end") from error
    try:
        write_atomically(folder / HOLDER, json.dumps({"process": os.getpid(), "machine": platform.node()}) + "\n")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """Return who holds a folder, as far as it can be read."""
    try:
        found = json.loads((folder / HOLDER).read_text("utf-8"))
        return f"process {int(found['process'])} on {found['machine']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def remove_recorded(folder: Path) -> None:
    """Remove the files that a folder's manifest records, and the folders that are empty then; all else stays."""
    manifest = folder / "manifest.json"
    try:
        names = [str(name) for name in json.loads(manifest.read_text("utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing says that it is ours
    if folder.is_symlink():
        return
    root = folder.resolve()
    with contextlib.suppress(OSError):
        for file in [*(folder / name for name in names), manifest]:
            if file.parent.resolve().is_relative_to(root):
                file.unlink(missing_ok=True)
        inside = sorted((path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True)
        for path in [*inside, folder]:
            if not any(path.iterdir()):
                path.rmdir()


# ---- Update records as lines of strict JSON, where infinity and what is not a number are words ----


def to_line(record: Mapping[str, Any]) -> str:
    """Write one object as a line of strict JSON: NaN and infinity become the texts "nan", "inf" and "-inf".

    Everything outside ASCII is escaped, so that no odd line break or half character in a text can harm the file.
    """
    return json.dumps(_strict(record), allow_nan=False)


def history_text(history: Iterable[UpdateRecord]) -> str:
    """Write a history as JSON lines, one update each."""
    return "".join(to_line(asdict(record)) + "\n" for record in history)


def read_history(file: Path) -> list[UpdateRecord]:
    """Read a history back; its metrics are numbers again."""
    lines = [(number, line) for number, line in enumerate(file.read_text("utf-8").splitlines(), 1) if line.strip()]
    return [_record(line, number, file) for number, line in lines]


def _record(line: str, number: int, file: Path) -> UpdateRecord:
    try:
        row = json.loads(line)
        row["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
        return UpdateRecord(**row)
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"line {number} of {file.name}", line, "it holds no update; load an older save") from error


def _strict(value: Any) -> Any:
    """Replace the numbers that JSON does not know by their names, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(one) for one in value]
    return value
