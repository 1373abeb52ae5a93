"""In the browser, every exercise of every notebook explains each wrong answer and accepts the right one."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks.result import ROOT, Result
from tests.e2e.lab import Server, running_browser, running_lab
from tests.e2e.learner import Learner, names_of

CLAIM = (
    "In JupyterLab each listed wrong answer gets its own explanation, the right one passes, and each prediction runs"
)


def measure() -> Result:
    """Work through all notebooks with exercises, as a learner does."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = {"RLLAB_HOME": str(Path(folder) / "home")}
        with running_lab(Path(folder), environment=home) as server, running_browser() as browser:
            rows = [go_through(browser, server, path) for path in notebooks()]
    wrong, right, run = (sum(row[key] for row in rows) for key in ("wrong", "right", "predicted"))
    troubles = [trouble for row in rows for trouble in row["troubles"]]
    figure = f"{len(rows)} notebooks: {wrong} wrong answers, {right} exercises solved, {run} predictions run"
    return Result(
        claim=CLAIM,
        target="all of them, without an error in the page or a request to another machine",
        figure=figure + (f"; {len(troubles)} problems, the first: {troubles[0]}" if troubles else ""),
        passed=bool(rows) and not troubles,
        details={"notebooks": rows},
    )


def notebooks() -> list[Path]:
    """Return the notebooks that have exercises."""
    return [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if names_of(path)]


def go_through(browser: Browser, server: Server, path: Path) -> dict[str, Any]:
    """Answer all exercises of one notebook and run all its predictions; return the counts and the problems."""
    began = time.monotonic()
    learner = Learner.open(browser, server, path)
    row: dict[str, Any] = {"notebook": path.stem, "wrong": 0, "right": 0, "predicted": 0, "troubles": []}
    for exercise in learner.exercises:
        try:
            row["wrong"] += learner.answer_all(exercise)
            row["right"] += 1
        except Exception as error:  # noqa: BLE001 - the failure is reported and the other exercises are tried
            row["troubles"].append(f"{exercise.id}: {error}")
    for title in learner.predictions:
        try:
            learner.predict(title)
            row["predicted"] += 1
        except Exception as error:  # noqa: BLE001 - as above
            row["troubles"].append(f"{title}: {error}")
    row["troubles"] += [*learner.notebook.page_errors, *learner.notebook.outside_requests]
    learner.notebook.close()
    row["seconds"] = round(time.monotonic() - began, 1)
    print(row, flush=True)
    return row
