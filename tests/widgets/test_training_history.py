"""The training panel's history and comparison: rewind, undo, overlaid runs, diagnostics, several seeds, placebos."""

import time
from collections.abc import Iterator

import pytest
import torch

from rllab import LabError, Trainer, World
from rllab.trainer.comparison import MOST, KeptRuns
from rllab.trainer.diagnostics import diagnose, summary
from rllab.widgets import TrainingPanel
from tests.patience import SOON
from tests.widgets.panels import lines, sent, words


@pytest.fixture
def panel(micro: World) -> Iterator[TrainingPanel]:
    made = TrainingPanel(micro, updates=3)
    yield made
    made.close()
    if made.job is not None:
        assert made.job.settle(10)


def act(panel: TrainingPanel, key: str, value: object = None) -> None:
    """Press a button or set a box, and wait for what it started."""
    panel.press(key) if value is None else panel.set(key, value)
    assert panel.alert == "", panel.last_traceback
    if panel.job is not None:
        assert panel.job.settle(60)
    assert panel.alert == "", panel.last_traceback


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.world.policy.model.parameters()]).clone()


def scores(trainer: Trainer) -> list[float]:
    return [record.metrics["objective/scores"] for record in trainer.history]


def test_rewind_goes_to_the_update_and_undo_has_the_rest_back(panel: TrainingPanel) -> None:
    act(panel, "start")
    three, history = weights(panel.trainer), scores(panel.trainer)
    act(panel, "rewind", "1")
    assert (panel.trainer.index, panel.sampled_at) == (1, 1)
    assert panel.component("undo")["label"] == "Undo rewind"
    assert lines(panel, "score")["reward model"] == pytest.approx(history[:1])
    act(panel, "undo")
    assert scores(panel.trainer) == history
    assert torch.equal(weights(panel.trainer), three)
    assert panel.component("undo")["disabled"]
    sent(panel)


def test_a_rewound_run_goes_the_same_way_again(panel: TrainingPanel) -> None:
    act(panel, "start")
    three = weights(panel.trainer)
    act(panel, "rewind", "1")
    act(panel, "start")
    assert torch.equal(weights(panel.trainer), three)


def test_undo_takes_updates_back(panel: TrainingPanel) -> None:
    act(panel, "one")
    one = weights(panel.trainer)
    act(panel, "start")
    act(panel, "undo")
    assert panel.trainer.index == 1
    assert torch.equal(weights(panel.trainer), one)


@pytest.mark.parametrize(("key", "value"), [("again", None), ("algorithm", "rloo"), ("world", "micro-tabular")])
def test_undo_returns_to_a_run_that_was_left(panel: TrainingPanel, key: str, value: str | None) -> None:
    act(panel, "start")
    three = weights(panel.trainer)
    act(panel, key, value)
    assert panel.trainer.index == 0
    act(panel, "undo")
    assert (panel.trainer.algorithm.name, panel.trainer.world.name, panel.trainer.index) == ("ppo", "micro", 3)
    assert torch.equal(weights(panel.trainer), three)
    act(panel, "one")  # it goes on
    assert panel.trainer.index == 4


@pytest.mark.parametrize("value", ["4", "-1", "one", "1.5", ""])
def test_an_update_that_is_none_is_a_sentence(panel: TrainingPanel, value: str) -> None:
    act(panel, "start")
    before = weights(panel.trainer)
    panel.set("rewind", value)
    assert panel.component("alert")["text"]
    assert panel.trainer.index == 3
    assert torch.equal(weights(panel.trainer), before)


def test_a_copy_beside_stays_and_its_curves_lie_under_the_run(panel: TrainingPanel) -> None:
    act(panel, "start")
    act(panel, "keep")
    assert "It has the same settings and seed." in words(panel, "kept-a-words")
    kept = scores(panel.trainer)
    act(panel, "rewind", "1")
    panel.set("kl-coef", "0.7")
    panel.set("updates", "4")
    act(panel, "start")
    drawn = lines(panel, "score")
    assert drawn["A: reward model"] == pytest.approx(kept)
    assert drawn["reward model"] == pytest.approx(scores(panel.trainer))
    assert "It differs in changed on the way: no, here from update 2" in words(panel, "kept-a-words")
    act(panel, "go-a")
    assert scores(panel.trainer) == kept
    assert lines(panel, "score")["A: reward model"] != pytest.approx(kept)  # they have changed places
    act(panel, "drop-a")
    assert list(panel.kept_runs) == []
    assert set(lines(panel, "score")) == {"reward model", "gold"}
    sent(panel)


