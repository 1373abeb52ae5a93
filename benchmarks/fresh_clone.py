"""A fresh clone in a fresh environment opens the tour with working widgets, and its tests pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

from benchmarks.result import ROOT, Result
from tests.browser import ready_browser

CLAIM = "In a fresh clone `python lab.py` serves the tour with working widgets, and `python lab.py test` passes"
TEST_SECONDS = 900
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
IDLE = "Python 3 (ipykernel) | Idle"
WIDGET = ".jp-OutputArea-output section.rllab"


def measure() -> Result:
    """Clone the committed files, open the tour with lab.py, count its widgets, and run the tests."""
    with tempfile.TemporaryDirectory(prefix="rllab-clone-") as folder:
        clone = Path(folder) / "rllab"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        opened, widgets = open_tour(clone)
        began = time.monotonic()
        status, closing = run_tests(clone)
        tested = time.monotonic() - began
    return Result(
        claim=CLAIM,
        target=f"widgets drawn; tests pass in under {TEST_SECONDS} s",
        figure=f"tour served after {opened:.0f} s, {widgets} widgets drawn; tests ended with status {status} "
        f"after {tested:.0f} s ({closing})",
        passed=widgets > 0 and status == 0 and tested < TEST_SECONDS,
        details={"opened_seconds": opened, "widgets": widgets, "test_seconds": tested, "test_status": status},
    )


def bare_python() -> str:
    """Return the base Python, outside any virtual environment."""
    return str(Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3"))


def bare_environment() -> dict[str, str]:
    """Return the environment variables of a new user without a screen."""
    ours = {"VIRTUAL_ENV", "PYTHONPATH", "DISPLAY", "WAYLAND_DISPLAY", "RLLAB_HOME", "RLLAB_DATA"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"CI": "true"}


def open_tour(clone: Path) -> tuple[float, int]:
    """Start lab.py in the clone; return the seconds until the tour is served, and the number of widgets it draws."""
    began = time.monotonic()
    command = [bare_python(), "lab.py"]
    with subprocess.Popen(command, cwd=clone, env=bare_environment(), stdout=subprocess.PIPE, text=True) as door:
        try:
            address = wait_for_address(door)
            seconds = time.monotonic() - began
            return seconds, count_widgets(address)
        finally:
            door.terminate()
            door.communicate()


def wait_for_address(door: subprocess.Popen[str]) -> str:
    """Return the address that the door prints."""
    for line in door.stdout or ():
        print(line, end="", flush=True)
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise RuntimeError("lab.py ended without an address")


def count_widgets(address: str) -> int:
    """Run all cells of the tour in a browser, and count the widgets that are drawn."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ready_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        try:
            page.goto(address)
            page.get_by_text(IDLE).wait_for(timeout=90_000)
            run_all_cells(page)
            return page.locator(WIDGET).count()
        finally:
            browser.close()


def run_all_cells(page: Page) -> None:
    """Choose Run All Cells in the menu, and wait for the first widget."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    try:
        page.locator(WIDGET).first.wait_for(timeout=90_000)
        page.get_by_text(IDLE).wait_for(timeout=90_000)
    except Error as error:
        raise RuntimeError(f"no widget was drawn: {error.message.splitlines()[0]}") from error


def run_tests(clone: Path) -> tuple[int, str]:
    """Run the tests in the clone; return their exit status and the last line that they print."""
    command, last = [bare_python(), "lab.py", "test"], ""
    with subprocess.Popen(command, cwd=clone, env=bare_environment(), stdout=subprocess.PIPE, text=True) as tests:
        for line in tests.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return tests.returncode, last
