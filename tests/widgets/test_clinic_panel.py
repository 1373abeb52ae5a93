"""The clinic without a browser: a case is drawn, looked at from all sides, checked, named and explained."""

import pytest

from rllab import World
from rllab.core.jobs import NO_JOB
from rllab.course.clinic import CHECKS, catalogue, fault
from rllab.trainer.signals import definitions
from rllab.widgets import ClinicPanel
from rllab.widgets.clinic import FEW_UPDATES, pace
from rllab.widgets.engine.panel import about
from tests.widgets.panels import lines, numbers, sent, words


def small(micro: World) -> World:
    less = {**micro.defaults["all"], "batch_size": 24, "micro_batch_size": 24, "epochs": 2}
    return micro.replace(defaults={**micro.defaults, "all": less})


def settle(panel: ClinicPanel) -> None:
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == "", panel.last_traceback


def drawn(micro: World, name: str, *, updates: int = 3) -> ClinicPanel:
    panel = ClinicPanel(small(micro), among=[name], updates=updates)
    panel.press("draw")
    settle(panel)
    return panel


def test_before_a_case_there_is_one_thing_to_press(micro: World) -> None:
    panel = ClinicPanel(micro)
    assert "Draw a case" in words(panel)
    assert panel.component("draw")["label"] == "Draw a case"
    assert not panel.has("answer")


def test_a_case_can_be_looked_at_from_all_sides(micro: World) -> None:
    panel = drawn(micro, "whitened over padding")
    case = panel.case
    assert case is not None
    assert lines(panel, "paid")["score"] == [record.metrics["objective/scores"] for record in case.history]
    for view, *_ in panel.component("view")["options"]:
        panel.set("view", view)
        assert panel.alert == ""
        sent(panel)
    panel.set("view", "weights")
    assert lines(panel, "spread")["spread"] == [record.metrics["policy/weights_std"] for record in case.history]
    panel.press("twin")
    (title,) = panel.component("spread-title")["spans"]
    assert definitions()["policy/weights_std"].rule in title["tip"]
    twin = lines(panel, "spread")["healthy spread"]
    assert twin == [one.metrics["policy/weights_std"] for one in case.healthy]
    assert twin == pytest.approx([1.0] * 3, abs=1e-6)


def test_the_tokens_of_a_response_are_those_of_the_last_update(micro: World) -> None:
    panel = drawn(micro, "end token dropped")
    assert panel.case is not None
    panel.set("view", "tokens")
    panel.set("response", "4")
    row = panel.case.tokens[4]
    table = panel.component("token-table")
    titles = [column["title"] for column in table["columns"]]
    assert [cells[0]["text"] for cells in table["rows"]] == row["tokens"]
    for title, name in (("log \u03c0", "logprobs"), ("weight", "policy_weights"), ("V", "values")):
        column = [numbers(cells[titles.index(title)]["text"]) for cells in table["rows"]]
        assert [one[0] for one in column] == pytest.approx(row[name], abs=0.005)
    trained = [cells[-1]["text"] for cells in table["rows"]]
    assert trained == ["yes" if one else "no" for one in row["loss_mask"]]
    assert ("no" in trained) == row["ended"]


def test_every_check_can_be_ordered_and_says_what_it_found(micro: World) -> None:
    panel = drawn(micro, "score read one token early")
    for at, check in enumerate(CHECKS):
        panel.press(f"check-{at}")
        settle(panel)
        assert panel.case is not None
        assert words(panel, f"sighting-{at}") == check.do(panel.case, NO_JOB).words
    assert panel.component("sighting-0")["good"] is False


