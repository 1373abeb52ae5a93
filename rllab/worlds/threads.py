"""How many CPU threads torch may use: one core stays free for the browser and the server."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

import torch


@functools.cache
def set_threads_once() -> int:
    """Set torch's threads at the first model that is loaded, and return their number."""
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
