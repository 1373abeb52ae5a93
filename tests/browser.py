"""Find the browser that the browser tests drive, or install one by whatever way the machine offers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMANDS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
WINDOWS_APPS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
WINDOWS_ROOTS = ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData")
# The path that playwright's own download would have, asked in a process of its own: it leaves a loop behind.
PLAYWRIGHT_PATH = (
    "from playwright.sync_api import sync_playwright as start\n"
    "with start() as playwright: print(playwright.chromium.executable_path)"
)
INSTALL_SECONDS = 400


class NoBrowserError(RuntimeError):
    """No browser is installed and none could be installed; the message has the reason."""


def in_ci() -> bool:
    """Tell whether this is a run where nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def find_browser() -> str | None:
    """Return the path of a Chromium, Chrome or Edge that starts, the user's own choice first."""
    return next((path for path in candidates() if starts(path)), None)


def candidates() -> Iterator[str]:
    """Yield where browsers usually are: RLLAB_BROWSER, PATH, the system's places, playwright's folder."""
    if chosen := os.environ.get("RLLAB_BROWSER"):
        yield chosen
    yield from filter(None, map(shutil.which, COMMANDS))
    yield from MAC_APPS
    roots = [os.environ[name] for name in WINDOWS_ROOTS if name in os.environ]
    yield from (str(Path(root) / app) for root in roots for app in WINDOWS_APPS)
    ask = [sys.executable, "-c", PLAYWRIGHT_PATH]
    asked = subprocess.run(ask, check=False, capture_output=True, text=True)
    if path := asked.stdout.strip():
        yield path


def starts(path: str) -> bool:
    """Tell whether a file is a browser that runs here: some systems put a mere signpost on PATH."""
    if not Path(path).is_file():
        return False
    if os.name == "nt":
        return True  # there --version opens a window instead of answering
    try:
        asked = subprocess.run([path, "--version"], check=False, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def ready_browser() -> str:
    """Return a browser's path, installing one if none is there."""
    if found := find_browser():
        return found
    reasons = []
    for install in (with_apt, with_playwright):
        reasons.append(install())
        if found := find_browser():
            return found
    raise NoBrowserError("no Chromium, Chrome or Edge found; " + "; ".join(reasons))


def with_apt() -> str:
    """Install Debian's Chromium where we are root; return what happened."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return "apt-get is not ours to use"
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        if failed(["apt-get", "-q", *arguments], quiet):
            return f"apt-get {arguments[0]} failed"
    return "apt-get installed a Chromium that does not start"


def with_playwright() -> str:
    """Let playwright download its Chromium; return what happened."""
    libraries = ["--with-deps"] if shutil.which("apt-get") and os.geteuid() == 0 else []
    if failed([sys.executable, "-m", "playwright", "install", *libraries, "chromium"], dict(os.environ)):
        return "playwright could not download one (set RLLAB_BROWSER to a browser's path)"
    return "playwright's Chromium does not start"


def failed(command: list[str], environment: dict[str, str]) -> bool:
    """Run an installer silently and return whether it failed."""
    try:
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return True
    return False
