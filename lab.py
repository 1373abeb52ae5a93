"""Entry point of the lab: `python lab.py` installs what is missing and opens the tour.

    python lab.py                    create the environment, install, open notebooks/00_tour.ipynb
    python lab.py setup              create the environment and install, nothing else
    python lab.py test               install what the tests need, then run all of them
    python lab.py doctor             report what is installed and how to fix what is missing
    python lab.py doctor --workshop  also run the tour and start JupyterLab, without a screen
    python lab.py proof [NAME ...]   run the long measurements and write docs/proof.md

An environment that already has what is needed is used as it is; otherwise everything goes into
.venv next to this file. Where no NVIDIA GPU is found, torch is installed without the packages for one.
Standard library only, so that a bare Python can run it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "rllab-installed.json"
SETTINGS = ROOT / ".lab" / "settings"
SERVER_LOG = ROOT / ".lab" / "server.log"
TOUR = "notebooks/00_tour.ipynb"
OLDEST_PYTHON = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Defaults that a user may change in Lab: without them it opens with a question about news, over the first notebook.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
# rllab/cli/server.py says why.
SERVER_OPTIONS = ("--ServerApp.kernel_websocket_connection_class=rllab.cli.server.PromptConnection",)


class TroubleError(Exception):
    """A step failed; the message says in one sentence what happened and how to fix it."""


# ---- what is needed, and what is installed ------------------------------------------------------------


def requirements(*extras: str) -> list[str]:
    """Return the requirements of the package and the named extras, from pyproject.toml."""
    import tomllib  # here: a Python too old to have it still gets the sentence about its age

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


def release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: 2.13.0+cpu gives (2, 13, 0)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()


def within(version: str, bounds: str) -> bool:
    """Return whether a version lies in bounds such as >=4.6,<5; pyproject.toml uses no other operators."""
    found = release(version)
    for bound in filter(None, bounds.split(",")):
        floor = bound.strip().startswith(">=")
        limit = release(bound.strip(" <>="))
        if (found < limit) if floor else (found >= limit):
            return False
    return True


def satisfied(requirement: str) -> bool:
    """Return whether this Python has what one requirement asks for."""
    name = re.split(r"[\s<>=]", requirement, maxsplit=1)[0]
    try:
        return within(importlib.metadata.version(name), requirement[len(name) :])
    except importlib.metadata.PackageNotFoundError:
        return False


def missing(*extras: str) -> list[str]:
    """Return the requirements of the package and the extras that this Python does not meet."""
    return [line for line in requirements(*extras) if not satisfied(line)]


def on_hub() -> bool:
    """Return whether a JupyterHub started us: then its Lab is already open, with this Python."""
    return "JUPYTERHUB_SERVICE_PREFIX" in os.environ


# ---- installing -----------------------------------------------------------------------------------


def venv_python() -> Path:
    """Return the path of .venv's Python on this system."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install_key() -> str:
    """Return a digest that changes when the requirements do."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def installed_extras() -> set[str] | None:
    """Return the extras that .venv holds, or None where it is absent or out of date."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    current = stamp["key"] == install_key() and venv_python().exists()
    return set(stamp["extras"]) if current else None


def pip_install(python: str | Path, arguments: list[str], *, log: Path) -> None:
    """Run pip with the tested versions; show its progress and keep its output in a log."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["-c", str(ROOT / "constraints.txt"), *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        status = show_progress(command, file)
    if status:
        # builds indent their errors; pip's last line may only repeat that what came before it was a conflict or a build
        reason = r"^\s*ERROR: (?!ResolutionImpossible|Failed to build)(.+)"
        errors = re.findall(reason, log.read_text("utf-8"), re.MULTILINE)
        raise TroubleError(
            f"pip could not install the packages ({errors[-1] if errors else 'no reason given'}): check the "
            f"network and the disk, then run the same command again; pip's own output is in {log}"
        )


def show_progress(command: list[str], log: TextIO) -> int:
    """Run a long command into a log; on a terminal show the current package on one line."""
    live = sys.stdout.isatty()
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            log.write(line)
            if live and line.startswith(("Collecting", "Installing")):
                print(f"\r  {line.strip()[:70]:<72}", end="", flush=True)
    if live:
        print(f"\r{'':<74}\r", end="", flush=True)
    return process.returncode


def quiet(*command: str) -> bool:
    """Run a command silently and return whether it succeeded."""
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def make_venv() -> None:
    """Create .venv with this Python, unless a working one exists."""
    if venv_python().exists() and quiet(str(venv_python()), "-m", "pip", "--version"):
        return
    if not quiet(sys.executable, "-m", "venv", "--clear", str(VENV)):
        raise TroubleError(
            f"{VENV} could not be made: install Python's venv module (Debian and Ubuntu: apt-get install "
            "python3-venv) or free some disk space, then run the same command again"
        )


def sources(options: argparse.Namespace) -> list[str]:
    """Return pip's arguments for a folder of wheels, if one was named."""
    if not options.wheelhouse:
        return []
    folder = Path(options.wheelhouse).resolve()
    if not any(folder.glob("*.whl")):
        raise TroubleError(f"--wheelhouse {folder} holds no wheels: README.md shows how to fill it")
    return ["--no-index", "--find-links", str(folder)]


