"""Check the page engine's JavaScript: `python -m tests.page` lints it, checks its types and runs its unit tests.

The tools come from npm, once, in the versions of package-lock.json. Where Node or npm's registry is missing, one line
says so; only in CI that is a failure.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser import in_ci

PAGE = Path(__file__).resolve().parent
LOCK = PAGE / "package-lock.json"
INSTALLED = PAGE / "node_modules" / ".package-lock.json"  # which npm writes last


def main() -> int:
    """Install the tools where they are missing or older than the lock file, then run all checks."""
    npm = shutil.which("npm")
    if npm is None:
        return unchecked("npm was not found; install Node 20 or newer")
    fresh = INSTALLED.exists() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime
    if not fresh and subprocess.run([npm, "ci"], cwd=PAGE, check=False).returncode:
        return unchecked("`npm ci` could not install the tools")
    if subprocess.run([npm, "test"], cwd=PAGE, check=False).returncode:
        sys.stdout.write("the page's JavaScript failed: `npm test` in tests/page shows where\n")
        return 1
    sys.stdout.write("the page's JavaScript passed its linter, its type check and its unit tests\n")
    return 0


def unchecked(reason: str) -> int:
    """Print why nothing was checked; return the exit status, which is a failure in CI."""
    sys.stdout.write(f"the page's JavaScript was not checked: {reason}\n")
    return int(in_ci())


if __name__ == "__main__":
    sys.exit(main())
