"""The observatory without a browser: it optimises, stops, changes settings, hides gold, and describes the runs."""

import threading
import time
from collections.abc import Iterator

import pytest

from rllab import World
from rllab.course.observatory import BEST_OF_N, DPO, PPO, Form, Observatory, Plan
from rllab.plots.text import fixed
from rllab.widgets import ObservatoryPanel
from rllab.widgets.observatory import described, law_words
from tests.patience import SOON
from tests.widgets.panels import lines, numbers, sent, shown, words

PLAN = Plan(every=1, samples=24, ns=(1, 2, 4, 8, 16), prompts=3, pairs=32)


@pytest.fixture
def panel(micro: World) -> Iterator[ObservatoryPanel]:
    made = ObservatoryPanel(Observatory(micro, plan=PLAN), updates=2)
    yield made
    made.close()
    if made.job is not None:
        assert made.job.settle(10)


def press(panel: ObservatoryPanel, button: str = "ppo") -> None:
    panel.press(button)
    assert panel.alert == ""
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == "", panel.last_traceback


def gold_drawn(panel: ObservatoryPanel) -> list[str]:
    """Return the parts of the panel's state that show gold, drawn or as numbers."""
    curve = panel.curve
    assert curve is not None
    texts = {fixed(point.gold, signed=True) for point in curve.points}
    state = str(sent(panel))
    drawn = [repr(point.gold) for point in curve.points if repr(point.gold) in state]
    return drawn + [text for text in texts if text in words(panel)]


def test_a_press_draws_what_was_measured_and_hides_gold(panel: ObservatoryPanel) -> None:
    press(panel)
    curve = panel.observatory.curves[PPO]
    assert [point.step for point in curve.points] == [0, 1, 2]
    assert lines(panel, "pressed") == {"proxy": pytest.approx([point.proxy for point in curve.points])}
    assert numbers(words(panel)) == [
        shown(curve.points[0].proxy),
        shown(curve.points[-1].proxy),
        shown(curve.points[-1].d),
    ]
    assert "reveal" in words(panel)
    assert gold_drawn(panel) == []
    assert [column["title"] for column in panel.component("samples")["columns"]][-1] == "proxy"


def test_gold_is_drawn_when_it_is_asked_for_and_hidden_again(panel: ObservatoryPanel) -> None:
    press(panel)
    panel.press("gold")
    curve = panel.observatory.curves[PPO]
    assert lines(panel, "pressed")["gold"] == pytest.approx([point.gold for point in curve.points])
    peak, last = curve.peak, curve.points[-1]
    assert shown(last.gold) in numbers(words(panel))
    assert shown(peak.gold_error) in numbers(words(panel))
    assert "law" in words(panel, "laws")
    panel.press("gold")
    assert gold_drawn(panel) == []
    assert not panel.has("laws")


def test_the_laws_of_best_of_n_are_drawn_and_told(panel: ObservatoryPanel) -> None:
    press(panel, "best")
    panel.press("gold")
    assert panel.method == BEST_OF_N
    told = words(panel, "laws")
    assert "AIC" in told
    names = set(lines(panel, "pressed")) - {"proxy", "gold"}
    assert len(names) == 1
    assert told.index(names.pop()) == min(told.index("d(α − βd)"), told.index("d(α − β log d)"))


def test_a_law_that_describes_nothing_is_neither_praised_nor_drawn(panel: ObservatoryPanel) -> None:
    press(panel)
    curve = panel.observatory.curves[PPO]
    poor = [Form(name, 1.0, 1.0, r2, aic, 1.0) for name, r2, aic in (("one", -0.2, 3.0), ("other", -0.5, 4.0))]
    told = law_words(poor, curve)
    assert told.startswith("Neither law describes")
    assert "−0.20" in told
    assert "−0.50" in told
    assert described(poor) == []
    good = Form("one", 1.0, 1.0, 0.6, 3.0, 1.0)
    assert described([good, poor[1]]) == [good]


