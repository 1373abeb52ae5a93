"""A run that is watched: after every few updates its policy is measured on the same prompts and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rllab.core.config import check_count
from rllab.core.errors import Stopped
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord
from rllab.course.observatory.points import Curve, Point, gold_of, measure
from rllab.worlds.world import World


class Run(Protocol):
    """What can be watched: a run with a world and a past of its own."""

    @property
    def world(self) -> World:
        """Return the world with the policy as it is now."""
        ...

    @property
    def history(self) -> Sequence[UpdateRecord]:
        """Return the updates done."""
        ...

    def run(self, n: int, *, job: Job = NO_JOB) -> None:
        """Do n updates."""
        ...


class Watch:
    """A run and what has been measured of it; stopped, it goes on from where it is."""

    def __init__(
        self,
        run: Run,
        *,
        method: str,
        every: int = 5,
        prompts: Sequence[str] | None = None,
        samples: int = 96,
        seed: int = 0,
    ) -> None:
        gold_of(run.world)  # says now that there is none
        check_count("every", every)
        check_count("samples", samples)
        self.run, self.method, self.every = run, method, every
        self.prompts, self.samples, self.seed = prompts, samples, seed
        self.points: tuple[Point, ...] = ()
        self._first = len(run.history)

    @property
    def curve(self) -> Curve:
        """Return what has been measured so far."""
        return Curve(self.method, self.points)

    @property
    def done(self) -> int:
        """Return how many updates were watched."""
        return len(self.run.history) - self._first

    def go_on(self, updates: int, *, job: Job = NO_JOB, before: Callable[[], None] = lambda: None) -> None:
        """Do so many updates more; `before` is called before each of them. An unfinished one leaves no trace."""
        check_count("updates", updates)
        first = self.done
        try:
            if not self.points:
                self._measure(job)
            while self.done < first + updates:
                self._say(first, updates, job)
                before()
                self.run.run(1, job=job.quiet())
                if job.stopped:
                    return
                if self.done % self.every == 0 or self.done == first + updates:
                    self._measure(job)
            self._say(first, updates, job)
        except Stopped:
            pass

    def _measure(self, job: Job) -> None:
        world, step = self.run.world, self.done
        point = measure(world, step=step, prompts=self.prompts, samples=self.samples, seed=self.seed, job=job)
        self.points = (*self.points, point)

    def _say(self, first: int, updates: int, job: Job) -> None:
        last = self.points[-1]
        words = f"{self.method}, update {self.done}: proxy {last.proxy:.2f}, KL {last.kl:.2f} nats at {last.step}"
        job.report(self.done - first, updates, words)


def watch(
    run: Run,
    *,
    method: str,
    updates: int,
    every: int = 5,
    prompts: Sequence[str] | None = None,
    samples: int = 96,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Curve:
    """Let a run go on for some updates, and return its way; stopped, as much of it as was measured."""
    watched = Watch(run, method=method, every=every, prompts=prompts, samples=samples, seed=seed)
    watched.go_on(updates, job=job)
    return watched.curve