def test_the_difference_of_two_runs_is_told(micro: World) -> None:
    shelf, first = KeptRuns(), Trainer(micro, "ppo", micro.config("ppo", kl_coef=0.3, batch_size=16))
    with pytest.raises(LabError, match="no finished update"):
        shelf.keep(first)
    first.update()
    letters = [shelf.keep(first) for _ in range(MOST)]
    assert letters == list("ABCD")
    with pytest.raises(LabError, match="drop one first"):
        shelf.keep(first)
    with pytest.raises(LabError, match="choose one of A, B, C, D"):
        shelf.run("E")
    other = Trainer(micro, "ppo", micro.config("ppo", batch_size=16), seed=1)
    assert shelf.difference("A", other).startswith("cannot be compared")
    other.update()
    assert shelf.difference("A", other) == "differs in kl_coef: 0.3, here 0.1"
    twin = Trainer(micro, "ppo", first.config, seed=1)
    twin.update()
    assert shelf.difference("A", twin) == "has seed 0, here 1"
    shelf.drop("B")
    assert shelf.keep(twin) == "B"


def test_the_checkup_says_what_diagnose_finds(panel: TrainingPanel) -> None:
    act(panel, "start")
    found = diagnose(panel.trainer.history)
    assert words(panel, "checkup") == f"Checkup: {summary(found)}"
    for place, one in enumerate(found):
        told = words(panel, f"checkup-{place}")
        assert one.name in told
        assert one.seen in told
        assert panel.component(f"checkup-{place}")["good"] == (one.severity == "note")


def test_the_checkup_reads_a_history_of_any_length(micro: World) -> None:
    trainer = Trainer(micro, "ppo", micro.config("ppo", batch_size=16))
    for _ in range(4):
        trainer.update()
        assert not [one for one in diagnose(trainer.history) if one.severity == "ill"]


def test_one_switch_trains_seeds_and_control_arms_and_shows_bands(panel: TrainingPanel) -> None:
    panel.set("updates", "2")
    panel.set("seeds", "3")
    assert panel.component("start")["label"] == "Start the seeds"
    act(panel, "start")
    assert panel.trainer.index == 0  # the panel's own run is left alone
    study = panel.study
    assert study is not None
    assert study.seeds == (0, 1, 2)
    drawn = lines(panel, "study-chart")
    for arm, band in study.bands().items():
        assert drawn[arm] == pytest.approx(band.mean)
        assert drawn[f"{arm}\u2069, 95%".replace("\u2069", "")] == pytest.approx([*band.high, *reversed(band.low)])
    assert [words(panel, f"verdict-{place}") for place in range(3)] == study.verdict()
    sent(panel)
    panel.set("seeds", "1")
    act(panel, "start")
    assert panel.trainer.index == 2


def test_a_study_stops_within_a_second_and_leaves_nothing(panel: TrainingPanel) -> None:
    panel.set("updates", "500")
    panel.set("seeds", "5")
    panel.press("start")
    time.sleep(0.3)
    began = time.monotonic()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.wait(5)
    assert time.monotonic() - began < SOON
    assert panel.job.settle(10)
    assert (panel.alert, panel.study) == ("", None)
    assert not panel.component("start")["disabled"]


def test_a_second_start_on_a_running_trainer_is_refused(panel: TrainingPanel) -> None:
    other = TrainingPanel(panel.trainer, updates=5)
    panel.set("updates", "500")
    panel.press("start")
    while not panel.trainer.history:
        time.sleep(0.01)
    for key in ("start", "one"):
        other.press(key)
        assert "PPO on micro" in other.component("alert")["text"]
    for _ in range(20):  # in an update and between two
        with pytest.raises(LabError, match="an update is under way already"):
            panel.trainer.run(1)
        time.sleep(0.02)
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(10)
    other.close()
