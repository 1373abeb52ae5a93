"""At their full size experiments ask about Stop more than once a second, whatever else the machine does."""

import contextlib
import threading
import time

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import baselines, best_of_n_kl, gae_lambda, kl_estimators, kl_frontier, noise_by_length

PATIENCE = 1.0  # seconds of this thread's own work between two questions
WATCHED = 2.0  # seconds of it that are watched


class Watch(threading.Event):
    """A stop event that notes how much work is done between two looks at it, and stops in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.began = self.last = time.thread_time()
        self.longest = 0.0

    def is_set(self) -> bool:
        now = time.thread_time()
        self.longest, self.last = max(self.longest, now - self.last), now
        return now - self.began > WATCHED


@pytest.fixture(scope="module", autouse=True)
def first_step() -> None:
    """Take one optimizer step: the first in a process loads torch's compiler, a second or more that is no work."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()


@pytest.mark.parametrize(
    "experiment",
    [noise_by_length, gae_lambda, baselines, best_of_n_kl, kl_frontier, kl_estimators],
    ids=lambda one: one.__name__.rpartition(".")[2],
)
def test_stop_is_asked_about_more_than_once_a_second(experiment) -> None:
    watch = Watch()
    with contextlib.suppress(Stopped):
        experiment.run(experiment.WORKSHOP, job=Job(watch))
    assert watch.last > watch.began
    assert watch.longest < PATIENCE
