"""Look whether everything is in place, and say of each thing that is missing how to get it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rllab.core.errors import LabError
from rllab.core.files import check_manifest, data_dir, home_dir

INSTALL = "run: python lab.py setup"
GIB = 2**30
NOTEBOOK_GIB, LLM_GIB = 1, 3  # what one kernel of notebooks 00 to 09, and of the real LLM, may take
LAB_EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


@dataclass(frozen=True)
class Finding:
    """One line of the report; a remedy is there exactly when something is missing."""

    topic: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether nothing has to be done."""
        return not self.remedy

    def __str__(self) -> str:
        """Write the line: ok or missing, what it is about, what was found, what to do."""
        verdict = "ok" if self.ok else "missing"
        return f"{verdict:<8} {self.topic:<8} {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def python() -> Iterator[Finding]:
    """Look at the Python that runs this."""
    old = sys.version_info < (3, 11)
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    yield Finding("Python", found, "install Python 3.11 or newer" if old else "")


def packages() -> Iterator[Finding]:
    """Compare what is installed with what pyproject.toml asks for."""
    from packaging.requirements import Requirement

    project_file = Path(__file__).resolve().parents[2] / "pyproject.toml"
    project = tomllib.loads(project_file.read_text("utf-8"))["project"]
    for line in project["dependencies"] + project["optional-dependencies"]["llm"]:
        requirement = Requirement(line)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("package", f"{line} is not installed", INSTALL)
            continue
        text = f"{requirement.name} {version}"
        if requirement.specifier.contains(version, prereleases=True):
            yield Finding("package", text)
        else:
            yield Finding("package", f"{text} is outside {requirement.specifier}", INSTALL)


def models() -> Iterator[Finding]:
    """Check the hashes of the models that ship with the lab and of those fetched later."""
    shipped, fetched = data_dir() / "models", home_dir() / "models"
    folders = [(path, f"python -m rllab build {path.name}") for path in model_folders(shipped)]
    if not folders:
        yield Finding("model", f"none in {shipped}", "take a whole copy of the repository, or set RLLAB_DATA")
    folders += [(path, f"python -m rllab fetch {path.name}") for path in model_folders(fetched)]
    for folder, again in folders:
        try:
            check_manifest(folder, rebuild=again)
        except LabError as error:
            yield Finding("model", folder.name, str(error))
        else:
            yield Finding("model", f"{folder.name}, hashes right ({size(folder) / 2**20:.1f} MiB in {folder})")


def model_folders(parent: Path) -> list[Path]:
    """List the folders of models in a folder that may not be there; names with a dot are unfinished work."""
    return sorted(path for path in parent.glob("[!.]*") if path.is_dir())


def size(folder: Path) -> int:
    """Return the bytes that a folder holds."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory() -> Iterator[Finding]:
    """Compare the memory that is free here with what a notebook takes."""
    import psutil

    from rllab.worlds.loading import memory_limit

    free = psutil.virtual_memory().available
    limit = memory_limit()
    text = f"{free / GIB:.1f} GiB free" + (f", limit {limit / GIB:.1f} GiB" if limit else "")
    room = min(free, limit or free) / GIB
    need = f"notebooks take up to {NOTEBOOK_GIB} GiB, the real LLM {LLM_GIB} GiB"
    yield Finding("memory", f"{text}; {need}", "" if room >= NOTEBOOK_GIB else "close other programs")


def threads() -> Iterator[Finding]:
    """Say how many threads a model will use."""
    from rllab.worlds.loading import usable_cores, usable_threads

    text = f"{usable_threads()} for the models, of {usable_cores()} usable cores ({os.cpu_count()} in the machine)"
    policy = os.environ.get("OMP_WAIT_POLICY", "unset")
    yield Finding("threads", f"{text}, OMP_WAIT_POLICY {policy}")


def gpu() -> Iterator[Finding]:
    """Say which accelerator torch sees; none is needed."""
    import torch

    if torch.cuda.is_available():
        yield Finding("GPU", f"{torch.cuda.get_device_name()} (cuda)")
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "Apple (mps)")
    else:
        yield Finding("GPU", "none seen by torch; none is needed")


def widgets() -> Iterator[Finding]:
    """Look for the parts of JupyterLab that draw widgets, where Lab itself looks."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for name in LAB_EXTENSIONS:
        found = next((folder / name for folder in folders if (folder / name / "package.json").is_file()), None)
        if found is None:
            yield Finding("widgets", f"JupyterLab's extension {name} is not there", INSTALL)
        else:
            version = json.loads((found / "package.json").read_text("utf-8"))["version"]
            yield Finding("widgets", f"{name} {version} can render")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, packages, models, memory, threads, gpu, widgets)


def examine() -> Iterator[Finding]:
    """Yield every finding; a check that cannot even start, for want of a package, is a finding too."""
    for check in CHECKS:
        try:
            yield from check()
        except ImportError as error:
            yield Finding(check.__name__, f"cannot be looked at without {error.name}", INSTALL)


def main(checks: Callable[[], Iterator[Finding]] = examine, *, strict: bool = False) -> int:
    """Print the report; what is missing is news, not a failure, so the exit status is 0 unless it is `strict`."""
    findings = []
    for finding in checks():
        findings.append(finding)
        print(finding, flush=True)
    wanting = sum(not finding.ok for finding in findings)
    print(f"\n{wanting} missing" if wanting else "\nEverything is in place.")
    return 1 if strict and wanting else 0
