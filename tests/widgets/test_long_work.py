"""Long work is the same in every panel: one Stop, one progress, a busy world, a free panel afterwards."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rllab import LabError, Trainer, World
from rllab.core.jobs import Job
from rllab.course.exercises import Progress
from rllab.course.exercises.progress import Prediction
from rllab.widgets import (
    AdvantagePanel,
    BoardPanel,
    ClinicPanel,
    ExactTreePanel,
    LabelPanel,
    MicroscopePanel,
    ObservatoryPanel,
    PredictPanel,
    RewardPanel,
    SameBatchPanel,
    StepperPanel,
    TrainingPanel,
    ValuePanel,
)
from rllab.widgets.engine.panel import Panel
from rllab.widgets.shared.worlds import WorldPanel

PANELS: dict[type[Panel], Callable[[World, Path], Panel]] = {
    **{
        panel: lambda world, _folder, panel=panel: panel(world)
        for panel in (
            AdvantagePanel,
            ClinicPanel,
            ExactTreePanel,
            MicroscopePanel,
            ObservatoryPanel,
            RewardPanel,
            SameBatchPanel,
            StepperPanel,
            TrainingPanel,
            ValuePanel,
        )
    },
    LabelPanel: lambda world, folder: LabelPanel(world, path=folder / "labels.jsonl"),
    BoardPanel: lambda world, folder: BoardPanel("07.order", trainer=Trainer(world), progress=Progress(folder)),
    PredictPanel: lambda _world, folder: PredictPanel(
        "Curve", Prediction("curve", "Up?", options={"up": "yes"}, progress=Progress(folder)), lambda job: None
    ),
}


@pytest.fixture(params=PANELS, ids=lambda panel: panel.__name__)
def panel(request: pytest.FixtureRequest, micro: World, tmp_path: Path) -> Iterator[Panel]:
    made = PANELS[request.param](micro, tmp_path)
    if made.job is not None:  # a tree begins to grow at once
        assert made.job.settle(60)
    yield made
    made.close()


class Counting:
    """Work that counts until it is stopped, and then ends when the test lets it."""

    def __init__(self, panel: Panel) -> None:
        self.counts, self.may_end = threading.Event(), threading.Event()
        panel.start_job("counting to ten", self.work)
        assert self.counts.wait(5)
        panel.refresh()

    def work(self, job: Job) -> None:
        job.report(3, 10, "counting")
        self.counts.set()
        assert job.pause(30)
        assert self.may_end.wait(5)
        job.check()


def test_stop_and_progress_are_those_of_every_panel(panel: Panel) -> None:
    def state() -> tuple[bool, str, object]:
        stop, progress, root = (panel.component(key) for key in ("stop", "progress", "root"))
        return not stop["disabled"], progress["text"], root["shortcuts"].get("s")

    own = panel.component("root")["shortcuts"].get("s")
    assert state() == (False, "", own)
    counting = Counting(panel)
    assert state() == (True, "counting", "stop")
    panel.press("stop")
    assert panel.component("progress")["text"] == "stopping"
    counting.may_end.set()
    assert panel.job is not None
    assert panel.job.settle(5)
    assert (panel.alert, panel.busy, state()) == ("", False, (False, "", own))


def test_the_world_is_kept_while_work_runs_in_it(panel: Panel) -> None:
    if not isinstance(panel, WorldPanel):
        assert not panel.has("world")
        return
    counting = Counting(panel)
    assert panel.component("world")["disabled"]
    with pytest.raises(LabError, match="counting to ten"):
        panel.choose_world("micro-tabular")
    assert panel.component("world")["value"] == "micro"
    panel.stop()
    counting.may_end.set()
    assert panel.job is not None
    assert panel.job.settle(5)
    panel.choose_world("micro-tabular")
    panel.refresh()
    assert panel.component("world")["value"] == "micro-tabular"
