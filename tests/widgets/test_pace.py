"""How long something will take: said only once it is known, and fewer samples where each takes long."""

import pytest

from rllab import World
from rllab.core.jobs import Job
from rllab.widgets import StepperPanel, ValuePanel
from rllab.widgets.engine.panel import with_time_left
from rllab.widgets.shared import worlds


def test_the_time_left_follows_from_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], []
    monkeypatch.setattr("rllab.widgets.engine.panel.time.monotonic", lambda: now[0])
    job = with_time_left(Job(report=lambda *at: said.append(at)))
    for seconds, done in ((0.0, 0), (10.0, 20), (190.0, 99), (191.0, 100)):
        now[0] = seconds
        job.report(done, 100, "continuations")
    now[0] = 200.0
    job.report(30, 60, "updates")  # another count, begun in its middle
    now[0] = 210.0
    job.report(40, 60, "updates")
    assert said == [
        (0, 100, "continuations"),
        (20, 100, "continuations, about 40 s to go"),
        (99, 100, "continuations"),
        (100, 100, "continuations"),
        (30, 60, "updates"),
        (40, 60, "updates, about 20 s to go"),
    ]


def test_a_large_world_begins_with_fewer_continuations(micro: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ValuePanel(micro).samples == StepperPanel(micro).worth.samples == 64
    monkeypatch.setattr(worlds, "LARGE", 10)
    value, stepper = ValuePanel(micro), StepperPanel(micro)
    assert value.samples == stepper.worth.samples == 8
    assert ValuePanel(micro, samples=30).samples == 30
    monkeypatch.setattr(worlds, "LARGE", 10_000_000)
    for panel in (value, stepper):
        panel.set("world", "micro-tabular")
    assert value.samples == stepper.worth.samples == 64
