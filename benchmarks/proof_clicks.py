"""Click-to-screen latency of Step: short enough to follow by eye, however long the line of text is."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator

from benchmarks.result import Result
from rllab.worlds import load_world
from rllab.worlds.machine import set_threads_once
from rllab.worlds.stepper import Stepper
from tests.e2e.lab import Notebook, Server, running_browser, running_lab, write_notebook

STEPS, WARM_UP, REPEATS = 100, 5, 30
LIMITS = {"micro": 100.0, "tales": 100.0, "smollm2": 300.0}  # milliseconds, 95th percentile
EARLY, LATE, RATIO = 10, 499, 1.5
LONG = LATE + 2  # maximum length of a line in tokens, so that it has not ended after the late step

# From the time stamp of the click to the first task after the frame that shows the new token.
ARM = """(panel) => {
  const strip = panel.querySelector('.strip'), before = strip.querySelectorAll('[role=option]').length;
  window.rllabTimed = new Promise((resolve, reject) => {
    let began = 0;
    setTimeout(() => reject(new Error('no new token was drawn')), 20000);
    panel.addEventListener('click', (event) => { began = event.timeStamp; }, {capture: true, once: true});
    const painted = () => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve(performance.now() - began);
      channel.port2.postMessage(null);
    });
    const watch = new MutationObserver(() => {
      if (strip.querySelectorAll('[role=option]').length === before) return;
      watch.disconnect();
      painted();
    });
    watch.observe(strip, {childList: true, subtree: true});
  });
}"""
# A line of `length` tokens without the end token, after which the next step does not sample the end token either.
WRITE = """
def written(panel, length):
    panel.begin(panel.stepper.prompt)
    stepper, end = panel.stepper, panel.stepper.world.policy.eos_id
    for _ in range(length - 1):
        stepper.step(next(token for token in stepper.state.candidate_ids if token != end))
    for token in [token for token in stepper.state.candidate_ids if token != end]:
        stepper.step(token)
        stepper.step()
        over = stepper.done
        stepper.back()
        if not over:
            break
        stepper.back()
    panel.choose_state(len(stepper.steps))
    panel.refresh()
    return len(stepper.steps)
"""


@dataclass(frozen=True)
class Clicks:
    """Milliseconds from click to pixels, over many clicks."""

    median: float
    p95: float
    slowest: float

    @classmethod
    def of(cls, spent: list[float]) -> Clicks:
        """Return the summary of single clicks."""
        return cls(statistics.median(spent), statistics.quantiles(spent, n=20)[-1], max(spent))


def measure() -> Result:
    """Time clicks in a real browser: 100 steps in each world, then early and late steps in a long line of tales."""
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder)) as server, running_browser() as browser:
        clicks = {name: in_world(browser, server, name) for name in LIMITS}
        early, late = in_a_long_line(browser, server)
    headless = late_over_early()
    flat = late.median / early.median
    quick = all(clicks[name].p95 <= limit for name, limit in LIMITS.items())
    shown = ", ".join(f"{name} {click.p95:.0f} ms (median {click.median:.0f})" for name, click in clicks.items())
    return Result(
        claim=f"click-to-screen latency of Step over {STEPS} steps, and at token {LATE + 1} compared to token {EARLY}",
        target=", ".join(f"{name} {limit:g} ms" for name, limit in LIMITS.items())
        + f" at the 95th percentile; late over early at most {RATIO:g}, in the browser and without it",
        figure=f"95th percentile: {shown}; late over early: {flat:.2f} in the browser "
        f"({late.median:.0f} over {early.median:.0f} ms), {headless:.2f} without",
        passed=quick and flat <= RATIO and headless <= RATIO,
        details={name: asdict(click) for name, click in (clicks | {"early": early, "late": late}).items()}
        | {"headless late over early": headless},
    )


def in_world(browser: Browser, server: Server, name: str) -> Clicks:
    """Step through lines of a world until 100 steps are timed; starting a new line is not timed."""
    notebook, panel = opened(browser, server, name, f"load_world({name!r})")
    step, new_seed = button(panel, "Step"), button(panel, "New seed")
    spent: list[float] = []
    while len(spent) < STEPS + WARM_UP:
        if step.get_attribute("aria-disabled") == "true":
            new_seed.click()
            panel.locator(".bars button").first.wait_for()
        spent.append(timed(notebook, panel, step))
    notebook.close()
    return Clicks.of(spent[WARM_UP:])


def in_a_long_line(browser: Browser, server: Server) -> tuple[Clicks, Clicks]:
    """Time the same step repeatedly, early and late in a line; the Back between two steps is not timed."""
    world = f"load_world('tales').replace(max_new_tokens={LONG})"
    notebook, panel = opened(browser, server, "long", world)
    found = []
    for length in (EARLY, LATE):
        if notebook.value(f"written(panel, {length})") != length:
            raise ValueError(f"every line of {length} tokens ends with the next step")
        options = panel.locator(".strip [role=option]")
        spent = []
        for _ in range(REPEATS + WARM_UP):
            options.nth(length).wait_for(state="attached")
            spent.append(timed(notebook, panel, button(panel, "Step")))
            button(panel, "Back").click()
            options.nth(length + 1).wait_for(state="detached")
        found.append(Clicks.of(spent[WARM_UP:]))
    notebook.close()
    return found[0], found[1]


def late_over_early() -> float:
    """Return the ratio of late to early step times in a line, without a browser."""
    set_threads_once()
    stepper = Stepper(load_world("tales").replace(max_new_tokens=LONG))
    medians = []
    for length in (EARLY, LATE):
        while len(stepper.steps) < length:
            state = stepper.state
            stepper.step(next(token for token in state.candidate_ids if token != stepper.world.policy.eos_id))
        spent = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            stepper.step()
            spent.append(time.perf_counter() - began)
            stepper.back()
        medians.append(statistics.median(spent))
    return medians[1] / medians[0]


def opened(browser: Browser, server: Server, name: str, world: str) -> tuple[Notebook, Locator]:
    """Open a notebook with one stepper on a world."""
    cells = ["from rllab import load_world\nfrom rllab.widgets import StepperPanel", WRITE]
    write_notebook(server.folder / f"{name}.ipynb", *cells, f"panel = StepperPanel({world})\npanel")
    notebook = Notebook.open(browser, server, f"{name}.ipynb")
    notebook.run_all()
    panel = notebook.panel("Token stepper")
    panel.locator(".main-svg").first.wait_for(timeout=120_000)
    return notebook, panel


def button(panel: Locator, name: str) -> Locator:
    """Return the button of a panel with exactly this name."""
    return panel.get_by_role("button", name=name, exact=True)


def timed(notebook: Notebook, panel: Locator, target: Locator) -> float:
    """Click once with the mouse, and return the milliseconds until the new token is painted."""
    panel.evaluate(ARM)
    target.click()
    milliseconds: float = notebook.page.evaluate("() => window.rllabTimed")
    notebook.page.wait_for_timeout(50)  # the remaining work belongs to this step, not to the next
    return milliseconds