def test_a_wrong_answer_is_explained_and_a_right_one_ends_the_case(micro: World) -> None:
    panel = drawn(micro, "detached critic")
    assert panel.component("name")["disabled"]
    panel.set("answer", "dropout on")
    panel.press("name")
    assert fault("dropout on").shows in words(panel, "verdict")
    assert not panel.component("verdict")["good"]
    panel.set("answer", "detached critic")
    panel.press("name")
    assert panel.component("verdict")["good"]
    assert fault("detached critic").mend in words(panel, "verdict")
    assert fault("detached critic").threads[0] in words(panel, "threads")
    assert "Correct on attempt 2" in words(panel)
    assert panel.component("name")["disabled"]
    assert panel.solved == 1


def test_nothing_on_the_screen_names_the_fault_before_it_is_found(micro: World) -> None:
    for name in ("reference follows", "dropout on", "groups of one"):
        panel = drawn(micro, name, updates=1)
        panel.press("hint")
        one = fault(name)
        shown = {key: spec for key, spec in sent(panel).items() if key != "c_answer"}  # which lists all of them
        assert one.title not in str(shown)
        assert one.name not in str(shown)
        assert one.story not in str(shown)


def test_the_list_of_answers_is_whole_whatever_is_drawn_from(micro: World) -> None:
    panel = drawn(micro, "healthy", updates=1)
    assert [option[0] for option in panel.component("answer")["options"]] == ["", *catalogue()]
    panel.set("answer", "healthy")
    panel.press("name")
    assert panel.component("verdict")["good"]


def test_the_checkup_speaks_when_it_is_asked(micro: World) -> None:
    panel = drawn(micro, "values shifted by one")
    assert not panel.has("found-0")
    panel.press("ask")
    assert fault("values shifted by one").finding in words(panel, "found-0")


def test_giving_up_tells_the_fault_and_its_source(micro: World) -> None:
    panel = drawn(micro, "mean of means")
    panel.press("give-up")
    assert fault("mean of means").title in words(panel, "verdict")
    assert "huggingface/transformers #34191" in words(panel, "threads")
    assert panel.component("name")["disabled"]
    panel.press("draw")
    settle(panel)
    assert not panel.has("verdict")
    assert panel.cases == 2


def test_a_case_that_is_stopped_keeps_what_it_has(micro: World) -> None:
    panel = ClinicPanel(small(micro), updates=400)
    panel.press("draw")
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(20)
    assert panel.case is not None
    assert len(panel.case.healthy) < 400
    panel.refresh()
    sent(panel)


@pytest.mark.parametrize(("key", "value"), [("answer", "zebra"), ("view", "zebra"), ("response", "999")])
def test_bad_input_changes_nothing(micro: World, key: str, value: str) -> None:
    panel = drawn(micro, "healthy", updates=1)
    panel.set("view", "tokens")
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_the_price_of_a_case_is_said_before_it_is_drawn_and_measured_by_the_last_one(micro: World) -> None:
    panel = ClinicPanel(small(micro), updates=2)
    assert words(panel, "price") == "A case is 2 updates of a run, and as many of its healthy twin."
    panel.press("draw")
    settle(panel)
    assert "by the last case" in words(panel, "price")
    panel.set("updates", "200")
    assert panel.case is not None
    each = pace(panel.case)
    assert len(each) == 2
    assert about(200 * sum(each) / 2) in words(panel, "price")
    panel.set("world", "micro-tabular")  # another world has another pace
    assert words(panel, "price") == "A case is 20 updates of a run, and as many of its healthy twin."


def test_a_case_of_a_large_model_is_short_and_said_to_take_long(micro: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rllab.widgets.shared.worlds.LARGE", 10)
    panel = ClinicPanel(micro)
    assert panel.updates == FEW_UPDATES
    assert "minutes: the first update will show" in words(panel, "price")
    assert ClinicPanel(micro, updates=7).updates == 7


def test_a_check_is_stopped_and_says_nothing(micro: World) -> None:
    panel = drawn(micro, "healthy", updates=2)
    for at in (1, 2):  # those that run a network again
        panel.press(f"check-{at}")
        panel.stop()
        settle(panel)
    assert not panel.has("sighting-2")