def has_gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU that its driver can reach."""
    return shutil.which("nvidia-smi") is not None and quiet("nvidia-smi", "-L")


def brings_cuda(python: str | Path, *, log: Path) -> bool:
    """Return whether pip would install torch with its packages for NVIDIA GPUs: several gigabytes."""
    report = log.with_name("torch.json")
    pip_install(python, ["pip>=25.3"], log=log)  # the first one whose dry run downloads no packages
    pip_install(python, ["--dry-run", "--report", str(report), "torch"], log=log)
    found = [item["metadata"] for item in json.loads(report.read_text("utf-8"))["install"]]
    return any(package["name"].startswith("nvidia") or "+cu" in package["version"] for package in found)


def install(python: str | Path, wanted: list[str], options: argparse.Namespace, *, log: Path) -> None:
    """Install packages; torch comes first, from an index of its own, where that was asked for or saves gigabytes."""
    wheels = sources(options)
    from_index = ["--no-deps", "--retries", "2", "--timeout", "15", "--index-url"]
    if options.torch_index:
        pip_install(python, [*from_index, options.torch_index, "torch"], log=log)
    elif not (wheels or options.gpu or has_gpu()) and brings_cuda(python, log=log):
        try:
            pip_install(python, [*from_index, CPU_INDEX, "torch"], log=log)
            print("No NVIDIA GPU found: torch is its CPU build (--gpu installs the other one).", flush=True)
        except TroubleError:
            print(f"{CPU_INDEX} cannot be reached: installing torch's GPU build (2.8 GB to download).", flush=True)
    pip_install(python, [*wheels, *wanted], log=log)


def fill_venv(extras: set[str], options: argparse.Namespace) -> None:
    """Install the package with its extras into .venv, and record them."""
    print(f"Installing into {VENV} (1.5 GB, 5 GB with a GPU build of torch; some minutes) ...", flush=True)
    began = time.monotonic()
    STAMP.unlink(missing_ok=True)
    make_venv()
    install(venv_python(), ["-e", f"{ROOT}[{','.join(sorted(extras))}]"], options, log=VENV / "install.log")
    STAMP.write_text(json.dumps({"key": install_key(), "extras": sorted(extras)}), "utf-8")
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def fill_this_python(extras: tuple[str, ...], options: argparse.Namespace) -> None:
    """Add only what the Python that runs us lacks."""
    lacking = missing(*extras)
    if on_hub() and not satisfied("rllab"):
        lacking += ["-e", str(ROOT)]  # kernels of a hub's Lab do not inherit our PYTHONPATH
    if lacking:
        print("Installing " + ", ".join(lacking) + " ...", flush=True)
        install(sys.executable, lacking, options, log=ROOT / ".lab" / "install.log")


def ready_python(options: argparse.Namespace, *extras: str) -> str:
    """Return a Python that has what the notebooks and the extras need, installing what is missing."""
    if on_hub() or not missing("lab"):
        fill_this_python(("lab", *extras), options)
        return sys.executable
    held = installed_extras()
    wanted = {"lab", "llm", *extras}
    if held is None or not wanted <= held:
        fill_venv(wanted | (held or set()), options)
    return str(venv_python())


# ---- running --------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Return the environment variables that every command of the lab runs with."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # libgomp's threads spin while they wait, which makes small models many times slower on busy machines
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": path}


def run(python: str, *arguments: str) -> int:
    """Run Python in the root of the lab and return its exit status."""
    return subprocess.run([python, *arguments], cwd=ROOT, env=environment(), check=False).returncode


def free_port(first: int = 8888, count: int = 50) -> int:
    """Return the first free port from Jupyter's default on."""
    for port in range(first, first + count):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise TroubleError(f"ports {first} to {first + count - 1} are all taken: close another Jupyter first")


