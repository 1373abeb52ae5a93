"""Every experiment shows its signature at the fast size and in its recorded run, reports its progress and stops."""

import contextlib
import functools
import itertools
import json
import threading
import time
from dataclasses import asdict
from types import ModuleType
from typing import Any

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.files import data_dir
from rllab.core.jobs import Job
from rllab.course.experiments import NAMES, load_experiment, recorded, recorded_result
from rllab.course.experiments.__main__ import RECORDED

WATCHED = ("noise_by_length", "gae_lambda", "baselines", "best_of_n_kl", "kl_frontier", "kl_estimators")
PATIENCE = 1.0  # seconds of this thread's own work between two checks
WATCH = 2.0  # seconds of it that are watched


@pytest.fixture(params=NAMES)
def experiment(request: pytest.FixtureRequest) -> ModuleType:
    return load_experiment(request.param)


def test_the_fast_run_has_the_signature_and_reports_its_progress(experiment: ModuleType) -> None:
    reports: list[tuple[int, int, str]] = []
    job = Job(report=lambda done, total, text: reports.append((done, total, text)))
    assert experiment.check_signature(experiment.run(experiment.FAST, job=job)) == []
    done, totals, texts = zip(*reports, strict=True)
    steps = {after - before for before, after in itertools.pairwise(done)}
    assert len(steps) == len(set(totals)) == 1
    step, total = steps.pop(), totals[0]
    assert (done[0], done[-1]) in {(0, total - step), (step, total), (0, total)}
    assert all(texts)


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_run_has_the_signature(name: str) -> None:
    """It was made at today's size by the command it names, and comes back as the result that was saved."""
    stem, _, further = name.partition("-")
    experiment, content = load_experiment(stem), recorded(name)
    result = recorded_result(experiment, size=further)
    assert experiment.check_signature(result) == []
    assert as_json(result) == content["result"]
    assert as_json(getattr(experiment, (further or "workshop").upper())) == content["size"]
    assert content["command"] == f"python -m rllab.course.experiments {name}"


def test_every_record_belongs_to_an_experiment() -> None:
    assert sorted(path.stem for path in (data_dir() / "runs").glob("*.json")) == sorted(RECORDED)


def as_json(record: Any) -> Any:
    return json.loads(json.dumps(asdict(record)))


def test_it_stops(experiment: ModuleType) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        experiment.run(experiment.FAST, job=Job(stop))


class Watch(threading.Event):
    """A stop event that records how much work is done between two checks, and stops the run in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.began = self.last = time.thread_time()
        self.longest = 0.0

    def is_set(self) -> bool:
        now = time.thread_time()
        self.longest, self.last = max(self.longest, now - self.last), now
        return now - self.began > WATCH


@functools.cache
def first_step() -> None:
    """Take one optimizer step: the first in a process loads torch's compiler, a second or more that is no work."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()


@pytest.mark.parametrize("name", WATCHED)
def test_at_its_full_size_it_checks_for_stop_more_than_once_a_second(name: str) -> None:
    first_step()
    experiment, watch = load_experiment(name), Watch()
    with contextlib.suppress(Stopped):
        experiment.run(experiment.WORKSHOP, job=Job(watch))
    assert watch.last > watch.began
    assert watch.longest < PATIENCE
