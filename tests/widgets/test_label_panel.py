"""The label panel without a browser: keys become labels on the disk, labels become a reward, numbers are counts."""

import dataclasses
import math
from pathlib import Path

import pytest

from rllab import LabError, World, load_world
from rllab.preferences.agreement import agreement, repeated_by
from rllab.preferences.labels import LabelStore
from rllab.preferences.pairs import Pair, load_pairs, save_pairs
from rllab.widgets import LabelPanel, TrainingPanel
from rllab.widgets.engine.panel import Panel
from tests.widgets.panels import lines, numbers, sent, words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


@pytest.fixture
def panel(micro: World, path: Path) -> LabelPanel:
    made = LabelPanel(micro, path=path)
    run(made, "draw")
    return made


def run(panel: Panel, key: str) -> None:
    panel.press(key)
    settle(panel)


def settle(panel: Panel) -> None:
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == "", panel.last_traceback


def label(panel: LabelPanel, count: int) -> None:
    """Prefer the response with more letters, so that there is something to learn."""
    for _ in range(count):
        if not panel.session.questions:
            settle(panel)
        asked = panel.session.questions[0]
        panel.press("first" if len(asked.first) > len(asked.second) else "second")
    settle(panel)


def test_what_stands_on_the_screen_is_what_is_written_down(panel: LabelPanel, path: Path) -> None:
    for key in ("first", "second", "first"):
        shown = {side: panel.component(f"text-{side}")["text"] for side in ("first", "second")}
        prompt = panel.component("asked")["spans"][1]["text"]
        panel.press(key)
        last = load_pairs(path)[-1]
        other = "second" if key == "first" else "first"
        empty = {"(nothing)": ""}
        assert (last.prompt, last.judge) == (prompt, "you")
        assert last.chosen == empty.get(shown[key], shown[key])
        assert last.rejected == empty.get(shown[other], shown[other])
    assert "3 labels" in words(panel, "where")


def test_tie_skip_and_undo(panel: LabelPanel, path: Path) -> None:
    first = panel.session.questions[0]
    panel.press("tie")
    assert [tie.first for tie in LabelStore(path).ties] == [first.first]
    second = panel.session.questions[0]
    panel.press("skip")
    assert len(LabelStore(path)) == 1
    assert second not in panel.session.questions
    panel.press("undo")
    assert panel.session.questions[0] == first
    assert len(LabelStore(path)) == 0
    assert panel.component("undo")["disabled"]


def test_keys_name_the_buttons(panel: LabelPanel) -> None:
    keys = panel.component("root")["shortcuts"]
    assert {key: keys[key] for key in "12tnu"} == {
        "1": "first",
        "2": "second",
        "t": "tie",
        "n": "skip",
        "u": "undo",
    }
    assert all(panel.has(component) for component in keys.values())


def test_at_the_end_of_the_line_new_pairs_come_by_themselves(panel: LabelPanel) -> None:
    asked = list(panel.session.questions)
    label(panel, len(asked))
    assert panel.session.questions
    shown = {(one.prompt, frozenset((one.first, one.second))) for one in asked}
    assert not shown & {
        (question.prompt, frozenset((question.first, question.second))) for question in panel.session.questions
    }


def test_a_new_panel_on_the_same_file_goes_on(panel: LabelPanel, micro: World, path: Path) -> None:
    label(panel, 4)
    again = LabelPanel(micro, path=path)
    assert len(again.session.store) == 4
    last = load_pairs(path)[-1]
    again.press("undo")
    asked = again.session.questions[0]
    assert {asked.first, asked.second} == {last.chosen, last.rejected}
    assert asked.first < asked.second  # so the order does not tell what was chosen


def test_a_refit_is_told_in_counts_and_drawn(panel: LabelPanel, micro: World) -> None:
    label(panel, 24)
    run(panel, "refit")
    report, fit = panel.session.reports[-1], panel.session.fit
    assert fit is not None
    assert panel.session.reward is not None
    assert report.held_out == agreement(micro, panel.session.reward, fit.held_out)
    assert report.labels == len(fit.pairs) + len(fit.held_out) == len(panel.session.store.pairs)
    kept = report.held_out
    right = f"{kept.ranked_alike:.0f}" if float(kept.ranked_alike).is_integer() else f"{kept.ranked_alike:.1f}"
    assert f"Fitted to {len(fit.pairs)} labels, the reward ranks {right} of {kept.pairs}" in words(panel)
    assert numbers(words(panel))[-2:] == [round(kept.loss, 2), round(math.log(2), 2)]
    assert lines(panel, "accuracy")["held-out accuracy"] == [kept.accuracy]
    assert lines(panel, "calibration")["pairs kept aside"] == [one.observed for one in kept.calibration]
    label(panel, 6)
    run(panel, "refit")
    assert panel.session.fit is fit  # it went on from where it was
    assert len(lines(panel, "accuracy")["held-out accuracy"]) == 2
    assert [badge["kind"] for badge in panel.component("badges")["badges"]] == ["monte-carlo", "learned"]
    sent(panel)


def test_a_label_that_was_taken_back_is_forgotten_by_the_fit(panel: LabelPanel) -> None:
    label(panel, 12)
    run(panel, "refit")
    before = panel.session.fit
    panel.press("undo")
    run(panel, "refit")
    assert panel.session.fit is not before
    assert panel.session.reports[-1].labels == panel.session.reports[0].labels - 1


