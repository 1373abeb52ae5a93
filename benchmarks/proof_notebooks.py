"""Notebooks 00 to 09 run from top to bottom, and with their sections in reverse order, each in a fresh kernel.

A section extends from one second-level heading to the next. The set-up is the code before the first of them. It runs
first in both orders; then the sections run, from the first to the last or from the last to the first, each from top to
bottom. So after the set-up a learner can start with any section. No cell starts training on its own: work that is
started with a button is not measured here.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode

from benchmarks.proof_seats import MIB, Seat
from benchmarks.result import ROOT, Result

NOTEBOOKS = ROOT / "notebooks"
MOST_SECONDS, MOST_MIB = 120.0, 1024.0
# A panel catches and shows every error, so the cell that created the panel does not fail.
NO_ALERTS = """
import gc
from rllab.widgets.engine.panel import Panel
said = [one.alert for one in gc.get_objects() if issubclass(type(one), Panel) and one.alert]
assert not said, said
"""


@dataclass(frozen=True)
class Run:
    """One notebook in one order, in a separate kernel."""

    notebook: str
    order: str
    seconds: float  # wall-clock time, including the start of the kernel
    processor: float  # seconds of CPU time
    mib: float  # peak memory of the kernel
    stopped: str  # the error that ended the run, else empty


def sections(notebook: NotebookNode) -> list[list[str]]:
    """Return the code cells by section; the first list is the set-up, before the first second-level heading."""
    found: list[list[str]] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found[-1].append(cell.source)
        elif re.search(r"^## ", cell.source, re.MULTILINE):
            found.append([])
    return found


def in_order(parts: list[list[str]], *, reverse: bool) -> list[str]:
    """Return the cells of the set-up, then those of the sections in forward or reverse order."""
    setup, *others = parts
    return sum(reversed(others) if reverse else others, setup)


def run(path: Path, order: str) -> Run:
    """Run one notebook in a fresh kernel with an empty home folder."""
    cells = in_order(sections(nbformat.read(path, as_version=4)), reverse=order == "reverse")
    began, stopped = time.perf_counter(), ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        seat = Seat(home)
        try:
            for cell in [*cells, NO_ALERTS]:
                seat.run(cell)
        except RuntimeError as error:
            stopped = str(error)
        kernel = psutil.Process(getattr(seat.manager.provisioner, "pid", None))
        seconds, used, mib = time.perf_counter() - began, kernel.cpu_times(), peak_mib(kernel)
        seat.close()
    return Run(path.stem, order, seconds, used.user + used.system, mib, stopped)


def peak_mib(process: psutil.Process) -> float:
    """Return the peak memory of a process, or its current memory where the system does not report the peak."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return float(process.memory_info().rss) / MIB


def measure() -> Result:
    """Run every notebook but the one that needs the real LLM."""
    paths = sorted(NOTEBOOKS.glob("0*.ipynb"))
    return judged([run(path, order) for path in paths for order in ("top to bottom", "reverse")])


def judged(runs: Iterable[Run]) -> Result:
    """Compare the slowest and the largest run with their limits."""
    runs = list(runs)
    slow, work, large = (max(runs, key=key) for key in (_seconds, _processor, _mib))
    bad = [f"{run.notebook} ({run.order}): {run.stopped}" for run in runs if run.stopped]
    figure = (
        f"{len(runs) - len(bad)} of {len(runs)} runs to the end; longest {slow.seconds:.0f} s ({slow.notebook}, "
        f"{slow.order}), most CPU time {work.processor:.0f} s ({work.notebook}, {work.order}), largest "
        f"{large.mib:.0f} MiB ({large.notebook}, {large.order}){': ' if bad else ''}{'; '.join(bad)}"
    )
    return Result(
        claim="each of notebooks 00 to 09 runs from top to bottom, and after its set-up with its sections in reverse",
        target=f"no error, at most {MOST_SECONDS:g} s and {MOST_MIB:g} MiB each, in fresh kernels",
        figure=figure,
        passed=not bad and slow.seconds <= MOST_SECONDS and large.mib <= MOST_MIB,
        details={"runs": [asdict(run) for run in runs]},
    )


def _seconds(one: Run) -> float:
    return one.seconds


def _processor(one: Run) -> float:
    return one.processor


def _mib(one: Run) -> float:
    return one.mib
