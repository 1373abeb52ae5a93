"""The command line: `python -m rllab doctor | build | fetch | train | compare`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job

BAD_INPUT, INTERRUPTED = 2, 130


@contextlib.contextmanager
def terminal_job() -> Iterator[Job]:
    """Return a job whose progress is drawn on the terminal.

    The first Ctrl-C requests a clean stop; a second one aborts.
    """
    from tqdm import tqdm

    stop, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame  # there is only one signal, and where it arrives does not matter
        stop.set()
        signal.signal(signal.SIGINT, before)

    with tqdm(dynamic_ncols=True, unit_scale=True) as bar:

        def show(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_description_str(text, refresh=False)
            bar.update(done - bar.n)

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield Job(stop, show)
        finally:
            signal.signal(signal.SIGINT, before)


def doctor(options: argparse.Namespace) -> int:
    """Say what is in place and what is missing."""
    from rllab.cli.doctor import main as report

    if options.workshop:
        from rllab.cli.preflight import workshop

        return report(workshop, strict=True)
    return report()


def build(options: argparse.Namespace) -> int:
    """Make a world's models from its grammar, or measure the checkup's healthy ranges."""
    from rllab.course.recipes import build as make

    with terminal_job() as job:
        make(options.world, job=job)
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download a model once; afterwards no network is needed."""
    from rllab.worlds.fetch import fetch as download
    from rllab.worlds.fetch import notice

    print(notice(options.model), flush=True)
    with terminal_job() as job:
        folder = download(options.model, job=job)
    print(f"It is in {folder}.")
    return 0


def train(options: argparse.Namespace) -> int:
    """Train without a notebook, every update kept in a folder; Ctrl-C saves, --resume goes on."""
    from rllab.cli.train import Order, begin, go_on
    from rllab.cli.train import train as run

    order = Order(options.world, options.algorithm, options.config, options.seed, options.out)
    if options.resume is None:
        trainer, folder = begin(order)
    else:
        trainer, folder = go_on(options.resume, order), options.resume
    with terminal_job() as job:
        said = run(trainer, folder, options.updates, job=job)
    print(said)
    return INTERRUPTED if job.stopped else 0


def compare(options: argparse.Namespace) -> int:
    """Lay runs over one another: what they were asked differently, and their curves."""
    from rllab.cli.train import compare as lay_over

    print(lay_over(options.runs))
    return 0


def _add_doctor(looking: argparse.ArgumentParser) -> None:
    looking.add_argument("--workshop", action="store_true", help="run the tour too; status 1 if something is missing")
    looking.set_defaults(run=doctor)


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    top = argparse.ArgumentParser(
        prog="python -m rllab", description="See, build and fetch what the lab runs on, and train."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_doctor(commands.add_parser("doctor", help=doctor.__doc__))
    making = commands.add_parser("build", help=build.__doc__)
    making.add_argument("world", help="micro, tales or checkup")
    making.set_defaults(run=build)
    fetching = commands.add_parser("fetch", help=fetch.__doc__)
    fetching.add_argument("model", help="smollm2, or a hub id such as owner/name")
    fetching.set_defaults(run=fetch)
    training = commands.add_parser("train", help=train.__doc__)
    training.add_argument("--world", help="micro, micro-tabular, tales, smollm2, or a model's folder or hub id")
    training.add_argument("--algorithm", help="reinforce, a2c, ppo (usual), rloo or grpo")
    training.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML, one `name = value` a line")
    training.add_argument("--seed", type=int, help="0 if left away")
    training.add_argument("--updates", type=int, default=60, help="how many in all (60)")
    training.add_argument("--out", type=Path, metavar="RUN", help="folder of the run; left away, one in RLLAB_HOME")
    training.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    training.set_defaults(run=train)
    comparing = commands.add_parser("compare", help=compare.__doc__)
    comparing.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders that `train` has made")
    comparing.set_defaults(run=compare)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a bad input is told in one sentence, without a traceback."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except LabError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed; run: python lab.py setup", file=sys.stderr)
        return BAD_INPUT
    except (KeyboardInterrupt, Stopped):
        print("Stopped; what was begun is discarded.", file=sys.stderr)
        return INTERRUPTED


def installed_python() -> str | None:
    """Return the Python into which `lab.py` installed, where this one lacks the packages; else None."""
    python = (
        Path(__file__).resolve().parent.parent / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    )
    return None if importlib.util.find_spec("torch") or not python.exists() else str(python)


if __name__ == "__main__":
    other = installed_python()
    sys.exit(subprocess.call([other, "-m", "rllab", *sys.argv[1:]]) if other else main())  # noqa: S603 - our own words
