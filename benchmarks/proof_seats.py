"""Thirty seats on one machine: memory of a kernel after the tour, time of a token step, thirty short runs at once."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import nbformat
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from benchmarks.result import ROOT, Result

MIB = 2**20
PATIENCE = 1800.0  # seconds for one request: thirty seats share two cores
STEP = "stepper.press('reset' if stepper.component('step').get('disabled') else 'step')"
READY = "assert not stepper.alert, stepper.alert"
RUN = "training.trainer.run({updates})"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Plan:
    """The number of seats, the work of each, and the limits."""

    seats: int = 30
    presses: int = 20  # token steps per seat
    pause: float = 2.0  # seconds between two presses in a seat
    updates: int = 10  # of the short run
    notebook: Path = ROOT / "notebooks" / "00_tour.ipynb"
    most_mib: float = 800.0  # per kernel: 30 kernels fit into 24 GiB
    most_seconds: float = 1.0  # per token step, 95th percentile
    most_minutes: float = 15.0  # until the last of the runs is done


class Seat:
    """One learner's kernel and the client that drives it."""

    def __init__(self, home: str) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=os.environ | {"PYTHONPATH": path, "RLLAB_HOME": home}, cwd=home)
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, source: str) -> float:
        """Run code and return the seconds until its reply; raise RuntimeError if the code fails."""
        began = time.perf_counter()
        reply = self.client.execute_interactive(source, timeout=PATIENCE, output_hook=_silent, store_history=False)
        content = reply["content"]
        if content["status"] != "ok":
            raise RuntimeError(f"a seat stopped with {content['ename']}: {content['evalue']}")
        return time.perf_counter() - began

    @property
    def mib(self) -> float:
        """Return the memory unique to this kernel, in MiB."""
        return float(psutil.Process(getattr(self.manager.provisioner, "pid", None)).memory_full_info().uss) / MIB

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def measure() -> Result:
    """Measure a full room."""
    return seated(Plan())


def seated(plan: Plan) -> Result:
    """Open the seats, run the tour in each, press Step for a while, and then train in all at once."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, _seats(plan.seats, home) as seats:
        opened = _at_once(seats, lambda seat: sum(map(seat.run, cells(plan.notebook))))
        pressed = _at_once(seats, lambda seat: _press(seat, plan))
        kernels = [seat.mib for seat in seats]
        began = time.perf_counter()
        runs = _at_once(seats, lambda seat: seat.run(RUN.format(updates=plan.updates)))
        minutes = (time.perf_counter() - began) / 60
        trained = [seat.mib for seat in seats]
    steps = sorted(one for many in pressed for one in many)
    return judged(plan, Room(opened, steps, kernels, trained, runs, minutes))


@dataclass(frozen=True)
class Room:
    """The measurements by seat, and the steps of all seats, sorted."""

    opened: list[float]  # seconds until the tour was done
    steps: list[float]  # seconds
    kernels: list[float]  # MiB after the tour
    trained: list[float]  # MiB after the run
    runs: list[float]  # seconds
    minutes: float  # until the last run was done

    @property
    def p95(self) -> float:
        """Return the 95th percentile of the token steps in seconds."""
        return self.steps[min(len(self.steps) - 1, int(0.95 * len(self.steps)))]


def cells(notebook: Path) -> list[str]:
    """Return the code of a notebook, cell by cell."""
    content = nbformat.read(notebook, as_version=4)
    return [cell.source for cell in content.cells if cell.cell_type == "code"]


def _press(seat: Seat, plan: Plan) -> list[float]:
    """Press Step repeatedly, each seat in its own rhythm; a finished text is started over."""
    chance = random.Random(id(seat))  # noqa: S311 - the times of the presses are not secret
    waited = []
    for _ in range(plan.presses):
        time.sleep(plan.pause * (0.5 + chance.random()))
        waited.append(seat.run(STEP))
    seat.run(READY)
    return waited


def judged(plan: Plan, room: Room) -> Result:
    """Compare the figures with their limits."""
    most, median = max([*room.kernels, *room.trained]), statistics.median(room.steps)
    figure = (
        f"{statistics.median(room.kernels):.0f} MiB per kernel after the tour, at most {most:.0f} MiB after training; "
        f"token step {median * 1000:.0f} ms, p95 {room.p95 * 1000:.0f} ms; {plan.updates} updates in every seat at "
        f"once: {room.minutes:.1f} min; all tours ready after {max(room.opened):.0f} s"
    )
    target = (
        f"{plan.seats} kernels of at most {plan.most_mib:g} MiB, 95% of token steps within {plan.most_seconds:g} s, "
        f"{plan.updates} updates in every seat at once within {plan.most_minutes:g} min"
    )
    held = most <= plan.most_mib and room.p95 <= plan.most_seconds and room.minutes <= plan.most_minutes
    claim = f"{plan.seats} learners share one machine"
    return Result(claim, target, figure, passed=held, details=asdict(room) | {"p95": room.p95})


@contextlib.contextmanager
def _seats(count: int, home: str) -> Iterator[list[Seat]]:
    """Open kernels one after another, and shut down each of them in any case."""
    seats: list[Seat] = []
    try:
        for _ in range(count):
            seats.append(Seat(home))  # noqa: PERF401 - started kernels are shut down even if the next one fails to start
        yield seats
    finally:
        for seat in seats:
            with contextlib.suppress(Exception):
                seat.close()


def _at_once(seats: Sequence[Seat], work: Callable[[Seat], Answer]) -> list[Answer]:
    """Run some work in all seats at the same time."""
    with ThreadPoolExecutor(len(seats)) as pool:
        return list(pool.map(work, seats))


def _silent(_message: object) -> None:
    """Discard the output of a cell."""
