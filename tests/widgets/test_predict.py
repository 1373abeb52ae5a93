"""Predict without a browser: Run opens with a kept prediction, runs stop, outcomes are compared."""

from pathlib import Path

import pytest

from rllab.core.errors import LabError
from rllab.core.jobs import Job, jobs
from rllab.course.exercises import Progress
from rllab.course.exercises.progress import Prediction
from rllab.plots.charts import Curve, training_curves
from rllab.plots.drawing import Picture
from rllab.widgets import PredictPanel
from tests.widgets.panels import sent, words

OPTIONS = {"up": "it rises", "down": "it falls"}


def picture(outcome: str | float) -> Picture:
    figure = training_curves([{"y": 1.0}, {"y": 2.0}], [Curve("y", "y", "value")], y="y")
    return Picture(figure, "The curve rises by 1.", "a curve", outcome)


def rises(job: Job) -> Picture:
    job.report(1, 1, "done")
    return picture("up")


@pytest.fixture
def asked(tmp_path: Path) -> Prediction:
    return Prediction("curve", "What will the curve do?", options=OPTIONS, progress=Progress(tmp_path))


def run(panel: PredictPanel) -> None:
    panel.press("run")
    assert panel.job is not None
    assert panel.job.settle(10)


def test_run_opens_when_a_prediction_is_kept(asked: Prediction) -> None:
    panel = PredictPanel("A curve", asked, rises)
    assert panel.component("run")["disabled"]
    assert panel.component("predict")["disabled"]
    panel.press("run")
    assert panel.job is None
    panel.set("answer", ["down"])
    assert panel.component("run")["disabled"]
    panel.press("predict")
    assert asked.unlocked
    assert not panel.component("run")["disabled"]
    assert panel.component("answer")["disabled"]
    panel.set("answer", ["up"])
    assert asked.last.answer == "down"


def test_a_number_may_arrive_with_the_click_that_keeps_it(tmp_path: Path) -> None:
    asked = Prediction("size", "How large?", unit="nats", progress=Progress(tmp_path))
    panel = PredictPanel("A size", asked, rises)
    assert not panel.component("predict")["disabled"], "the box is left by the click itself"
    panel.press("predict")
    assert panel.component("alert")["text"] == "prediction is 'missing': choose one, or write a number"
    assert not asked.unlocked
    panel.set("answer", "2.5")
    panel.press("predict")
    assert asked.last.answer == 2.5
    assert panel.component("predict")["disabled"]


def test_the_outcome_is_compared_and_drawn(asked: Prediction) -> None:
    panel = PredictPanel("A curve", asked, rises)
    panel.set("answer", ["down"])
    panel.press("predict")
    run(panel)
    assert "You predicted “it falls”; it came out as “it rises”." in words(panel)
    assert "The curve rises by 1." in words(panel)
    assert words(panel, "source") == "your own run"
    assert sent(panel)["c_picture"]["alt"] == "a curve"
    assert [badge["kind"] for badge in panel.component("badges")["badges"]] == ["average"]


def test_a_prediction_outlives_the_panel(asked: Prediction) -> None:
    panel = PredictPanel("A curve", asked, rises)
    panel.set("answer", ["up"])
    panel.press("predict")
    later = PredictPanel("A curve", asked, rises)
    assert later.component("answer")["chosen"] == ["up"]
    run(later)
    assert "You were right" in words(later)
    later.press("again")
    assert later.component("run")["disabled"]
    assert later.component("answer")["chosen"] == []


def test_a_recorded_run_says_so_until_the_learner_runs_one(asked: Prediction) -> None:
    panel = PredictPanel("A curve", asked, rises, recorded=picture("down"))
    assert panel.component("recorded")["disabled"]
    panel.set("answer", ["up"])
    panel.press("predict")
    panel.press("recorded")
    assert words(panel, "source").startswith("recorded")
    run(panel)
    assert words(panel, "source") == "your own run"


def test_a_run_can_be_stopped_and_gives_no_outcome(asked: Prediction) -> None:
    def endless(job: Job) -> Picture:
        job.report(0, 0, "going on")
        job.pause(10)
        return picture("up")

    panel = PredictPanel("A curve", asked, endless)
    panel.set("answer", ["up"])
    panel.press("predict")
    panel.press("run")
    assert panel.component("run")["disabled"]
    panel.refresh()
    assert panel.component("progress")["text"] in {"going on", "starting"}
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(5)
    assert panel.verdict is None
    assert "c_picture" not in sent(panel)
    assert jobs.current is None


def test_an_error_in_the_run_is_a_sentence(asked: Prediction) -> None:
    def broken(job: Job) -> Picture:
        raise LabError("length", 0, "choose at least 1")

    panel = PredictPanel("A curve", asked, broken)
    panel.set("answer", ["up"])
    panel.press("predict")
    run(panel)
    assert panel.component("alert")["text"] == "length is 0: choose at least 1"


def test_a_number_is_predicted_in_a_box(tmp_path: Path) -> None:
    asked = Prediction("factor", "By what factor?", unit="times", progress=Progress(tmp_path))
    panel = PredictPanel("A factor", asked, lambda job: picture(21.1))
    panel.set("answer", "many")
    assert "write a number" in panel.alert
    panel.set("answer", "20")
    panel.press("predict")
    run(panel)
    assert "You predicted 20 times; it came out as 21.1 times. You were right." in words(panel)
