"""Drive JupyterLab in a real browser: a separate server, a page that opens notebooks.

    with running_lab(folder) as server, running_browser() as browser:
        notebook = Notebook.open(browser, server, "00_tour.ipynb")
        notebook.run_all()
        notebook.python("trainer.version")      # repr, evaluated in the notebook's kernel
        notebook.screenshot(path, theme="dark")

Everything the server writes stays in the folder it is given; the server and the browser end with
their `with` blocks. The browser is the one that `tests.browser` finds.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from lab import SERVER_OPTIONS
from tests.browser import find_browser

ROOT = Path(__file__).parents[2]
Theme = Literal["light", "dark"]

SETTINGS: dict[str, dict[str, Any]] = {
    # Without the first a "Jupyter news?" question covers a corner of every picture.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "docmanager-extension/plugin": {"autosave": False},
}
# What anywidget says of a page that was busy for two seconds; the panel goes on without its help (test_slow_page.py).
GIVEN_UP = "[anywidget] Failed to initialize model."
PATIENCE = 15_000  # milliseconds that an expectation waits: the tests share their cores
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

# The indicator in the toolbar says "idle" before there is a kernel, so the application itself is asked.
KERNEL_IDLE = """() => {
  const context = window.jupyterapp?.shell?.currentWidget?.context;
  const kernel = context?.isReady && context.sessionContext?.session?.kernel;
  return Boolean(kernel) && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
EVALUATE = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const request = {code: '', silent: true, store_history: false, user_expressions: {x: expression}};
  const reply = await kernel.requestExecute(request).done;
  const x = reply.content.user_expressions.x;
  return x.status === 'ok' ? [true, x.data['text/plain']] : [false, `${x.ename}: ${x.evalue}`];
}"""
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .filter((cell) => cell.cell_type === 'code')
  .map((cell) => cell.toJSON())"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, its secret and the folder it serves."""

    address: str
    token: str
    folder: Path