def has_screen() -> bool:
    """Return whether a browser window can open here."""
    if os.name == "nt" or sys.platform == "darwin":
        return True
    local = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))
    return local and not os.environ.get("SSH_CONNECTION")


def start_server(python: str, *, port: int, token: str) -> subprocess.Popen[bytes]:
    """Start JupyterLab for this machine alone; its output goes to a file."""
    command = [python, "-m", "jupyterlab", "--no-browser", "--JupyterApp.answer_yes=True"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={ROOT}", f"--LabApp.app_settings_dir={SETTINGS}", *SERVER_OPTIONS]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    variables = {**environment(), "JUPYTER_TOKEN": token}
    with SERVER_LOG.open("w", encoding="utf-8") as log:
        return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT)


def wait_for(server: subprocess.Popen[bytes], address: str, *, seconds: float = 90) -> None:
    """Return when the server answers; raise TroubleError if it ends or does not answer in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TroubleError(f"JupyterLab did not start: {SERVER_LOG} says why, `python lab.py doctor` what is missing")


def serve(python: str) -> int:
    """Serve the tour until Ctrl-C; open a browser where there is a screen."""
    port, token = free_port(), secrets.token_hex(16)
    base = f"http://127.0.0.1:{port}"
    address = f"{base}/lab/tree/{TOUR}?token={token}"
    SETTINGS.mkdir(parents=True, exist_ok=True)
    (SETTINGS / "overrides.json").write_text(json.dumps(LAB_SETTINGS, indent=1), "utf-8")
    server = start_server(python, port=port, token=token)
    try:
        wait_for(server, f"{base}/api")
        print(f"\nThe lab is open. Ctrl-C closes it.\n\n    {address}\n", flush=True)
        if has_screen():
            webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        print("\nClosed.")
        return 0
    finally:
        server.terminate()  # its kernels end with it
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


# ---- commands -------------------------------------------------------------------------------------


def open_tour(options: argparse.Namespace) -> int:
    """Install what is missing and open the tour."""
    python = ready_python(options)
    if on_hub():
        print(f"This hub's Lab is already open: choose {TOUR} in the list of files on its left.")
        return 0
    return serve(python)


def setup(options: argparse.Namespace) -> int:
    """Install what is missing."""
    print(f"Ready: {ready_python(options, 'llm')}")
    return 0


def test(options: argparse.Namespace) -> int:
    """Install what the tests need and run all of them."""
    return run(ready_python(options, "llm", "test"), "-m", "tests")


def doctor(options: argparse.Namespace) -> int:
    """Report what is installed and how to fix what is missing; before a workshop, run the tour as well."""
    return run(ready_python(options), "-m", "rllab", "doctor", *options.workshop)


def proof(options: argparse.Namespace) -> int:
    """Run the long measurements and write docs/proof.md."""
    return run(ready_python(options, "llm", "test"), "-m", "benchmarks", *options.names)


COMMANDS = {"open": open_tour, "setup": setup, "test": test, "doctor": doctor, "proof": proof}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("command", nargs="?", default="open", choices=COMMANDS, help="what to do (default: open)")
    add("names", nargs="*", metavar="NAME", help="proof: which measurements to run (default: all)")
    add("--wheelhouse", metavar="DIR", help="install from this folder of wheels, without a network")
    add("--gpu", action="store_true", help="install torch's GPU build although no NVIDIA GPU is found")
    add("--torch-index", metavar="URL", help="install torch from this package index")
    add("--workshop", action="append_const", const="--workshop", default=[], help="doctor: also run the tour")
    options = parser.parse_args(arguments)
    stray = (options.command != "proof") * options.names + (options.command != "doctor") * options.workshop
    if stray:
        parser.error(f"{options.command} takes no names or options such as {' '.join(stray)}")
    return options


def main(arguments: list[str]) -> int:
    """Run one command; report trouble in one sentence."""
    if sys.version_info < OLDEST_PYTHON:
        for found in filter(None, map(shutil.which, ("python3.13", "python3.12", "python3.11", "python3.14"))):
            if quiet(found, "--version"):  # a version manager's shim may lead nowhere
                return subprocess.call([found, str(ROOT / "lab.py"), *arguments])
        sys.exit("The lab needs Python 3.11 or newer: install it, then run this again.")
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM closes the server too
    try:
        return COMMANDS[options.command](options)
    except TroubleError as trouble:
        print(f"lab.py {options.command}: {trouble}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
