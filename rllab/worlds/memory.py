"""How much memory there is: a model that would not fit is refused in a sentence, before it takes the kernel down."""

from __future__ import annotations

import os
from pathlib import Path

from rllab.core.errors import LabError

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
    """Refuse to load a model where the memory that is left here is less than it needs."""
    import psutil

    free = psutil.virtual_memory().available
    limit = memory_limit()
    if limit is not None:
        free = min(free, limit - psutil.Process().memory_info().rss)
    if free < gib * GIB:
        remedy = f"{model} needs about {gib:g} GiB; close other notebooks or programs, or use the world tales"
        raise LabError("free memory", f"{max(0, free) / GIB:.1f} GiB", remedy)
