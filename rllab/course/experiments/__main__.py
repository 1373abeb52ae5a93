"""Run experiments at workshop size and keep what they gave: `python -m rllab.course.experiments NAME ...`.

A name with a size behind it, such as x17-tales, is the same experiment at that size.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from rllab.core.errors import LabError
from rllab.course.experiments.recorded import record

FURTHER = ("x17-tales",)  # experiments that have one more size worth keeping


def known() -> list[str]:
    """List the experiments by the names of their modules, and those of a further size."""
    return sorted([*(path.stem for path in Path(__file__).parent.glob("x[0-9]*.py")), *FURTHER])


def main() -> int:
    """Run each experiment and keep its result."""
    parser = argparse.ArgumentParser(prog="python -m rllab.course.experiments", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=known(), help=", ".join(known()))
    for name in parser.parse_args().names:
        stem, _, further = name.partition("-")
        module = importlib.import_module(f"rllab.course.experiments.{stem}")
        size = getattr(module, (further or "workshop").upper())
        began = time.perf_counter()
        try:
            result = module.run(size, progress=_say)
        except LabError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 2
        record(name, size, result, seconds=time.perf_counter() - began)
        sys.stderr.write(f"{name}: kept\n")
    return 0


def _say(done: int, total: int, text: str) -> None:
    sys.stderr.write(f"  {done} of {total}: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
