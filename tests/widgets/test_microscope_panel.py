"""The microscope without a browser: what is drawn is what was measured, and keep, half and undo move the run."""

import pytest
import torch

from rllab import Trainer, World, load_world
from rllab.trainer.microscope import examine
from rllab.widgets import MicroscopePanel
from tests.trainer.small_run import same, small_run
from tests.widgets.panels import lines, numbers, sent, shown, words


def stepped(panel: MicroscopePanel) -> MicroscopePanel:
    panel.press("step")
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == "", panel.last_traceback
    assert panel.seen is not None
    return panel


@pytest.fixture
def panel(micro: World) -> MicroscopePanel:
    return stepped(MicroscopePanel(small_run(micro)))


def test_a_step_is_taken_on_a_copy(micro: World) -> None:
    run = small_run(micro)
    panel = MicroscopePanel(run)
    assert panel.component("keep")["disabled"]
    assert "copy" in words(panel)
    before = run.fork()
    stepped(panel)
    assert run.index == 0
    assert same(run, before)
    assert not panel.component("keep")["disabled"]


def test_the_bars_are_what_examine_measured(panel: MicroscopePanel, micro: World) -> None:
    seen = panel.seen
    assert seen is not None
    again = examine(small_run(micro), [seen.states[panel.state]])
    order = again.before.logprobs[0].argsort(descending=True)
    drawn = lines(panel, "changes")
    assert drawn["measured"] == pytest.approx(again.measured.logprobs[0][order].tolist())
    assert drawn["predicted"] == pytest.approx(again.predicted.logprobs[0][order].tolist())
    before, after = (one.logprobs[0].exp()[order].tolist() for one in (again.before, again.after))
    pictured = lines(panel, "probabilities")
    assert pictured["before"] == pytest.approx(before)
    assert pictured["after"] == pytest.approx(after)
    table = panel.component("candidates")["rows"]
    assert len(table) == micro.policy.vocabulary


def test_the_sentence_quotes_the_token_that_moved_most(panel: MicroscopePanel) -> None:
    for at in range(len(panel.text.ids)):
        panel.set("strip", at)
        pictured = lines(panel, "probabilities")
        pairs = list(zip(pictured["before"], pictured["after"], strict=True))
        before, after = max(pairs, key=lambda pair: abs(pair[1] - pair[0]))
        said = numbers(words(panel))
        assert said[0] == pytest.approx(before, abs=5e-4)
        assert said[1] == pytest.approx(after, abs=5e-4)


def test_chips_show_change_ratio_weight_and_value_of_the_batch_itself(panel: MicroscopePanel) -> None:
    seen, row = panel.seen, panel.text.row
    assert seen is not None
    size = len(panel.text.ids)
    change = (seen.batch.logprobs - seen.update.rollout.logprobs)[row, :size]
    expected = {
        "change": change,
        "ratio": seen.batch.ratio[row, :size],
        "weight": seen.update.targets.policy_weights[row, :size],
        "value": seen.measured.values,
    }
    for mark, numbers_ in expected.items():
        panel.set("mark", mark)
        items = panel.component("strip")["items"]
        for item, number in zip(items, numbers_.tolist(), strict=True):
            assert numbers(item["n"])[0] == pytest.approx(number, abs=0.006)
    held = [bool(item.get("f")) for item in panel.component("strip")["items"]]
    assert held == seen.batch.clipped[row, :size].tolist()
    assert f"hold back {int(seen.batch.clipped.sum())} of" in words(panel, "clip") or not seen.batch.clipped.any()


def test_another_response_and_a_text_of_ones_own(panel: MicroscopePanel) -> None:
    update = panel.seen.update if panel.seen else None
    panel.set("text", "5")
    assert panel.alert == ""
    assert panel.seen is not None
    assert panel.seen.update is update  # the same step, seen elsewhere
    assert panel.text.row == 5
    panel.set("text", "own")
    panel.set("prompt", "happy dog")
    panel.set("response", "sad is")
    assert panel.alert == ""
    assert [item["t"] for item in panel.component("strip")["items"]] == ["sad", "is"]
    panel.set("strip", 2)  # the state at the end of the text
    assert panel.seen.states[2] == ("happy dog", panel.text.ids)
    own = [spill["text"] for spill in panel.component("spill")["rows"][0]]
    assert own[1] == str(panel.seen.visits[2])


