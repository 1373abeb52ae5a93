"""One long computation at a time, in a background thread that can be stopped and watched.

A notebook cell that trains blocks every button on the page, so panels hand their long work to
`jobs.start` and the cell ends at once. The work receives a `Job`, as every long function of the lab
does: `job.check()` ends the work where a stop was requested, `job.report(done, total, text)` says how far it is.

Ways to stop a job: `BackgroundJob.stop` (a panel's button), Lab's interrupt button, Ctrl-C in a terminal,
leaving the interpreter. An interrupt reaches a job in every case but two: a kernel that is not
ipykernel, and `jobs.listen` never having been called from the main thread (Python delivers
signals only there). Nothing here kills a thread: work that ignores its stop event continues, and
`release` reports that.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rllab.core.errors import LabError, Stopped

Report = Callable[[int, int, str], object]

PUBLISH_SECONDS = 0.2  # five pictures a second: more would flood the kernel's messages and not be seen
STOP_SECONDS = 5.0  # the longest we wait for work to notice its stop event


class Status(enum.Enum):
    """Where a job is in its life."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        done: Units of work that are complete.
        total: All units; 0 where unknown.
        text: What is being done, in one line.
    """

    done: int = 0
    total: int = 0
    text: str = ""


class Publisher:
    """Call `send` from a thread of its own, at most once per interval; the last change is always sent.

    Time-based, because the work's own pace is unknown: `change` may be called thousands of times a
    second and returns at once. An error in `send` is kept in `error` and never reaches the work.

    Args:
        send: What is called.
        interval: Least time between two calls, in seconds.
    """

    def __init__(self, send: Callable[[], None], *, interval: float = PUBLISH_SECONDS) -> None:
        self.error: BaseException | None = None
        self._send = send
        self._interval = interval
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="rllab-publisher", daemon=True)
        self._thread.start()

    def change(self) -> None:
        """Mark that there is something new to send."""
        self._changed.set()

    def close(self) -> None:
        """Send the final state and end the thread; returns without waiting for either."""
        self._closing.set()
        self._changed.set()

    def join(self, timeout: float = STOP_SECONDS) -> bool:
        """Wait for the final state to be sent.

        Args:
            timeout: Longest wait, in seconds.

        Returns:
            Whether it was sent.
        """
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._changed.clear()
            if not self._closing.is_set():
                self._send_once()
                self._closing.wait(self._interval)
        self._send_once()

    def _send_once(self) -> None:
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 - a drawing error must not end the work that is drawn
            self.error = error


class Job:
    """What long work receives: whether to stop, and where to report its progress.

    Long functions take `job: Job = NO_JOB`, which never stops and reports nothing.

    >>> job = Job(report=lambda done, total, text: print(f"{done} of {total}: {text}"))
    >>> job.report(1, 3, "counting")
    1 of 3: counting

    Args:
        stop: Set when the work is to end.
        report: Receives `done`, `total` (0 = unknown) and a line of text.
    """

    def __init__(self, stop: threading.Event | None = None, report: Report | None = None) -> None:
        self._stop = stop or threading.Event()
        self._report = report

    @property
    def stopped(self) -> bool:
        """Return whether the work was asked to end."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Stopped if the work was asked to end."""
        if self.stopped:
            raise Stopped

    def report(self, done: int, total: int = 0, text: str = "") -> None:
        """Report how far the work is.

        Args:
            done: Units of work that are complete.
            total: All units; 0 where unknown.
            text: What is being done, in one line.
        """
        if self._report is not None:
            self._report(done, total, text)

    def pause(self, seconds: float) -> bool:
        """Wait, but no longer than until the work is asked to end.

        Args:
            seconds: How long to wait.

        Returns:
            Whether it was asked to end.
        """
        return self._stop.wait(seconds)

    def reporting(self, report: Report) -> Job:
        """Return a job that stops with this one and reports elsewhere.

        Args:
            report: Receives `done`, `total` (0 = unknown) and a line of text.

        Returns:
            The job.
        """
        return Job(self._stop, report)

    def quiet(self) -> Job:
        """Return a job that stops with this one and reports nothing, for work that counts in other units."""
        return Job(self._stop)


NO_JOB = Job()
Work = Callable[[Job], object]


