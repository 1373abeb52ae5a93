"""The commands: `python -m rllab doctor | notebooks | fetch | train | compare | build`.

Heavy packages are imported by the command that needs them, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from rllab.cli.install import how_to_install
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job

BAD_INPUT, INTERRUPTED = 2, 130


@contextlib.contextmanager
def terminal_job() -> Iterator[Job]:
    """Yield a job whose progress is drawn on the terminal.

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
    """Report what is installed and how to fix what is missing."""
    from rllab.cli.doctor import main as report

    if options.workshop:
        from rllab.cli.preflight import workshop

        return report(workshop, strict=True)
    return report()


def notebooks(options: argparse.Namespace) -> int:
    """Copy the notebooks into a folder of yours."""
    from rllab.cli.notebooks import copy_notebooks

    copies = copy_notebooks(options.folder)
    print(f"{len(copies)} notebooks are in {options.folder}; begin with {copies[0].name}.")
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download a model once; after that no network is needed."""
    from rllab.worlds.fetch import fetch as download
    from rllab.worlds.fetch import notice

    print(notice(options.model), flush=True)
    with terminal_job() as job:
        folder = download(options.model, job=job)
    print(f"It is in {folder}.")
    return 0


def train(options: argparse.Namespace) -> int:
    """Train without a notebook and save every update; Ctrl-C saves too, --resume continues."""
    from rllab.cli.train import Order, begin, go_on
    from rllab.cli.train import train as run

    order = Order(options.world, options.algorithm, options.config, options.seed, options.out)
    if options.resume is None:
        trainer, folder = begin(order)
    else:
        trainer, folder = go_on(options.resume, order), options.resume
    with terminal_job() as job:
        report = run(trainer, folder, options.updates, job=job)
    print(report)
    return INTERRUPTED if job.stopped else 0


def compare(options: argparse.Namespace) -> int:
    """Compare runs: their different settings, and their curves."""
    from rllab.cli.train import compare as table

    print(table(options.runs))
    return 0


def build(options: argparse.Namespace) -> int:
    """Rebuild a world's models from its grammar, or measure the healthy ranges of the checkup."""
    from rllab.course.recipes import build as make

    with terminal_job() as job:
        make(options.world, job=job)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m rllab", description="Check the installation, copy notebooks, fetch models, train and compare."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(run: object, name: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__)
        added.set_defaults(run=run)
        return added

    checking = command(doctor, "doctor")
    checking.add_argument("--workshop", action="store_true", help="also run the tour; status 1 if something is missing")
    copying = command(notebooks, "notebooks")
    copying.add_argument("folder", type=Path, metavar="DIR", help="where to; changed notebooks are never replaced")
    fetching = command(fetch, "fetch")
    fetching.add_argument("model", help="smollm2, or a hub id such as owner/name")
    _add_train(command(train, "train"))
    comparing = command(compare, "compare")
    comparing.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders that `train` has written")
    building = command(build, "build")
    building.add_argument("world", help="micro, tales or checkup")
    return top


def _add_train(training: argparse.ArgumentParser) -> None:
    training.add_argument("--world", help="micro, micro-tabular, tales, smollm2, or a model's folder or hub id")
    training.add_argument("--algorithm", help="reinforce, a2c, ppo, rloo or grpo (default: ppo)")
    training.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML, one `name = value` per line")
    training.add_argument("--seed", type=int, help="default: 0")
    training.add_argument("--updates", type=int, default=60, help="number of updates in all (default: 60)")
    training.add_argument("--out", type=Path, metavar="RUN", help="its folder (default: a new folder in RLLAB_HOME)")
    training.add_argument("--resume", type=Path, metavar="RUN", help="continue the run in this folder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a bad input is reported in one sentence, without a traceback.

    Args:
        arguments: The words after the program's name; those of the process if None.

    Returns:
        The exit status: 0, 2 for a bad input, 130 after an interrupt, 1 for a failed check.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except LabError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed; {how_to_install(str(error.name))}", file=sys.stderr)
        return BAD_INPUT
    except (KeyboardInterrupt, Stopped):
        print("Stopped; partial work was discarded.", file=sys.stderr)
        return INTERRUPTED
