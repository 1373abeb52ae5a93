"""Run experiments at workshop size and keep what they gave: `python -m rllab.course.experiments NAME ...`.

A name with a size behind it, such as critic_foresight-tales, is the same experiment at that size.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.course.experiments import NAMES
from rllab.course.experiments.recorded import record

FURTHER = ("critic_foresight-tales",)  # experiments that have one more size worth keeping


def known() -> list[str]:
    """Return the names of the experiments, and those of a further size."""
    return [*NAMES, *FURTHER]


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
            result = module.run(size, job=Job(report=_say))
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
