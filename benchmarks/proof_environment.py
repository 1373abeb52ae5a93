"""Stable-Baselines3 accepts the token environment without a warning.

RLLAB_SB3 can name the Python of an environment with stable-baselines3 installed; otherwise a new environment is
created for this measurement. The lab itself does not depend on stable-baselines3.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.result import ROOT, Result

WORLDS = ("micro", "micro-tabular", "tales")
CHECK = """
import json, sys, warnings
import gymnasium, stable_baselines3
from stable_baselines3.common.env_checker import check_env
from rllab.worlds.environment import TokenEnv
said = {}
for world in sys.argv[1:]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(TokenEnv(world), warn=True)
            errors = []
        except AssertionError as error:
            errors = [f"error: {error}"]
    said[world] = errors + [str(one.message) for one in caught]
print(json.dumps({"said": said, "versions": [stable_baselines3.__version__, gymnasium.__version__]}))
"""


def measure() -> Result:
    """Run Stable-Baselines3's checker on the environment of every world that ships."""
    with tempfile.TemporaryDirectory() as scratch:
        python = os.environ.get("RLLAB_SB3") or make_environment(Path(scratch) / "environment")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [python, "-c", CHECK, *WORLDS]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    said = [f"{world}: {words}" for world, some in found["said"].items() for words in some]
    ours, gymnasium = found["versions"]
    return Result(
        claim="stable_baselines3.common.env_checker.check_env accepts TokenEnv",
        target=f"0 errors and 0 warnings on {', '.join(WORLDS)}",
        figure=f"{len(said)} errors and warnings from Stable-Baselines3 {ours} with gymnasium {gymnasium}"
        f"{': ' if said else ''}{'; '.join(said)}",
        passed=not said,
        details=found["said"],
    )


def make_environment(folder: Path) -> str:
    """Create an environment with Stable-Baselines3 and access to the packages of this one, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    where = [python, "-c", "import site; print(site.getsitepackages()[-1])"]
    own = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    (own / "parent.pth").write_text("\n".join(site.getsitepackages()), "utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "stable-baselines3"], check=True)
    return python
