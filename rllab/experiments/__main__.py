"""Run experiments at workshop size and keep what they gave: `python -m rllab.experiments NAME ...`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from rllab.errors import LabError
from rllab.experiments.recorded import record


def known() -> list[str]:
    """List the experiments by the names of their modules."""
    return sorted(path.stem for path in Path(__file__).parent.glob("x[0-9]*.py"))


def main() -> int:
    """Run each experiment and keep its result."""
    parser = argparse.ArgumentParser(prog="python -m rllab.experiments", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=known(), help=", ".join(known()))
    for name in parser.parse_args().names:
        module = importlib.import_module(f"rllab.experiments.{name}")
        began = time.perf_counter()
        try:
            result = module.run(module.WORKSHOP, progress=_say)
        except LabError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 2
        record(name, module.WORKSHOP, result, seconds=time.perf_counter() - began)
        sys.stderr.write(f"{name}: kept\n")
    return 0


def _say(done: int, total: int, text: str) -> None:
    sys.stderr.write(f"  {done} of {total}: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
