"""Run measurements and write docs/proof.md: `python lab.py proof [NAME ...]`.

Each measurement runs in a separate Python process, so that none inherits the memory or the threads of
another. Rows that are not measured now keep their figures and dates.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from benchmarks.result import ROOT, Result, Row
from rllab.core.errors import LabError
from rllab.core.files import write_atomically

ROWS = ROOT / "docs" / "proof.json"
PAGE = ROOT / "docs" / "proof.md"
NOT_MEASUREMENTS = {"__init__", "__main__", "result"}
WIDTH, LINES = 110, 3  # characters per line, and lines of a target or a figure; proof.json has both in full
HEADER = """# Proof

Measurements that take too long for every test run are made by `python lab.py proof [NAME ...]`. Each section is one
claim with its target, the measured figure, the date and the machine; a claim that was not measured again keeps its
date. The full figures and the raw numbers are in proof.json.
"""


def known() -> list[str]:
    """Return the names of all measurements: those of their scripts."""
    names = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in names if name not in NOT_MEASUREMENTS)


def measure_here(name: str) -> Row:
    """Run one measurement in this process; if it raises, the row fails with the error as its figure."""
    script = importlib.import_module(f"benchmarks.{name}")
    began = time.monotonic()
    try:
        result: Result = script.measure()
    except Exception as error:  # noqa: BLE001 - any error becomes a failed row
        traceback.print_exc()
        claim = (script.__doc__ or name).splitlines()[0]
        result = Result(claim, "it finishes", f"{type(error).__name__}: {error}", passed=False)
    return Row.of(name, result, seconds=time.monotonic() - began)


def measure_apart(name: str) -> Row:
    """Run one measurement in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "row.json"
        command = [sys.executable, "-m", "benchmarks", "--into", str(answer), name]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if answer.is_file():
            return Row(**json.loads(answer.read_text("utf-8")))
    lost = Result(f"{name} finishes", "it finishes", f"its process ended with status {status}", passed=False)
    return Row.of(name, lost, seconds=0.0)


def read_rows(path: Path) -> dict[str, Row]:
    """Read the rows measured before."""
    if not path.is_file():
        return {}
    return {row["name"]: Row(**row) for row in json.loads(path.read_text("utf-8"))}


def shortened(text: str) -> str:
    """Return a text on one line of source, cut after a clause if it would take more than three lines."""
    plain, room = " ".join(text.split()), WIDTH * LINES
    if len(plain) <= room:
        return plain
    cut = max(plain.rfind("; ", 0, room), plain.rfind(", ", 0, room))
    return plain[: cut if cut > 0 else room] + " \u2026 (the rest is in proof.json)"


def section(row: Row) -> str:
    """Return one claim as a section of at most eight lines."""
    verdict = "Holds" if row.passed else "**Fails**"
    where = (
        f"{verdict}. Measured {row.date} in {row.seconds:.0f} s on {row.machine}; {row.versions}; commit {row.commit}."
    )
    items = (f"- Target: {shortened(row.target)}", f"- Figure: {shortened(row.figure)}", f"- {where}")
    return "\n".join((f"## `{row.name}`", "", shortened(row.claim), "", *items))


def page(rows: dict[str, Row]) -> str:
    """Return docs/proof.md, with one section per claim."""
    return "\n\n".join((HEADER.rstrip(), *(section(rows[name]) for name in sorted(rows)))) + "\n"


def keep(row: Row, *, rows_file: Path = ROWS, page_file: Path = PAGE) -> None:
    """Replace the earlier row of the same name, and render the page."""
    rows = read_rows(rows_file) | {row.name: row}
    in_order = [asdict(rows[name]) for name in sorted(rows)]
    write_atomically(rows_file, json.dumps(in_order, indent=1, ensure_ascii=False) + "\n")
    write_atomically(page_file, page(rows))


def choose(names: list[str]) -> list[str]:
    """Return the measurements to run; exit with a sentence if a name is unknown."""
    for name in names:
        if name not in known():
            sys.exit(f"proof: {LabError.choice('measurement', name, known())}")
    return names or known()


def main() -> int:
    """Measure, save each row at once, and return 0 if all claims hold, else 1."""
    parser = argparse.ArgumentParser(prog="lab.py proof", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(known())}")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = choose(options.names)
    if options.into:
        write_atomically(options.into, json.dumps(asdict(measure_here(names[0]))))
        return 0
    rows = []
    for name in names:
        print(f"\n== {name} ==", flush=True)
        rows.append(measure_apart(name))
        keep(rows[-1])
        print(f"{name}: {'holds' if rows[-1].passed else 'FAILS'}: {rows[-1].figure}", flush=True)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
