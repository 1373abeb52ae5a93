"""Run experiments at WORKSHOP size and record the results: `python -m rllab.course.experiments NAME ...`.

A name with a size after a dash, such as critic_foresight-tales, is the same experiment at that size.
"""

from __future__ import annotations

import argparse
import sys
import time

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.course.experiments import NAMES, load_experiment, record

RECORDED = (*NAMES, "critic_foresight-tales")  # one experiment has a further size that is recorded


def main() -> int:
    """Run each experiment and record its result."""
    parser = argparse.ArgumentParser(prog="python -m rllab.course.experiments", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=RECORDED, help=", ".join(RECORDED))
    for name in parser.parse_args().names:
        stem, _, further = name.partition("-")
        experiment = load_experiment(stem)
        size = getattr(experiment, (further or "workshop").upper())
        began = time.perf_counter()
        try:
            result = experiment.run(size, job=Job(report=_print_progress))
        except LabError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 2
        record(name, size, result, seconds=time.perf_counter() - began)
        sys.stderr.write(f"{name}: recorded\n")
    return 0


def _print_progress(done: int, total: int, text: str) -> None:
    sys.stderr.write(f"  {done} of {total}: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
