"""What is on this machine: fetched models, memory, and cores."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import re
from pathlib import Path

import torch

from rllab.core.errors import LabError
from rllab.core.files import check_manifest, home_dir, write_atomically

# ---- Models that were fetched into the user's folder ----

HUB_ID = re.compile(r"\w[\w.-]*(/|--)\w[\w.-]*")
CHECKED = ".checked.json"  # sizes and times of the files whose hashes were right


def is_hub_id(name: str) -> bool:
    """Return whether a name has the form owner/name (or owner--name, as its folder is called).

    Args:
        name: The name.

    Returns:
        Whether it can be an id of a model hub.
    """
    return HUB_ID.fullmatch(name) is not None


def model_folder(name: str) -> Path:
    """Return the folder of a fetched model.

    Args:
        name: smollm2, or a hub id.

    Returns:
        The folder in the user's home of the lab, whether or not it exists.
    """
    return home_dir() / "models" / name.replace("/", "--")


def is_whole(folder: Path) -> bool:
    """Return whether a fetched model is there with all its files as they were.

    Args:
        folder: The model's folder.

    Returns:
        Whether its hashes are right.
    """
    try:
        check_once(folder, rebuild="")
    except LabError:
        return False
    return True


def check_once(folder: Path, *, rebuild: str) -> None:
    """Check a model folder's hashes, but only where a file's size or time has changed since they were right.

    Hashing 500 MB takes seconds and would delay every load; a file that was cut or replaced shows in its size
    or time.

    Args:
        folder: The model's folder.
        rebuild: The command that makes it again, for the error.

    Raises:
        LabError: If a file is missing or changed.
    """
    stamp = folder / CHECKED
    with contextlib.suppress(OSError, ValueError):  # no stamp or no readable one: check in full
        if json.loads(stamp.read_text("utf-8")) == _sizes_and_times(folder):
            return
    check_manifest(folder, rebuild=rebuild)
    remember_check(folder)


def remember_check(folder: Path) -> None:
    """Save sizes and times of the files whose hashes are known to be right.

    Args:
        folder: The model's folder.
    """
    with contextlib.suppress(OSError):  # a folder shared read-only is checked in full each time
        write_atomically(folder / CHECKED, json.dumps(_sizes_and_times(folder)))


def _sizes_and_times(folder: Path) -> dict[str, list[int]]:
    """Return size and time of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKED)
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


# ---- Memory: a model that would not fit is refused in a sentence, before it takes the kernel down ----

GIB = 2**30
LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> int | None:
    """Return the bytes that a hub or a control group allows, or None."""
    words = [os.environ.get("MEM_LIMIT", "")]
    words += [Path(name).read_text("ascii").strip() for name in LIMIT_FILES if Path(name).is_file()]
    # an absent limit reads "max", or a number near 2**63
    limits = [int(word) for word in words if word.isdigit() and int(word) < 2**60]
    return min(limits, default=None)


def need_memory(gib: float, *, model: str) -> None:
    """Raise LabError if a model would not fit into the memory that is free.

    Args:
        gib: What it needs, in GiB.
        model: The model's name, for the error.

    Raises:
        LabError: If less memory is free.
    """
    import psutil

    free = psutil.virtual_memory().available
    limit = memory_limit()
    if limit is not None:
        free = min(free, limit - psutil.Process().memory_info().rss)
    if free < gib * GIB:
        remedy = f"{model} needs about {gib:g} GiB; close other notebooks or programs, or use the world tales"
        raise LabError("free memory", f"{max(0, free) / GIB:.1f} GiB", remedy)


# ---- How many CPU threads torch may use: one core stays free for the browser and the server ----


@functools.cache
def set_threads_once() -> int:
    """Set torch's number of threads when the first world is loaded, and return it."""
    count = usable_threads()
    torch.set_num_threads(count)
    return count


def usable_threads() -> int:
    """Return max(1, min(4, cores - 1)); 1 on a shared hub, where 30 kernels would fight for the cores."""
    if "JUPYTERHUB_USER" in os.environ:
        return 1
    return max(1, min(4, usable_cores() - 1))


def usable_cores() -> int:
    """Return the cores that this process may use, by affinity and by the container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def _quota() -> float:
    """Return the number of cores that a control group allows, or infinity."""
    limit = Path("/sys/fs/cgroup/cpu.max")
    try:
        quota, period = limit.read_text("ascii").split()
        return float(quota) / float(period)
    except (OSError, ValueError):  # no control group, or "max"
        return math.inf
