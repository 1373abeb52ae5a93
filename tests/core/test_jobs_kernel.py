"""The interrupt button of a real kernel stops a background job, idle or busy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import SOON

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

START = """
from rllab.core.jobs import jobs
job = jobs.start("count", lambda job: job.pause(60))
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[tuple[Any, Any]]:
    """Start one kernel and its client; both end with the tests."""
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def value(client: Any, expression: str) -> str:
    """Return the repr of an expression evaluated in the kernel."""
    reply = client.execute_interactive(
        "", silent=True, user_expressions={"x": expression}, timeout=20, output_hook=lambda message: None
    )
    shown = reply["content"]["user_expressions"]["x"]
    assert shown["status"] == "ok", shown
    return str(shown["data"]["text/plain"])


def run(client: Any, code: str) -> None:
    reply = client.execute_interactive(code, timeout=20, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]


@pytest.mark.skipif(os.name == "nt", reason="signals of one process")
def test_interrupting_an_idle_kernel_stops_the_job(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    for _ in range(3):
        run(client, START)
        assert value(client, "job.running") == "True"
        manager.interrupt_kernel()
        started = time.monotonic()
        assert value(client, "job.wait(5), job.status.value") == "(True, 'stopped')"
        assert time.monotonic() - started < SOON


@pytest.mark.skipif(os.name == "nt", reason="signals of one process")
def test_interrupting_a_busy_cell_stops_the_job_too(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    run(client, START)
    client.execute("import time; time.sleep(30)")
    time.sleep(0.5)
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=10)["content"]["ename"] == "KeyboardInterrupt"
    time.sleep(0.3)  # after an error the kernel throws away requests that arrive at once
    assert value(client, "job.wait(5), job.status.value") == "(True, 'stopped')"
