"""Fifty updates that break in the middle, by lack of memory or by a Ctrl-C, leave the run as it was each time."""

import random
import signal
import time

import pytest

from rllab.core.errors import LabError
from rllab.trainer.stages import STAGES, Stages
from rllab.worlds import load_world
from tests.trainer.small_run import same, small_run

TIMES = 50


class Trip:
    """Stages that raise an error at a chosen call, before or after the stage has done its work."""

    def __init__(self) -> None:
        self.calls, self.at, self.error, self.after = 0, -1, None, False

    def set(self, at, error, *, after):
        self.calls, self.at, self.error, self.after = 0, at, error, after

    def stages(self):
        return Stages(
            **{name: self.wrap(getattr(STAGES, name)) for name in ("rollout", "score", "targets", "loss", "step")}
        )

    def wrap(self, stage):
        def tripping(*arguments):
            self.calls += 1
            if self.calls == self.at and not self.after:
                raise self.error
            made = stage(*arguments)
            if self.calls == self.at:
                raise self.error
            return made

        return tripping


def test_fifty_errors_at_any_stage_leave_the_run_as_it_was():
    trip, chance = Trip(), random.Random(0)
    broken = small_run(load_world("micro"), stages=trip.stages(), micro_batch_size=12)
    whole = small_run(load_world("micro"), stages=trip.stages(), micro_batch_size=12)
    trip.set(-1, None, after=False)
    broken.run(2)
    whole.run(2)
    calls = trip.calls // 4  # in one update
    assert calls == 3 + 4 * (2 + 1)
    for time_ in range(TIMES):
        error = (MemoryError(), KeyboardInterrupt())[time_ % 2]
        trip.set(chance.randint(1, calls), error, after=chance.random() < 0.5)
        with pytest.raises((LabError, KeyboardInterrupt)) as told:
            broken.update()
        assert isinstance(told.value, KeyboardInterrupt) or "did not fit into memory and was undone" in str(told.value)
        assert same(broken, whole)
    trip.set(-1, None, after=False)
    broken.run(2)
    whole.run(2)
    assert same(broken, whole)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends a signal")
def test_a_ctrl_c_at_any_moment_leaves_the_run_before_or_after_an_update():
    broken, whole = small_run(), small_run()
    began = time.perf_counter()
    broken.run(2)
    whole.run(2)
    seconds, chance, before = (time.perf_counter() - began) / 4, random.Random(1), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, signal.default_int_handler)  # what Ctrl-C does, at a moment of chance
    broke = 0
    try:
        for _ in range(TIMES):
            try:
                signal.setitimer(signal.ITIMER_REAL, max(1e-4, chance.uniform(0.05, 0.9) * seconds))
                broken.update()
            except KeyboardInterrupt:
                broke += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            if broken.index > whole.index:  # the update was quicker than the timer
                whole.update()
            assert same(broken, whole)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert broke >= TIMES // 4
    assert broken.update() == whole.update()
