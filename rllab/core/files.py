"""Files: where they live, how they are written (whole or not at all), and how they are checked before they are read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rllab.core.errors import LabError

# ---- Where files live: what ships with the lab, and what belongs to the user ----

MANIFEST = "manifest.json"
UNFINISHED, OURS = ".saving-", "rllab.json"  # prefix of a folder that is being filled, and the file that marks it
LOCK, HOLDER = ".rllab.lock", ".rllab.holder.json"


def data_dir() -> Path:
    """Return the folder of shipped data: `RLLAB_DATA`, or the one that came with the package."""
    chosen = os.environ.get("RLLAB_DATA")
    return Path(chosen) if chosen else shipped_dir("data")


def shipped_dir(name: str) -> Path:
    """Return a folder that comes with the lab: inside the installed package, or next to it in a checkout.

    Args:
        name: The folder's name, such as data.

    Returns:
        Its path, whether or not it exists.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def home_dir() -> Path:
    """Return the user's folder for downloads, runs and progress: `RLLAB_HOME`, or `~/.rllab`."""
    chosen = os.environ.get("RLLAB_HOME")
    return Path(chosen) if chosen else Path.home() / ".rllab"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        The digest in hexadecimal.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ---- How files are written: whole or not at all ----


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a half.

    The bytes go to a temporary file in the same folder, reach the disk, and then take the name.

    Args:
        path: The file; its folder is made where it is missing.
        content: Bytes, or text that is encoded as UTF-8.
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


def append(path: Path, text: str | bytes, *, to_disk: bool = True) -> None:
    """Add text at the end of a file; where writing fails, the file is cut back to what it was.

    Args:
        path: The file; it and its folder are made where they are missing.
        text: Whole lines, each with its line break.
        to_disk: Whether to wait until the bytes have reached the disk.

    Raises:
        OSError: If the text could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    data = text.encode("utf-8") if isinstance(text, str) else text
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
            if to_disk:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
    if is_new and to_disk:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name reach the disk; not every system can do that for a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end it takes the target's place, with its manifest.

    Where the filling stops or fails, what was there before stays as it was.

    Args:
        target: The folder to make or to replace.

    Yields:
        A temporary folder next to it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=UNFINISHED, ignore_cleanup_errors=True) as temporary:
        (Path(temporary) / OURS).write_text("{}\n", "utf-8")
        fresh = Path(temporary) / "new"
        fresh.mkdir()
        yield fresh
        write_manifest(fresh)
        for file in fresh.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:  # wait until its bytes have reached the disk
                    os.fsync(opened.fileno())
        if target.exists():
            target.rename(Path(temporary) / "old")
        fresh.rename(target)


def remove_unfinished(folder: Path, *, seconds: float = 0.0) -> None:
    """Remove what processes that were killed left in the middle of `replaced_folder`.

    Args:
        folder: The parent of the folders that were to be replaced.
        seconds: How old what is removed has to be, where other processes may be at work in the folder now.
    """
    for left in folder.glob(f"{UNFINISHED}*"):
        old = time.time() - left.stat().st_mtime >= seconds
        if old and (left / OURS).is_file() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


# ---- Hashes: a folder's manifest says which files belong to it, and what is in them ----


def write_manifest(folder: Path) -> None:
    """Save the SHA-256 of every file of a folder in its `manifest.json`.

    Args:
        folder: The folder.
    """
    files = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    write_atomically(folder / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")


def check_manifest(folder: Path, *, rebuild: str) -> None:
    """Raise LabError if a file of a folder is missing, changed or added since its manifest was written.

    Args:
        folder: A folder with a `manifest.json`.
        rebuild: The command that makes the folder again, for the error.

    Raises:
        LabError: If the folder is not what its manifest says, or has none.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise LabError("model folder", str(folder), f"it has no manifest.json; make it again with `{rebuild}`")
    try:
        files: dict[str, str] = dict(json.loads(manifest.read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError("model manifest", str(manifest), f"it cannot be read; make it again with `{rebuild}`") from error
    for path in (*sorted(folder.rglob("*.json")), *sorted(folder.rglob("*.safetensors"))):  # what loaders may read
        ours = path.name == MANIFEST or path.name.startswith(".")
        if not ours and path.relative_to(folder).as_posix() not in files:
            remedy = f"it is not one of the recorded files; remove it, or make the folder again with `{rebuild}`"
            raise LabError("model file", str(path), remedy)
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise LabError("model file", str(path), f"it is missing; make it again with `{rebuild}`")
        if sha256(path) != expected:
            remedy = f"its SHA-256 is not the recorded one; make it again with `{rebuild}`"
            raise LabError("model file", str(path), remedy)


# ---- Who may write to a folder, and what of it may be removed ----


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an existing folder for this process: what others begin there meanwhile is refused before it writes.

    The operating system drops the lock when its process ends, however it ends.

    Args:
        folder: The folder to hold.

    Yields:
        Nothing; the folder is free again afterwards.

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
    """Remove the files that a folder's manifest records, and the folders that are empty then; all else stays.

    Args:
        folder: A folder with a manifest; one without is left as it is.
    """
    manifest = folder / MANIFEST
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
