"""Entry point of `python -m rllab` and of the command `rllab`."""

from __future__ import annotations

import subprocess
import sys

from rllab.cli.install import installed_python
from rllab.cli.main import main

if __name__ == "__main__":
    other = installed_python()
    sys.exit(subprocess.call([other, "-m", "rllab", *sys.argv[1:]]) if other else main())  # noqa: S603 - our own words
