"""Run everything that has to hold: `python lab.py test` installs what this needs and starts it.

Fetching the real model (90 MB, once), linting, types, the tests, then the browser tests in a pytest process of
their own (a live browser leaves an event loop behind that would break other tests). Both share the cores, the browser
tests file by file. Every check runs even if one before failed.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.browser import NoBrowserError, in_ci, ready_browser

ROOT = Path(__file__).resolve().parent.parent
E2E = "tests/e2e"
SHARED = ["-n", str(min(4, os.cpu_count() or 1)), "--dist"]
CHECKS = {
    "smollm2": ["rllab", "fetch", "smollm2"],
    "ruff": ["ruff", "check", "."],
    "mypy": ["mypy"],
    "pytest": ["pytest", *SHARED, "worksteal"],
    "browser": ["pytest", E2E, *SHARED, "loadfile"],
}


class Outcome(NamedTuple):
    """How one check ended."""

    name: str
    passed: bool
    seconds: float
    closing_line: str


def run(name: str, module: list[str]) -> Outcome:
    """Run one tool with this Python, showing its output as it comes."""
    print(f"\n== {name} ==", flush=True)
    began, last = time.monotonic(), ""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return Outcome(name, process.returncode == 0, time.monotonic() - began, last)


def fetch_model() -> Outcome:
    """Fetch the real model once, or say in one line why its few tests do not run: that is no failure."""
    fetched = run("smollm2", CHECKS["smollm2"])
    line = fetched.closing_line if fetched.passed else f"its tests did not run: {fetched.closing_line}"
    return fetched._replace(passed=True, closing_line=line)


def run_browser_tests() -> Outcome:
    """Run the browser tests, or say in one line why they do not run: in CI that is a failure."""
    try:
        print(f"\nBrowser: {ready_browser()}")
    except NoBrowserError as reason:
        return Outcome("browser", not in_ci(), 0.0, f"{E2E} did not run: {reason}")
    return run("browser", CHECKS["browser"])


def main() -> int:
    """Run all checks and print how each ended; pytest's closing lines stand last."""
    outcomes = [fetch_model(), *(run(name, CHECKS[name]) for name in ("ruff", "mypy", "pytest"))]
    outcomes.append(run_browser_tests())
    print("\n== all checks ==")
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "FAILED"
        print(f"{outcome.name:<8} {verdict}  {outcome.seconds:6.1f} s  {outcome.closing_line}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