def test_the_table_tells_where_else_the_step_was_felt(panel: MicroscopePanel) -> None:
    seen = panel.seen
    assert seen is not None
    rows = panel.component("spill")["rows"]
    assert len(rows) == 2 + len(seen.spill)
    assert numbers(rows[0][2]["text"])[0] == pytest.approx(float(seen.kl[panel.state]), rel=0.06)
    for row, spill in zip(rows[2:], seen.spill, strict=True):
        assert row[0]["text"].startswith(spill.prompt)
        assert row[1]["text"] == str(spill.rows)


def test_keep_half_and_undo(panel: MicroscopePanel) -> None:
    run, seen = panel.trainer, panel.seen
    assert seen is not None
    start = run.fork()
    panel.press("keep")
    assert run.index == 1
    assert same(run, seen.keep())
    assert "has taken this step" in words(panel)
    assert panel.component("keep")["disabled"]
    panel.press("undo")
    assert same(run, start)
    panel.press("half")
    assert run.index == 1
    assert same(run, seen.half())
    panel.press("undo")
    panel.press("undo")  # puts the step itself away
    assert panel.seen is None
    assert same(run, start)


def test_the_next_step_goes_on_from_what_was_kept(panel: MicroscopePanel) -> None:
    panel.press("keep")
    stepped(panel)
    assert panel.seen is not None
    assert panel.seen.start.index == 1
    panel.press("keep")
    assert panel.trainer.index == 2


def test_a_longer_step_bends_away_from_the_line(micro: World) -> None:
    agreement = []
    for length in (0, 6):  # a quarter of the run's step, and sixteen of them
        panel = MicroscopePanel(small_run(micro))
        panel.set("scale", str(length))
        seen = stepped(panel).seen
        assert seen is not None
        agreement.append(seen.agreement())
        assert f"{seen.scale:g} times" in words(panel)
        predicted = [share for share in lines(panel, "probabilities")["predicted"] if share is not None]
        assert all(0 <= one <= 1 + 1e-12 for one in predicted)
    assert agreement[0] > 0.9 > agreement[1]


def test_a_run_that_went_on_without_the_panel_is_not_put_back(panel: MicroscopePanel) -> None:
    panel.trainer.update()
    panel.press("keep")
    assert "the run is at update 1" in panel.alert
    assert panel.trainer.index == 1
    stepped(panel)
    assert panel.seen is not None
    assert panel.seen.start.index == 1


def test_another_world_and_algorithm_begin_a_new_run(panel: MicroscopePanel) -> None:
    panel.set("algorithm", "grpo")
    assert panel.seen is None
    assert panel.trainer.algorithm.name == "grpo"
    panel.set("world", "micro-tabular")
    assert panel.trainer.world.name == "micro-tabular"
    stepped(panel)
    assert "value" not in [option[0] for option in panel.component("mark")["options"]]
    assert "no clip" in words(panel, "clip") or "clip would" in words(panel, "clip")


def test_a_table_is_only_changed_where_the_batch_has_been() -> None:
    panel = stepped(MicroscopePanel(small_run(load_world("micro-tabular"))))
    panel.set("text", "own")
    panel.set("response", "cat cat cat")
    panel.set("strip", 3)
    assert panel.seen is not None
    assert panel.seen.visits[3] == 0
    assert torch.equal(panel.seen.measured.logprobs[3], torch.zeros(8, dtype=torch.float64))
    assert "no response of the batch passed here" in words(panel)


@pytest.mark.parametrize(
    ("key", "value", "said"), [("prompt", "zebra", "zebra"), ("response", "sad zebra", "zebra"), ("text", "99", "99")]
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: MicroscopePanel, key: str, value: str, said: str) -> None:
    panel.set("text", "own")
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert said in panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_it_looks_at_the_run_that_it_is_given(micro: World) -> None:
    run = Trainer(micro, "rloo", micro.config("rloo", batch_size=24, micro_batch_size=24, samples_per_prompt=4))
    run.run(2)
    panel = stepped(MicroscopePanel(run))
    assert panel.trainer is run
    assert panel.seen is not None
    assert panel.seen.start.index == 2
    assert shown(float(panel.seen.batch.ratio.max())) > 0