@contextlib.contextmanager
def running_lab(folder: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start JupyterLab for a folder on a free port and end it afterwards, kernels included."""
    hidden = folder / ".jupyter-own"
    _write_settings(hidden / "settings")
    server = Server(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), folder)
    log = (folder / ".server.log").open("w")
    process = subprocess.Popen(
        _command(server), env=_environment(hidden, environment or {}), stdout=log, stderr=subprocess.STDOUT, cwd=folder
    )
    try:
        _wait_until_up(server, process)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        log.close()


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a headless Chromium and close it afterwards."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=list(BROWSER_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells; with a kernel named in it, or Lab asks which one to use."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def expect_soon(read: Callable[[], object], expected: object, *, seconds: float = 10.0) -> None:
    """Read again and again until it is what is expected; raise when it is not in the end."""
    end = time.monotonic() + seconds
    while (found := read()) != expected:
        assert time.monotonic() < end, f"{found!r} is not {expected!r}"
        time.sleep(0.05)


@dataclass
class Notebook:
    """One notebook open in one browser page, and what went wrong in that page."""

    page: Page
    server: Server
    page_errors: list[str] = field(default_factory=list)
    outside_requests: list[str] = field(default_factory=list)
    received: list[int] = field(default_factory=list)  # bytes of each message that came over a websocket

    @classmethod
    def open(
        cls, browser: Browser, server: Server, name: str, *, width: int = 1280, height: int = 1400, before: str = ""
    ) -> Self:
        """Open a notebook in a new page, with a script that runs before the page's own, and wait for its kernel."""
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.add_init_script(before)
        notebook = cls(page, server)
        page.on("pageerror", lambda error: notebook._note_error(str(error)))
        page.on("request", lambda request: notebook._note_request(request.url))
        page.on(
            "websocket", lambda socket: socket.on("framereceived", lambda data: notebook.received.append(len(data)))
        )
        page.goto(f"{server.address}/doc/tree/{name}?token={server.token}&reset", wait_until="domcontentloaded")
        notebook.wait_for_kernel()
        return notebook

    def wait_for_kernel(self) -> None:
        """Wait until the notebook is on the screen and its kernel is idle."""
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=90_000)
        self.page.wait_for_function(KERNEL_IDLE, timeout=90_000)

    def command(self, name: str, **arguments: Any) -> None:
        """Run one of Lab's commands and wait for it."""
        script = "([name, a]) => window.jupyterapp.commands.execute(name, a).then(() => null)"
        self.page.evaluate(script, [name, arguments])

    def run_all(self) -> None:
        """Run all cells and wait for their end; raise if one of them failed."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(KERNEL_IDLE, timeout=300_000)
        errors = self.cell_errors()
        if errors:
            raise AssertionError("\n".join(errors))

    def cell_errors(self) -> list[str]:
        """Return the errors that the cells show, read from the notebook itself."""
        outputs = [output for cell in self.page.evaluate(OUTPUTS) for output in cell["outputs"]]
        return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]

    def python(self, expression: str) -> str:
        """Return the repr of an expression evaluated in the notebook's kernel."""
        ok, shown = self.page.evaluate(EVALUATE, expression)
        if not ok:
            raise AssertionError(f"{expression}: {shown}")
        return str(shown)

    def value(self, expression: str) -> Any:
        """Return the value of an expression that is made of literals."""
        return ast.literal_eval(self.python(expression))

    def expect_value(self, expression: str, expected: object) -> None:
        """Wait until an expression has this value in the kernel: the page sends what was done a moment later."""
        expect_soon(lambda: self.value(expression), expected)

    def panel(self, title: str, *, nth: int = 0) -> Locator:
        """Return the panel with this title."""
        return self.page.locator(f'section.rllab[aria-label="{title}"]').nth(nth)

    def set_theme(self, theme: Theme) -> None:
        """Switch Lab to its light or dark theme and wait until it is on."""
        self.command("apputils:change-theme", theme=f"JupyterLab {theme.capitalize()}")
        light = "true" if theme == "light" else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached", timeout=20_000)
        self.page.wait_for_timeout(400)

    def screenshot(self, path: Path, *, theme: Theme = "light", of: Locator | None = None) -> None:
        """Save a picture of the page (or of one element) in a theme."""
        self.set_theme(theme)
        path.parent.mkdir(parents=True, exist_ok=True)
        (of or self.page).screenshot(path=path)

    def reload(self) -> None:
        """Load the page again; the kernel stays alive."""
        self.command("docmanager:save")
        self.page.goto(self.page.url.split("?")[0], wait_until="domcontentloaded")
        self.wait_for_kernel()

    def close(self) -> None:
        """Close the page and shut its kernel down."""
        with contextlib.suppress(Exception):
            self.command("kernelmenu:shutdown")
        self.page.context.close()

    def _note_error(self, error: str) -> None:
        if error != GIVEN_UP:
            self.page_errors.append(error)

    def _note_request(self, url: str) -> None:
        if not url.startswith((self.server.address, "data:", "blob:", self.server.address.replace("http", "ws", 1))):
            self.outside_requests.append(url)


@contextlib.contextmanager
def running_notebook(
    browser: Browser, server: Server, name: str, *cells: str, width: int = 1280, height: int = 1400
) -> Iterator[Notebook]:
    """Run a new notebook of some code cells; at the end its page had no error and asked nothing of the outside."""
    write_notebook(server.folder / f"{name}.ipynb", *cells)
    opened = Notebook.open(browser, server, f"{name}.ipynb", width=width, height=height)
    opened.run_all()
    yield opened
    assert opened.page_errors == []
    assert opened.outside_requests == []
    opened.close()


def _write_settings(folder: Path) -> None:
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(server: Server) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        f"--port={server.address.rsplit(':', 1)[1]}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={server.token}",
        f"--ServerApp.root_dir={server.folder}",
        "--expose-app-in-browser",
        *SERVER_OPTIONS,
    ]


def _environment(hidden: Path, extra: Mapping[str, str]) -> dict[str, str]:
    own = {
        "JUPYTER_CONFIG_DIR": str(hidden / "config"),
        "JUPYTER_DATA_DIR": str(hidden / "data"),
        "IPYTHONDIR": str(hidden / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(hidden / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(hidden / "workspaces"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**os.environ, **own, **extra}


def _wait_until_up(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{server.address}/api?token={server.token}", timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{(server.folder / '.server.log').read_text()[-3000:]}")
