"""50 interrupts and 100 double-clicks in a browser: runs stop within a second, start only once, leave no thread."""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Locator, expect

from benchmarks.result import Result
from tests.e2e.lab import Notebook, running_browser, running_lab, write_notebook

INTERRUPTS, CLICKS, LIMIT, LONG = 50, 100, 1.0, 60_000  # LIMIT in seconds, LONG in milliseconds
CELLS = (
    "import threading\nfrom rllab import load_world\nfrom rllab.widgets import TrainingPanel",
    "def running():\n    return sum(one.name.startswith('rllab-job') for one in threading.enumerate())",
    "panel = TrainingPanel(load_world('micro'), updates=100_000)\npanel",
)
IDLE = re.compile("^(Start|Go on)$")
INTERRUPT = "() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.interrupt()"
# From the call until the main button offers a start again, in milliseconds of the page's clock.
TIMED = """(panel) => {
  const begun = performance.now(), main = () => panel.querySelector('button.main').textContent.trim();
  return new Promise((resolve) => {
    const look = () => /^(Start|Go on)/.test(main()) ? resolve(performance.now() - begun) : setTimeout(look, 5);
    look();
  });
}"""


def measure() -> Result:
    """Interrupt runs alternately by button and by kernel, and double-click Start."""
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder)) as lab, running_browser() as browser:
        write_notebook(lab.folder / "stop.ipynb", *CELLS)
        notebook = Notebook.open(browser, lab, "stop.ipynb")
        notebook.run_all()
        panel = notebook.panel("Training")
        panel.locator(".main-svg").first.wait_for(timeout=LONG)
        seconds = [stop_seconds(notebook, panel, by_kernel=bool(place % 2)) for place in range(INTERRUPTS)]
        most = max(double_click(notebook, panel) for _ in range(CLICKS))
        left = threads_left(notebook)
        notebook.close()
    slow = sum(one > LIMIT for one in seconds)
    return Result(
        claim="a run in the browser stops within a second, a double-click starts only one run, and no thread is left",
        target=f"{INTERRUPTS} interrupts, at most {LIMIT:g} s each; {CLICKS} double-clicks, one run each; no thread",
        figure=f"slowest {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s, {slow} above {LIMIT:g} s; at "
        f"most {most} run at a time; {left} threads left",
        passed=slow == 0 and most == 1 and left == 0,
        details={"seconds": [round(one, 3) for one in seconds], "most": most, "left": left},
    )


def stop_seconds(notebook: Notebook, panel: Locator, *, by_kernel: bool) -> float:
    """Start a run, let it train for a while, and return the seconds from the stop request to its end."""
    panel.get_by_role("button", name=IDLE).click()
    expect(panel.get_by_role("button", name="Pause")).to_be_enabled(timeout=LONG)
    time.sleep(0.2 + 0.02 * (notebook.value("panel.trainer.index") % 10))  # at different phases of an update
    began = time.perf_counter()
    if by_kernel:
        notebook.page.evaluate(INTERRUPT)
    else:
        panel.get_by_role("button", name="Stop").click()
    panel.evaluate(TIMED)
    return time.perf_counter() - began


def double_click(notebook: Notebook, panel: Locator) -> int:
    """Double-click the main button; return the largest number of simultaneous runs until the panel is idle."""
    panel.get_by_role("button", name=IDLE).dblclick()
    most = 0
    while True:
        most = max(most, int(notebook.value("running()")))
        if not notebook.value("panel.busy"):
            expect(panel.get_by_role("button", name=IDLE)).to_be_enabled(timeout=LONG)
            return most
        if not notebook.value("panel.pausing"):
            panel.get_by_role("button", name="Stop").click()


def threads_left(notebook: Notebook) -> int:
    """Return the number of the lab's threads once the panel is idle."""
    time.sleep(1.0)
    names = "[one.name for one in threading.enumerate() if one.name.startswith('rllab-')]"
    return len(notebook.value(names))
