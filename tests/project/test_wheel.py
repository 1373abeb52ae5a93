"""The built wheel holds what it needs: it works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

SOURCES = ("rllab", "data", "notebooks", "pyproject.toml", "setup.py", "README.md", "LICENSE")
WORK = """
from pathlib import Path
import rllab
from rllab import Stepper, Trainer, load_world
from rllab.core.files import data_dir

package = Path(rllab.__file__).parent
assert data_dir() == package / "data", data_dir()
world = load_world("micro")
print(package, Stepper(world).step().state.t, len(Trainer(world).update()) > 5)
"""


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources: setuptools would leave its own files among them."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(root / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(command, cwd=copy, check=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment that shares only the dependencies, and return its scripts' folder."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    paths = {"base": str(home), "platbase": str(home), "installed_base": sys.base_prefix}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    # a folder named in a .pth file comes after the environment's own, and its own .pth files are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--ignore-installed", str(wheel)], check=True)
    return scripts


def test_the_wheel_holds_every_file_that_the_lab_reads(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    data, notebooks = (root / "data").rglob("*.*"), (root / "notebooks").glob("*.ipynb")
    needed = {f"rllab/{path.relative_to(root).as_posix()}" for path in (*data, *notebooks) if path.is_file()}
    code = [path for ending in ("py", "js", "css") for path in (root / "rllab").rglob(f"*.{ending}")]
    needed |= {path.relative_to(root).as_posix() for path in code}
    assert sorted(needed - held) == []


def run(scripts: Path, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the new environment in a folder."""
    variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "RLLAB_DATA"}}
    program = [str(scripts / command[0]), *command[1:]]
    return subprocess.run(program, cwd=folder, env=variables, check=False, capture_output=True, text=True)


def test_worlds_stepper_and_trainer_work_from_the_wheel(elsewhere: Path, tmp_path: Path) -> None:
    done = run(elsewhere, "python", "-c", WORK, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    package, *results = done.stdout.split()
    assert results == ["0", "True"]
    assert Path(package).is_relative_to(elsewhere.parent)


def test_the_doctor_reports_without_a_traceback(elsewhere: Path, tmp_path: Path) -> None:
    done = run(elsewhere, "python", "-m", "rllab", "doctor", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "torch" in done.stdout
    assert "micro, hashes right" in done.stdout
    assert "lab.py" not in done.stdout


def test_the_notebooks_are_copied_and_a_changed_one_is_never_replaced(
    root: Path, elsewhere: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in (root / "notebooks").glob("*.ipynb"))
    for _ in range(2):
        done = run(elsewhere, "rllab", "notebooks", "mine", folder=tmp_path)
        assert done.stdout == f"{len(names)} notebooks are in mine; begin with 00_tour.ipynb.\n", done.stderr
    copies = sorted((tmp_path / "mine").iterdir())
    assert [path.name for path in copies] == names
    assert all(path.read_bytes() == (root / "notebooks" / path.name).read_bytes() for path in copies)
    copies[0].unlink()
    copies[1].write_text("my answers", "utf-8")
    refused = run(elsewhere, "rllab", "notebooks", "mine", folder=tmp_path)
    assert refused.returncode == 2
    assert "it was changed since it was copied; choose another folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (copies[0].exists(), copies[1].read_text("utf-8")) == (False, "my answers")
