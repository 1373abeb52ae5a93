"""The panel engine without a browser: presses and values, errors, jobs, what is sent."""

import json
import threading
import time
from typing import Any

import pytest
import torch

from rllab.core.jobs import jobs
from rllab.widgets.engine.components import button, text
from rllab.widgets.engine.panel import Cell, Panel, Registry, View
from tests.patience import SOON
from tests.plots.test_text import HARD
from tests.widgets.demo import WORDS, DemoPanel


@pytest.fixture
def panel() -> DemoPanel:
    return DemoPanel()


def sent_by(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect the state that the panel sends to the page."""
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(panel, "_send", lambda message, buffers=None: messages.append(message["state"]))
    return messages


def words(panel: Panel, key: str = "reading") -> str:
    return "".join(span["text"] for span in panel.component(key)["spans"])


def test_presses_and_values_change_the_view(panel: DemoPanel) -> None:
    panel.press("count")
    panel.press("count")
    assert "pressed 2 times" in words(panel)
    panel.set("strip", 5)
    assert panel.component("strip")["selected"] == 5
    panel.set("lens", "value")
    assert panel.component("lens")["value"] == "value"
    panel.set("bars", 1)
    assert "happy" in words(panel)


def test_a_lab_error_is_one_sentence_and_clears_with_the_next_action(panel: DemoPanel) -> None:
    panel.press("fail")
    assert panel.component("alert")["text"] == "temperature is 0: choose a number above 0"
    assert "LabError" in panel.last_traceback
    panel.press("count")
    assert panel.component("alert")["text"] == ""


def test_any_other_error_names_its_place_and_keeps_the_traceback(panel: DemoPanel) -> None:
    panel.press("crash")
    shown = panel.component("alert")["text"]
    assert "Crash" in shown
    assert "RuntimeError: <img src=x onerror=alert(1)>" in shown
    assert "_crash" in panel.last_traceback
    assert panel.count == 0


class Hungry(Panel):
    """A panel that wants more memory than there is."""

    title = "Hungry"

    def view(self) -> View:
        return View(body=(button("much", "Much", self.much), button("thread", "Thread", self.thread)))

    def much(self) -> None:
        torch.empty(2**62, dtype=torch.uint8)

    def thread(self) -> None:
        raise RuntimeError("can't start new thread")  # what Python says when the stack of one finds no room


@pytest.mark.parametrize(("key", "name"), [("much", "Much"), ("thread", "Thread")])
def test_want_of_memory_is_told_as_such(key: str, name: str) -> None:
    panel = Hungry()
    panel.press(key)
    assert panel.alert.startswith(f"There is not enough memory for \u201c{name}\u201d: close other notebooks")


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "-1", "0"])
def test_a_bad_number_leaves_the_state_as_it_was(panel: DemoPanel, value: str) -> None:
    panel.set("rate", value)
    assert "learning rate" in panel.alert
    assert panel.rate == 0.0005
    assert panel.component("rate")["value"] == "0.0005"


def test_what_the_page_cannot_send_is_said_and_changes_nothing(panel: DemoPanel) -> None:
    for key, value in (("strip", 99), ("lens", "nonsense"), ("bars", 17), ("beta", 3)):
        panel.set(key, value)
        assert panel.alert, key
    assert (panel.selected, panel.lens, panel.written) == (3, "policy", "")


def test_a_button_that_is_off_or_gone_does_nothing(panel: DemoPanel) -> None:
    panel.press("off")
    panel.press("no-such-button")
    panel.set("no-such-box", 1)
    assert panel.alert == ""


@pytest.mark.parametrize(
    "content", [None, 3, "x", {}, {"key": 3}, {"key": "count"}, {"key": ["count"], "event": "press"}]
)
def test_malformed_messages_are_ignored(panel: DemoPanel, content: object) -> None:
    panel.receive(content)
    assert panel.count == 0
    assert panel.alert == ""


def test_a_message_presses_and_is_acknowledged(panel: DemoPanel) -> None:
    panel.receive({"key": "count", "event": "press", "seq": "v-7"})
    assert (panel.count, panel.ack) == (1, "v-7")


def test_only_what_changed_is_sent_in_one_message(panel: DemoPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = sent_by(panel, monkeypatch)
    panel.set("strip", 1)
    assert len(messages) == 1
    assert set(messages[0]) <= {"c_strip", "c_time", "c_reading"}
    json.dumps(messages, allow_nan=False)


def test_the_whole_state_is_strict_json(panel: DemoPanel) -> None:
    state = panel.get_state()
    sent = {key: value for key, value in state.items() if key.startswith("c_")}
    assert len(sent) > 20
    json.dumps(sent, allow_nan=False)
    assert sent["c_chart"]["figure"]["data"][1]["y"][4] is None


def test_hard_text_reaches_the_state_as_text() -> None:
    panel = DemoPanel(words=HARD)
    assert len(panel.component("strip")["items"]) == len(HARD)
    json.dumps(panel.component("strip"), ensure_ascii=False, allow_nan=False).encode()
    assert len(HARD) != len(WORDS)


class Broken(Panel):
    """A panel whose drawing can fail."""

    title = "Broken"

    def __init__(self) -> None:
        self.fails = False
        super().__init__()

    def view(self) -> View:
        if self.fails:
            raise RuntimeError("cannot draw this")
        return View(body=(button("go", "Go", self.go), text("box", "Box", "x", lambda value: None)))

    def go(self) -> None:
        self.fails = True


def test_a_view_that_fails_leaves_the_last_picture_and_says_so() -> None:
    panel = Broken()
    panel.press("go")
    assert "cannot draw this" in panel.component("alert")["text"]
    assert panel.component("go")["label"] == "Go"


def test_a_job_is_shown_live_stopped_and_leaves_no_thread(panel: DemoPanel) -> None:
    panel.press("run")
    assert panel.busy
    assert panel.component("run")["disabled"]
    time.sleep(0.5)
    shown = panel.component("progress")
    assert 0 < shown["done"] <= panel.ticks
    started = time.monotonic()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(2)
    assert time.monotonic() - started < SOON
    assert panel.component("progress")["text"] == ""
    assert not panel.component("run")["disabled"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rllab-")]


def test_s_stops_while_a_job_runs_and_is_the_panels_own_key_otherwise(panel: DemoPanel) -> None:
    def shortcut() -> object:
        return panel.component("root")["shortcuts"]["s"]

    assert (shortcut(), panel.component("stop")["disabled"]) == ("count", True)
    panel.press("run")
    assert (shortcut(), panel.component("stop")["disabled"], panel.doing) == ("stop", False, "demo run")
    assert words(panel, "foot-words").endswith("s stops")
    panel.press("stop")
    assert (panel.component("progress")["text"], panel.component("stop")["disabled"]) == ("stopping", True)
    assert panel.job is not None
    assert panel.job.settle(2)
    assert (shortcut(), panel.doing, panel.component("progress")["text"]) == ("count", "", "")


def test_the_second_start_is_refused_in_a_sentence(panel: DemoPanel) -> None:
    other = DemoPanel()
    panel.press("run")
    other.press("run")
    assert "demo run" in other.component("alert")["text"]
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(2)


def test_an_error_in_a_job_reaches_the_alert(panel: DemoPanel) -> None:
    panel.start_job("sums", lambda job: 1 // 0)
    assert panel.job is not None
    assert panel.job.settle(2)
    assert "ZeroDivisionError" in panel.component("alert")["text"]
    assert "sums" in panel.component("alert")["text"]
    assert jobs.current is None


def test_clicks_from_many_threads_are_all_counted(panel: DemoPanel) -> None:
    clicks = [threading.Thread(target=panel.press, args=("count",)) for _ in range(40)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert panel.count == 40
    assert "pressed 40 times" in words(panel)


class Closing:
    """Remembers that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_running_a_cell_again_closes_what_it_made_before() -> None:
    registry = Registry()
    first, beside, elsewhere, loose, again = (Closing() for _ in range(5))
    registry.adopt(first, Cell("a", "run 1"))
    registry.adopt(beside, Cell("a", "run 1"))
    registry.adopt(elsewhere, Cell("b", "run 2"))
    registry.adopt(loose, Cell())
    registry.adopt(again, Cell("a", "run 3"))
    assert [item.closed for item in (first, beside, elsewhere, loose, again)] == [True, True, False, False, False]


def test_a_saved_notebook_says_how_to_open_the_panel(panel: DemoPanel) -> None:
    bundle = panel._repr_mimebundle_()
    assert bundle
    assert "run this cell" in str(bundle)
