"""The command line: `python -m rllab doctor | build | fetch`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

from rllab.errors import LabError, Stopped

BAD_INPUT, INTERRUPTED = 2, 130


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Draw progress(done, total, text) on the terminal."""
    from tqdm import tqdm

    with tqdm(dynamic_ncols=True, unit_scale=True) as bar:

        def show(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_description_str(text, refresh=False)
            bar.update(done - bar.n)

        yield show


def doctor(_: argparse.Namespace) -> int:
    """Say what is in place and what is missing."""
    from rllab.doctor import main as report

    return report()


def build(options: argparse.Namespace) -> int:
    """Make a world's models from its grammar."""
    from rllab.build import build as make

    with progress_bar() as progress:
        make(options.world, progress=progress, stop=threading.Event())
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download a model once; afterwards no network is needed."""
    from rllab.worlds.fetch import fetch as download
    from rllab.worlds.fetch import notice

    print(notice(options.model), flush=True)
    with progress_bar() as progress:
        folder = download(options.model, progress=progress, stop=threading.Event())
    print(f"It is in {folder}.")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    top = argparse.ArgumentParser(prog="python -m rllab", description="See, build and fetch what the lab runs on.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("doctor", help=doctor.__doc__).set_defaults(run=doctor)
    making = commands.add_parser("build", help=build.__doc__)
    making.add_argument("world", help="micro or tales")
    making.set_defaults(run=build)
    fetching = commands.add_parser("fetch", help=fetch.__doc__)
    fetching.add_argument("model", help="smollm2, or a hub id such as owner/name")
    fetching.set_defaults(run=fetch)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a bad input is told in one sentence, without a traceback."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except LabError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except (KeyboardInterrupt, Stopped):
        print("Stopped; what was begun is discarded.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
