"""The preflight check of a workshop: run the tour as a learner does, without a screen, and report what fails.

Every cell runs in a fresh kernel; then a token is stepped and one update is trained, through the panels.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from rllab.cli.doctor import GIB, NOTEBOOK_GIB, Finding, examine
from rllab.cli.install import ROOT, how_to_install
from rllab.core.files import home_dir, shipped_dir

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

TOUR = shipped_dir("notebooks") / "00_tour.ipynb"
PATIENCE = 300.0  # seconds for one cell: the first one imports torch from a cold disk
SERVER_PATIENCE = 120.0  # seconds until JupyterLab has to answer
SLOW_STEP, FREE_GIB = 1.0, 2.0
PRESS = "stepper.press('step')\nassert not stepper.alert, stepper.alert"
TRAIN = "training.trainer.run(1)\ntraining.refresh()\nassert not training.alert, training.alert"
AGAIN = "run the doctor without --workshop and do what it says; then run this check again"


def workshop() -> Iterator[Finding]:
    """Yield what the doctor finds, and then what a learner would find."""
    yield from examine()
    yield from run_tour()


def run_tour(notebook: Path = TOUR) -> Iterator[Finding]:
    """Yield what a learner would find, in that order."""
    yield disk()
    if not notebook.is_file():
        yield Finding("tour", f"{notebook} does not exist", "take a whole copy of the repository")
        return
    if importlib.util.find_spec("jupyterlab") is None:
        yield Finding("server", "JupyterLab is not installed", how_to_install("jupyterlab"))
        return
    yield server(notebook)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, _kernel(home) as kernel:
        found = _cells(kernel, notebook)
        yield found
        if found.ok:
            yield _timed(kernel, "step", "a token is written and drawn", PRESS, most=SLOW_STEP)
            yield _timed(kernel, "train", "one update of PPO on the stories", TRAIN)
            yield _memory(kernel)


class Kernel:
    """A kernel with its client."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager, self.client = manager, manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, source: str) -> str:
        """Run code and return its error, or an empty text."""
        reply = self.client.execute_interactive(source, timeout=PATIENCE, output_hook=lambda _: None)
        content = reply["content"]
        return "" if content["status"] == "ok" else f"{content['ename']}: {content['evalue']}"


@contextlib.contextmanager
def _kernel(home: str) -> Iterator[Kernel]:
    """Yield a new kernel that has its own RLLAB_HOME."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = os.environ | {"PYTHONPATH": path, "RLLAB_HOME": home}
    manager.start_kernel(env=variables, cwd=home, stderr=subprocess.DEVNULL)  # its warnings are not for learners
    try:
        yield Kernel(manager)
    finally:
        manager.shutdown_kernel(now=True)


def _cells(kernel: Kernel, notebook: Path) -> Finding:
    """Run every cell and report the first that fails."""
    content = json.loads(notebook.read_text("utf-8"))
    sources = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    began = time.perf_counter()
    for number, source in enumerate(sources, 1):
        trouble = kernel.run(source)
        if trouble:
            return Finding("tour", f"code cell {number} of {notebook.name} stops with {trouble}", AGAIN)
    return Finding("tour", f"{len(sources)} cells of {notebook.name} ran in {time.perf_counter() - began:.0f} s")


def _timed(kernel: Kernel, topic: str, what: str, source: str, *, most: float = PATIENCE) -> Finding:
    """Do something through a panel and report how long it took."""
    began = time.perf_counter()
    trouble = kernel.run(source)
    seconds = time.perf_counter() - began
    if trouble:
        return Finding(topic, f"{what}: {trouble}", AGAIN)
    slow = "close other programs: learners will wait for every token" if seconds > most else ""
    return Finding(topic, f"{what} in {seconds:.2f} s", slow)


def _memory(kernel: Kernel) -> Finding:
    """Report how much memory the kernel takes by now."""
    import psutil

    provisioner = kernel.manager.provisioner
    used = psutil.Process(getattr(provisioner, "pid", None)).memory_full_info().uss / GIB
    text = f"the tour's kernel has {used:.2f} GiB for itself after one update"
    return Finding("seat", text, "" if used <= NOTEBOOK_GIB else "close other kernels before the workshop")


def server(notebook: Path) -> Finding:
    """Start JupyterLab on a free port and ask it for the page of a notebook."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, began = secrets.token_hex(16), time.perf_counter()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={notebook.parent}"]
    variables = os.environ | {"JUPYTER_TOKEN": token}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=variables, stdout=quiet, stderr=quiet) as process:  # noqa: S603 - our own words
        answered = _answers(f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={token}", process)
        process.terminate()
    if not answered:
        return Finding("server", "JupyterLab did not serve the notebook", "start `jupyter lab` by hand to see why")
    return Finding("server", f"JupyterLab served the notebook after {time.perf_counter() - began:.0f} s")


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Return whether an address is served before the server ends or the time is over."""
    deadline = time.monotonic() + SERVER_PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310 - our own server's address
                return int(page.status) == HTTPStatus.OK
        except OSError:
            time.sleep(0.2)
    return False


def disk() -> Finding:
    """Check that learners' answers and runs can be saved."""
    folder = home_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        return Finding("folder", f"{folder} cannot be written: {error}", "set RLLAB_HOME to a folder of yours")
    remedy = "" if free >= FREE_GIB else f"free some disk space: {FREE_GIB:g} GiB are needed for runs and checkpoints"
    return Finding("folder", f"answers and runs are kept in {folder}, {free:.0f} GiB free", remedy)