def test_a_peak_is_not_told_where_nobody_has_been(panel: ObservatoryPanel) -> None:
    """A curve that has hardly bent yet is fitted with a peak at any distance, such as 255,000."""
    press(panel)
    curve = panel.observatory.curves[PPO]
    reach = max(point.d for point in curve.points)
    inside, outside = (Form("law", 1.0, 1.0, 0.9, 1.0, peak) for peak in (reach / 2, 5 * reach))
    told = law_words([outside, inside], curve)
    assert told.count("highest far beyond what was measured") == 1
    assert told.count("highest at d = ") == 1


def test_three_methods_stand_side_by_side(panel: ObservatoryPanel) -> None:
    for button in ("ppo", "best", "dpo"):
        press(panel, button)
    panel.press("gold")
    curves = panel.observatory.curves
    assert set(curves) == {PPO, BEST_OF_N, DPO}
    drawn = lines(panel, "compared")
    assert drawn == {name: pytest.approx([point.gold for point in curve.points]) for name, curve in curves.items()}
    panel.set("method", BEST_OF_N)
    assert words(panel).startswith("Choosing the best of n")
    assert [row[0]["text"] for row in panel.component("samples")["rows"]] == [f"n\u00a0=\u00a0{n}" for n in PLAN.ns]


def test_pressing_again_goes_on(panel: ObservatoryPanel) -> None:
    press(panel)
    assert panel.component("ppo")["label"] == "PPO: 2 more updates"
    press(panel)
    assert [point.step for point in panel.observatory.curves[PPO].points] == [0, 1, 2, 3, 4]


def test_the_coefficient_moves_in_mid_run(panel: ObservatoryPanel) -> None:
    panel.set("updates", "200")
    panel.press("ppo")
    while panel.observatory.trainer.index < 1:
        time.sleep(0.01)
    panel.set("kl-coef", "0.3")
    seen = panel.observatory.trainer.index
    while panel.observatory.trainer.index < seen + 2:
        time.sleep(0.01)
    started = time.monotonic()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.wait(5)
    assert time.monotonic() - started < SOON
    assert panel.job.settle(10)
    coefficients = [record.metrics["kl_coef"] for record in panel.observatory.trainer.history]
    assert (coefficients[0], coefficients[-1]) == (0.0, 0.3)
    turned = coefficients.index(0.3)
    assert [(one.step, one.kl_coef) for one in panel.observatory.steered] == [(0, 0.0), (turned, 0.3)]
    assert f"0.3 after update {turned}" in words(panel, "steered")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rllab-")]


def test_a_stopped_best_of_n_and_dpo_leave_no_trace(panel: ObservatoryPanel, micro: World) -> None:
    for button in ("best", "dpo"):
        panel.press(button)
        panel.press("stop")
        assert panel.job is not None
        assert panel.job.settle(10)
        assert panel.alert == "", panel.last_traceback
    press(panel, "best")
    assert len(panel.observatory.curves[BEST_OF_N].points) == len(PLAN.ns)


def test_a_guess_is_compared_with_the_peak(panel: ObservatoryPanel) -> None:
    press(panel)
    panel.set("guess", "0.7")
    panel.press("gold")
    curve = panel.observatory.curves[PPO]
    assert f"You guessed 0.7; it was {fixed(curve.peak.d)}." in words(panel)
    assert panel.component("guess")["disabled"]


def test_start_over_forgets_and_keeps_the_coefficient(panel: ObservatoryPanel) -> None:
    panel.set("kl-coef", "0.1")
    press(panel)
    panel.press("gold")
    panel.press("again")
    assert (panel.observatory.curves, panel.gold_shown, panel.observatory.kl_coef) == ({}, False, 0.1)
    assert panel.observatory.trainer.config.kl_coef == 0.1
    assert "trains nothing" in words(panel)


@pytest.mark.parametrize(
    ("key", "value"),
    [("updates", "0"), ("updates", "two"), ("guess", "-1"), ("guess", "far"), ("kl-coef", "7"), ("kl-coef", 0.3)],
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: ObservatoryPanel, key: str, value: object) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert panel.component("alert")["text"]
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_a_world_without_gold_is_refused(micro: World) -> None:
    with pytest.raises(ValueError, match="no gold judge"):
        ObservatoryPanel(micro.replace(gold=None))