class BackgroundJob(Job):
    """One computation in its thread: what it is called, how far it is, how it ended.

    `error` and `traceback` are those of the work.

    Args:
        name: What the work is called on the screen.
        work: The work; it receives the job.
        owner: The cell or panel that started it.
        on_change: Receives the job at most five times a second while it runs and once at its end, always from a
            thread of its own.
    """

    def __init__(
        self, name: str, work: Work, *, owner: str = "", on_change: Callable[[BackgroundJob], None] | None = None
    ) -> None:
        self.name = name
        self.owner = owner
        self.progress = Progress()
        self.status = Status.RUNNING
        self.result: object = None
        self.error: BaseException | None = None
        self.traceback = ""
        super().__init__(report=self._note)
        self._work = work
        self._finished = threading.Event()
        self._publisher = Publisher(lambda: on_change(self)) if on_change else None
        self._thread = threading.Thread(target=self._run, name=f"rllab-job {name}", daemon=True)

    @property
    def running(self) -> bool:
        """Return whether the work has neither returned nor failed yet."""
        return not self._finished.is_set()

    @property
    def stopping(self) -> bool:
        """Return whether a stop was requested and the work has not ended yet."""
        return self.running and self._stop.is_set()

    def start(self) -> None:
        """Start the work; `Jobs.start` calls this once."""
        self._thread.start()

    def stop(self) -> None:
        """Request the end of the work; returns at once."""
        self._stop.set()
        self.change()

    def change(self) -> None:
        """Request that this job is shown again at the next interval."""
        if self._publisher:
            self._publisher.change()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the work to end.

        Args:
            timeout: Longest wait, in seconds; None for no limit.

        Returns:
            Whether it ended.
        """
        return self._finished.wait(timeout)

    def settle(self, timeout: float = STOP_SECONDS) -> bool:
        """Wait for the work, its last `on_change` and its threads to end (tests and shutdown).

        Args:
            timeout: Longest wait for each, in seconds.

        Returns:
            Whether all ended.
        """
        self._thread.join(timeout)
        drawn = self._publisher is None or self._publisher.join(timeout)
        return drawn and not self._thread.is_alive()

    def _note(self, done: int, total: int, text: str) -> None:
        self.progress = Progress(done, total, text)
        self.change()

    def _run(self) -> None:
        try:
            self.result = self._work(self)
            self.status = Status.STOPPED if self._stop.is_set() else Status.DONE
        except Stopped:
            self.status = Status.STOPPED
        except BaseException as error:  # noqa: BLE001 - whatever ended the work belongs in the panel
            self.error = error
            self.traceback = traceback.format_exc()
            self.status = Status.FAILED
        finally:
            self._finished.set()
            if self._publisher:
                self._publisher.close()


class Jobs:
    """The registry that keeps long computations to one at a time.

    >>> def count(job):
    ...     for i in range(3):
    ...         job.report(i + 1, 3, "counting")
    ...     return 3
    >>> job = Jobs().start("counting to three", count)
    >>> job.wait(5), job.result, job.status.value
    (True, 3, 'done')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: BackgroundJob | None = None

    @property
    def current(self) -> BackgroundJob | None:
        """Return the job that is running now, if any."""
        job = self._current
        return job if job is not None and job.running else None

    def start(
        self, name: str, work: Work, *, owner: str = "", on_change: Callable[[BackgroundJob], None] | None = None
    ) -> BackgroundJob:
        """Run `work(job)` in the background.

        Args:
            name: What the work is called on the screen.
            work: The work.
            owner: The cell or panel that starts it.
            on_change: Receives the job at most five times a second while it runs and once at its end.

        Returns:
            The running job.

        Raises:
            LabError: If another job is running.
        """
        self.listen()
        with self._lock:
            busy = self.current
            if busy is not None:
                raise LabError("the running job", busy.name, "only one runs at a time; stop it, or wait for its end")
            job = BackgroundJob(name, work, owner=owner, on_change=on_change)
            job.start()
            self._current = job
        return job

    def stop(self) -> None:
        """Request the end of the running job, if any."""
        job = self.current
        if job is not None:
            job.stop()

    def release(self, owner: str, *, timeout: float = STOP_SECONDS) -> None:
        """Stop the job that an earlier run of the same cell started, and wait for its end.

        Args:
            owner: The cell or panel that started it; jobs of others are left alone.
            timeout: Longest wait, in seconds.

        Raises:
            LabError: If the job does not stop in time.
        """
        job = self.current
        if job is None or job.owner != owner:
            return
        job.stop()
        if not job.wait(timeout):
            remedy = f"it did not stop within {timeout:g} s; wait, or restart the kernel"
            raise LabError("the running job", job.name, remedy)

    def close(self) -> None:
        """Stop the running job and wait a moment for its threads; runs when the interpreter ends."""
        job = self._current
        if job is not None:
            job.stop()
            job.settle(2.0)

    def listen(self) -> None:
        """Let an interrupt (Lab's stop button, Ctrl-C) stop the running job too; safe to call often."""
        if threading.current_thread() is threading.main_thread():
            _catch_signal(self)
        shell = _ipython_shell()
        if shell is not None and not getattr(shell, "rllab_listens", False):
            shell.rllab_listens = True
            shell.events.register("post_run_cell", lambda result: _stop_if_interrupted(self, result))


class _Interrupt:
    """The SIGINT handler: stop the running job, then call the handler that was there before."""

    def __init__(self, registry: Jobs, previous: object) -> None:
        self.registry = registry
        self.previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.registry.stop()
        if callable(self.previous):
            self.previous(number, frame)


def _catch_signal(registry: Jobs) -> None:
    """Install our handler where an interrupt arrives.

    While ipykernel handles a message it swaps SIGINT for its own handler, keeps the idle one in
    `saved_sigint_handler` and restores it afterwards: an idle kernel ignores interrupts, which is
    when a background job runs. So there we replace what will be restored. An interrupt during a
    cell ends that cell; `post_run_cell` then stops the job.
    """
    kernel = getattr(_ipython_shell(), "kernel", None)
    idle = getattr(kernel, "saved_sigint_handler", None)
    if kernel is not None and idle is not None:
        if not isinstance(idle, _Interrupt):
            kernel.saved_sigint_handler = _Interrupt(registry, idle)
    elif not isinstance(signal.getsignal(signal.SIGINT), _Interrupt):
        with contextlib.suppress(ValueError):  # not the main interpreter: no signals here
            signal.signal(signal.SIGINT, _Interrupt(registry, signal.getsignal(signal.SIGINT)))


def _stop_if_interrupted(registry: Jobs, result: Any) -> None:
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt):
        registry.stop()


def _ipython_shell() -> Any:
    """Return IPython's shell where there is one, without importing IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


jobs = Jobs()
atexit.register(jobs.close)
