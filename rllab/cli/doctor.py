"""Report what is installed and, for everything that is missing, how to fix it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rllab.cli.install import ROOT, how_to_install, in_checkout
from rllab.core.errors import LabError
from rllab.core.files import check_manifest, data_dir, home_dir

if TYPE_CHECKING:
    from packaging.requirements import Requirement

GIB = 2**30
NOTEBOOK_GIB, LLM_GIB = 1, 3  # memory of one kernel for notebooks 00 to 09, and for the real LLM
LAB_EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


@dataclass(frozen=True)
class Finding:
    """One line of the report; it has a remedy exactly when something is missing."""

    topic: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.remedy

    def __str__(self) -> str:
        """Format the line: ok or missing, topic, what was found, what to do."""
        verdict = "ok" if self.ok else "missing"
        return f"{verdict:<8} {self.topic:<8} {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def python() -> Iterator[Finding]:
    """Check the Python that runs this."""
    old = sys.version_info < (3, 11)
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    yield Finding("Python", found, "install Python 3.11 or newer" if old else "")


def packages() -> Iterator[Finding]:
    """Compare the installed packages with the requirements."""
    for requirement in requirements():
        needed = f"{requirement.name}{requirement.specifier}"
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("package", f"{needed} is not installed", how_to_install(needed))
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Finding("package", f"{requirement.name} {version}")
        else:
            found = f"{requirement.name} {version} is outside {requirement.specifier}"
            yield Finding("package", found, how_to_install(needed))


def requirements() -> list[Requirement]:
    """Return what the notebooks need: by pyproject.toml in a checkout, by the package's metadata elsewhere.

    An installed package leaves Jupyter out: the one that runs the kernel may be anywhere.
    """
    from packaging.requirements import Requirement

    if in_checkout():
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        optional = project["optional-dependencies"]
        return [Requirement(line) for line in [*project["dependencies"], *optional["lab"], *optional["llm"]]]
    found = map(Requirement, importlib.metadata.requires("rllab") or ())
    return [line for line in found if line.marker is None or line.marker.evaluate({"extra": "llm"})]


def models() -> Iterator[Finding]:
    """Check the hashes of the shipped models and of those fetched later."""
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
    """Return the folders of models in a folder that may not exist; names with a dot are unfinished work."""
    return sorted(path for path in parent.glob("[!.]*") if path.is_dir())


def size(folder: Path) -> int:
    """Return the size of a folder's files in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory() -> Iterator[Finding]:
    """Compare the free memory with what a notebook takes."""
    import psutil

    from rllab.worlds.machine import memory_limit

    free = psutil.virtual_memory().available
    limit = memory_limit()
    text = f"{free / GIB:.1f} GiB free" + (f", limit {limit / GIB:.1f} GiB" if limit else "")
    room = min(free, limit or free) / GIB
    need = f"notebooks take up to {NOTEBOOK_GIB} GiB, the real LLM {LLM_GIB} GiB"
    yield Finding("memory", f"{text}; {need}", "" if room >= NOTEBOOK_GIB else "close other programs")


def threads() -> Iterator[Finding]:
    """Report how many threads a model will use."""
    from rllab.worlds.machine import usable_cores, usable_threads

    text = f"{usable_threads()} for the models, of {usable_cores()} usable cores ({os.cpu_count()} in the machine)"
    policy = os.environ.get("OMP_WAIT_POLICY", "unset")
    yield Finding("threads", f"{text}, OMP_WAIT_POLICY {policy}")


def gpu() -> Iterator[Finding]:
    """Report which accelerator torch sees; none is needed."""
    import torch

    if torch.cuda.is_available():
        yield Finding("GPU", f"{torch.cuda.get_device_name()} (cuda)")
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "Apple (mps)")
    else:
        yield Finding("GPU", "none seen by torch; none is needed")


def widgets() -> Iterator[Finding]:
    """Check the parts of JupyterLab that draw widgets, where Lab itself looks for them."""
    if not in_checkout() and importlib.util.find_spec("jupyterlab") is None:
        yield Finding("widgets", "there is no JupyterLab in this Python: the Jupyter that you use has to draw them")
        return
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for name in LAB_EXTENSIONS:
        found = next((folder / name for folder in folders if (folder / name / "package.json").is_file()), None)
        if found is None:
            package = "anywidget" if name == "anywidget" else "ipywidgets"
            yield Finding("widgets", f"JupyterLab's extension {name} is not installed", how_to_install(package))
        else:
            version = json.loads((found / "package.json").read_text("utf-8"))["version"]
            yield Finding("widgets", f"{name} {version} can render")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, packages, models, memory, threads, gpu, widgets)


def examine() -> Iterator[Finding]:
    """Yield every finding; a check that cannot start because a package is missing is a finding too."""
    for check in CHECKS:
        try:
            yield from check()
        except ImportError as error:
            yield Finding(check.__name__, f"cannot be checked without {error.name}", how_to_install(str(error.name)))


def main(checks: Callable[[], Iterator[Finding]] = examine, *, strict: bool = False) -> int:
    """Print the report and return the exit status: 0, or 1 where something is missing and the check is `strict`."""
    findings = []
    for finding in checks():
        findings.append(finding)
        print(finding, flush=True)
    missing = sum(not finding.ok for finding in findings)
    print(f"\n{missing} missing" if missing else "\nEverything is in place.")
    return 1 if strict and missing else 0
