"""Background jobs: one at a time, stoppable, throttled, errors kept."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import BackgroundJob, Job, Jobs, Progress, Publisher, Status
from tests.patience import SOON


def wait_for_stop(job: Job) -> str:
    """Work that ends only when it is stopped."""
    job.report(0, 0, "waiting")
    job.pause(30)
    return "ended"


def lab_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rllab-")]


def test_result_and_progress_reach_the_job() -> None:
    def count(job: Job) -> int:
        for i in range(5):
            job.report(i + 1, 5, f"step {i + 1}")
        return 42

    job = Jobs().start("count", count)
    assert job.wait(5)
    assert (job.status, job.result, job.error) == (Status.DONE, 42, None)
    assert job.progress == Progress(5, 5, "step 5")


def test_stop_ends_the_work_and_keeps_its_result() -> None:
    registry = Jobs()
    job = registry.start("wait", wait_for_stop)
    assert registry.current is job
    started = time.monotonic()
    job.stop()
    assert job.wait(5)
    assert time.monotonic() - started < SOON
    assert (job.status, job.result) == (Status.STOPPED, "ended")
    assert registry.current is None


def test_second_start_is_refused_with_the_name_of_the_first() -> None:
    registry = Jobs()
    first = registry.start("PPO on tales", wait_for_stop)
    with pytest.raises(LabError, match="PPO on tales"):
        registry.start("another", wait_for_stop)
    assert first.running
    first.stop()
    assert first.wait(5)
    assert registry.start("another", lambda job: 1).wait(5)


def test_a_hundred_clicks_start_one_run() -> None:
    registry = Jobs()
    started: list[BackgroundJob] = []
    refused: list[LabError] = []
    gate = threading.Barrier(100)

    def click() -> None:
        gate.wait()
        try:
            started.append(registry.start("run", wait_for_stop))
        except LabError as error:
            refused.append(error)

    clicks = [threading.Thread(target=click) for _ in range(100)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join(10)
    assert (len(started), len(refused)) == (1, 99)
    started[0].stop()
    assert started[0].settle()


def test_errors_are_kept_with_their_traceback_and_free_the_registry() -> None:
    def fails(job: Job) -> None:
        raise LabError("lr", float("nan"), "choose a positive number")

    registry = Jobs()
    job = registry.start("fails", fails)
    assert job.wait(5)
    assert job.status is Status.FAILED
    assert isinstance(job.error, LabError)
    assert "choose a positive number" in job.traceback
    assert registry.current is None


def test_updates_are_throttled_and_the_final_one_is_sent() -> None:
    seen: list[tuple[float, int, bool]] = []

    def work(job: Job) -> None:
        end = time.monotonic() + 1.0
        done = 0
        while time.monotonic() < end:
            done += 1
            job.report(done, 0, "")
            time.sleep(0.0005)
        job.report(-1, 0, "final")

    job = Jobs().start("busy", work, on_change=lambda j: seen.append((time.monotonic(), j.progress.done, j.running)))
    assert job.wait(10)
    assert job.settle()
    assert 3 <= len(seen) <= 8
    gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(seen[:-1])]
    assert min(gaps) >= 0.19
    assert seen[-1][1:] == (-1, False)


def test_a_broken_picture_does_not_end_the_work() -> None:
    def broken(job: BackgroundJob) -> None:
        raise RuntimeError("cannot draw")

    def work(job: Job) -> str:
        job.report(1, 1, "")
        return "done"

    job = Jobs().start("work", work, on_change=broken)
    assert job.wait(5)
    assert job.settle()
    assert (job.status, job.result) == (Status.DONE, "done")


def test_work_that_gives_up_when_it_is_asked_to_has_stopped_and_not_failed() -> None:
    def gives_up(job: Job) -> None:
        assert job.pause(10)
        raise Stopped

    job = Jobs().start("gives up", gives_up)
    job.stop()
    assert job.wait(5)
    assert (job.status, job.error) == (Status.STOPPED, None)


def test_release_stops_only_the_job_of_the_same_owner() -> None:
    registry = Jobs()
    job = registry.start("mine", wait_for_stop, owner="cell 3")
    registry.release("cell 4")
    assert job.running
    registry.release("cell 3")
    assert not job.running


def test_release_names_the_work_that_does_not_stop() -> None:
    free = threading.Event()
    registry = Jobs()
    job = registry.start("deaf", lambda job: free.wait(20), owner="cell")
    with pytest.raises(LabError, match="deaf"):
        registry.release("cell", timeout=0.05)
    free.set()
    assert job.wait(5)


def test_no_thread_is_left() -> None:
    before = lab_threads()
    registry = Jobs()
    for _ in range(10):
        job = registry.start("short", lambda job: job.report(1, 1, ""), on_change=lambda job: None)
        assert job.wait(5)
        assert job.settle()
    assert lab_threads() == before


def test_publisher_sends_the_last_change_even_when_closed_at_once() -> None:
    sent: list[int] = []
    value = 0
    publisher = Publisher(lambda: sent.append(value))
    for value in range(1, 1000):  # noqa: B007 - the publisher reads it
        publisher.change()
    publisher.close()
    assert publisher.join()
    assert sent[-1] == 999
    assert len(sent) <= 2


SCRIPT = """
import time
from rllab.core.jobs import jobs

job = jobs.start("work", lambda job: job.pause(30))
try:
    print("working", flush=True)
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    print("interrupted", job.wait(1), job.status.value, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_interrupt_stops_the_job_and_still_interrupts_the_program() -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert output == "interrupted True stopped\n"
    assert process.returncode == 0


def test_leaving_the_interpreter_stops_the_job() -> None:
    script = """
    from rllab.core.jobs import jobs
    jobs.start("work", lambda job: (job.pause(30), print("stopped", flush=True)))
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "stopped\n"
    assert time.monotonic() - started < 10
