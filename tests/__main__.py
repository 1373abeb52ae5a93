"""Run everything that has to hold: `python lab.py test` installs what this needs and starts it.

Fetching the real model (90 MB, once) and a browser while style, types and the page's JavaScript are checked (the last
where Node is installed, and always in CI), the tests, then the browser tests in a pytest process of their own (a live
browser leaves an event loop behind that would break other tests). Both share the cores, the browser tests file by file.
Every check runs even if one before failed.

A test that fails is run once more with nothing beside it: a clock on shared cores can mislead. Both ends are told.
"""

import contextlib
import io
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TextIO

from tests.browser import NoBrowserError, in_ci, ready_browser

ROOT = Path(__file__).resolve().parent.parent
E2E = "tests/e2e"
CORES = min(4, os.cpu_count() or 1)
CHECKS = {
    "smollm2": ["rllab", "fetch", "smollm2"],
    "ruff": ["ruff", "check", "."],
    "mypy": ["mypy"],
    "page": ["tests.page"],
    "pytest": ["pytest", "-n", str(CORES), "--dist", "worksteal"],
    "browser": ["pytest", E2E, "-n", str(CORES), "--dist", "loadfile"],
}
ALONE = ["--last-failed", "--last-failed-no-failures", "none", "-n", "0"]


class Outcome(NamedTuple):
    """How one check ended."""

    name: str
    passed: bool
    seconds: float
    closing_line: str


def run(name: str, module: list[str], *, shown: TextIO | None = None) -> Outcome:
    """Run one tool with this Python, showing its output as it comes, on the screen or elsewhere."""
    print(f"\n== {name} ==", file=shown, flush=True)
    began, last = time.monotonic(), ""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout:
            print(line, end="", file=shown, flush=True)
            last = line.strip() or last
    return Outcome(name, process.returncode == 0, time.monotonic() - began, last)


def run_tests(name: str) -> Outcome:
    """Run tests on all cores; run failed tests again one by one, and report both outcomes."""
    first = run(name, CHECKS[name])
    if first.passed:
        return first
    second = run(f"{name}: what failed, one by one", [*CHECKS[name], *ALONE])
    line = f"on all cores: {first.closing_line.strip('= ')}; what failed, one by one: {second.closing_line.strip('= ')}"
    return Outcome(name, second.passed, first.seconds + second.seconds, line)


def fetch_model(shown: TextIO) -> Outcome:
    """Fetch the real model once, or print why its tests are skipped, which is not a failure."""
    fetched = run("smollm2", CHECKS["smollm2"], shown=shown)
    line = fetched.closing_line if fetched.passed else f"its tests did not run: {fetched.closing_line}"
    return fetched._replace(passed=True, closing_line=line)


def fetch(shown: TextIO) -> Outcome:
    """Download what the tests need; a missing browser is reported when its tests would run."""
    model = fetch_model(shown)
    with contextlib.suppress(NoBrowserError):
        ready_browser()
    return model


def run_while_fetching(*names: str) -> list[Outcome]:
    """Run the checks that need no download while the downloads run, then print the downloads' output."""
    with ThreadPoolExecutor(1) as beside, io.StringIO() as said:
        model = beside.submit(fetch, said)
        outcomes = [run(name, CHECKS[name]) for name in names]
        first = model.result()
        print(said.getvalue(), end="", flush=True)
    return [first, *outcomes]


def run_browser_tests() -> Outcome:
    """Run the browser tests, or print why they cannot run, which is a failure in CI."""
    try:
        print(f"\nBrowser: {ready_browser()}")
    except NoBrowserError as reason:
        return Outcome("browser", not in_ci(), 0.0, f"{E2E} did not run: {reason}")
    return run_tests("browser")


def main() -> int:
    """Run all checks and print the result of each; pytest's closing lines come last."""
    outcomes = [*run_while_fetching("ruff", "mypy", "page"), run_tests("pytest"), run_browser_tests()]
    print("\n== all checks ==")
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "FAILED"
        print(f"{outcome.name:<8} {verdict}  {outcome.seconds:6.1f} s  {outcome.closing_line}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