def test_a_simulated_judge_answers_and_has_a_ceiling(panel: LabelPanel, micro: World) -> None:
    for _ in range(3):
        run(panel, "let")
    assert {pair.judge for pair in panel.session.store.pairs} == {"ada"}
    run(panel, "refit")
    judged = panel.session.reports[-1].judged
    assert judged is not None
    assert judged.expected <= judged.ceiling
    assert lines(panel, "accuracy")["Bayes ceiling"] == [judged.ceiling]
    assert f"{100 * judged.ceiling:.0f}%, the Bayes ceiling" in words(panel)
    assert "exact" in [badge["kind"] for badge in panel.component("badges")["badges"]]


def test_the_learner_is_held_against_judge_and_gold_when_asked(panel: LabelPanel, micro: World) -> None:
    label(panel, 8)
    own = panel.session.own
    assert len(own) == 8
    panel.set("teacher", "cleo")
    panel.press("beside")
    found = repeated_by(micro, own, panel.session.judges["cleo"])
    assert f"cleo would agree with you on {100 * found.expected:.0f}%" in words(panel)
    run(panel, "reveal")
    assert micro.gold is not None
    alike = agreement(micro, micro.gold, own).ranked_alike
    assert f"{alike:.0f} of 8" in words(panel) or f"{alike:.1f} of 8" in words(panel)


def test_the_reward_is_carried_to_training(micro: World, path: Path) -> None:
    training = TrainingPanel(micro, updates=1)
    panel = LabelPanel(micro, path=path, carry=training.train_on)
    with pytest.raises(LabError, match="refit first"):
        _ = panel.carried
    assert panel.component("carry")["disabled"]
    run(panel, "draw")
    label(panel, 10)
    run(panel, "refit")
    panel.press("carry")
    assert panel.alert == ""
    carried = training.trainer.world
    assert carried.reward is panel.session.reward is panel.carried.reward
    assert carried.objective.reward is panel.session.reward
    assert "in training now" in words(panel)
    assert f"micro with “{carried.reward.name}”" in words(training, "where")
    training.set("world", "micro")
    assert training.trainer.world.reward.name == micro.reward.name
    training.set("world", carried.title)
    run(training, "one")
    assert len(training.trainer.history) == 1


def test_import_keeps_good_lines_and_names_bad_ones(panel: LabelPanel, tmp_path: Path, path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    save_pairs(file, [Pair("cat is", "happy", "sad"), Pair("cat is", "zebra", "sad"), Pair("cat is", "happy", "sad")])
    file.write_bytes(file.read_bytes() + b"no pair\n")
    panel.set("file", str(file))
    panel.press("import")
    assert load_pairs(path) == [Pair("cat is", "happy", "sad")]
    assert "1 new pair" in words(panel)
    assert "line 4" in words(panel)
    assert "1 more" in words(panel)
    panel.press("import")
    assert "0 new pairs" in words(panel)
    panel.set("file", str(tmp_path / "ours.jsonl"))
    panel.press("export")
    assert load_pairs(tmp_path / "ours.jsonl") == load_pairs(path)
    panel.set("file", str(tmp_path / "none.jsonl"))
    panel.press("import")
    assert "there is no such file" in panel.alert


def test_ties_alone_and_one_label_teach_nothing(panel: LabelPanel) -> None:
    panel.press("tie")
    panel.press("refit")
    assert "prefer one in two pairs" in panel.alert
    panel.press("first")
    panel.press("refit")
    assert panel.job is not None
    assert panel.job.settle(30)
    assert "at least two" in panel.alert
    assert panel.session.reports == []


def test_contradictions_are_told(panel: LabelPanel, tmp_path: Path) -> None:
    file = tmp_path / "both.jsonl"
    save_pairs(file, [Pair("cat is", "happy", "sad"), Pair("cat is", "sad", "happy")])
    panel.set("file", str(file))
    panel.press("import")
    panel.press("skip")
    panel.session.reports.clear()
    panel.told = None
    panel.refresh()
    assert "2 labels contradict each other" in words(panel)


def test_stop_leaves_labels_and_reward_as_they_were(panel: LabelPanel, path: Path) -> None:
    label(panel, 8)
    run(panel, "refit")
    before, reward = load_pairs(path), panel.session.reward
    panel.press("refit")
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(2)
    assert load_pairs(path) == before
    assert panel.session.reward is reward or len(panel.session.reports) == 2


def test_a_full_disk_is_a_sentence_and_the_pair_stays(panel: LabelPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    asked = panel.session.questions[0]
    monkeypatch.setattr("os.fsync", full)
    panel.press("first")
    monkeypatch.undo()
    assert "make room" in panel.alert
    assert panel.session.questions[0] == asked
    assert len(panel.session.store) == 0


def test_another_world_has_a_file_of_its_own(panel: LabelPanel, path: Path) -> None:
    label(panel, 2)
    panel.set("world", "micro-tabular")
    assert panel.alert == ""
    assert panel.session.store.path == path.parent / "micro-tabular.jsonl"
    panel.set("world", "micro")
    assert len(panel.session.store) == 2


def test_a_world_without_gold_has_no_simulated_judges(micro: World, path: Path) -> None:
    panel = LabelPanel(dataclasses.replace(micro, gold=None), path=path)
    assert not panel.has("teacher")
    assert not panel.has("reveal")
    with pytest.raises(LabError, match="no gold judge"):
        panel.session.reveal()
    with pytest.raises(LabError, match="this world has no gold"):
        panel.session.let_judge("ada")


def test_labels_go_to_the_users_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLLAB_HOME", str(tmp_path))
    panel = LabelPanel(load_world("micro"))
    run(panel, "draw")
    panel.press("first")
    assert len(load_pairs(tmp_path / "labels" / "micro.jsonl")) == 1
    assert str(tmp_path) in words(panel, "store")
