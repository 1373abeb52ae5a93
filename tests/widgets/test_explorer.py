"""The explorer without a browser: sliders drive a function, quickly, and errors are sentences."""

import dataclasses
import math
import time

import pytest

from rllab.core.errors import LabError
from rllab.plots.charts import Curve, training_curves
from rllab.plots.drawing import Drawing, Picture
from rllab.widgets import ExplorerPanel
from rllab.widgets.explorer import Setting
from tests.widgets.panels import lines, words

POWER = Setting("power", "power", (1, 2, 3), 2)
SCALE = Setting("scale", "scale", (0.1, 1.0, 10.0), 1.0)


def draw(power: int, scale: float) -> Picture:
    history = [{"y": scale * x**power} for x in range(10)]
    figure = training_curves(history, [Curve("y", "y", "value")], y="y")
    return Picture(figure, f"The last point is {history[-1]['y']:g}.", "a power of x")


def test_sliders_change_the_picture_and_the_sentence() -> None:
    panel = ExplorerPanel("Powers", draw, [POWER, SCALE])
    assert words(panel) == "The last point is 81."
    panel.set("setting-0", "2")
    assert panel.values == {"power": 3, "scale": 1.0}
    assert words(panel) == "The last point is 729."
    panel.set("setting-1", "0")
    assert lines(panel, "picture")["y"][-1] == pytest.approx(72.9)
    assert panel.component("setting-0")["index"] == 2
    assert panel.title == "Powers"


def test_the_numbers_are_called_what_the_panel_or_else_the_picture_says() -> None:
    for badge, kinds in (("exact", ["exact"]), ("", ["average"])):
        panel = ExplorerPanel("Powers", draw, [POWER, SCALE], badge=badge)
        assert [one["kind"] for one in panel.component("badges")["badges"]] == kinds


def test_a_move_is_drawn_within_200_ms() -> None:
    panel = ExplorerPanel("Powers", draw, [POWER, SCALE])
    seconds = []
    for stop in ("0", "1", "2"):
        panel.set("setting-1", "0" if stop == "1" else "2")
        started = time.perf_counter()
        panel.set("setting-0", stop)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[1] < 0.2


def test_a_picture_that_was_drawn_is_kept() -> None:
    calls: list[int] = []

    def counted(power: int, scale: float) -> Picture:
        calls.append(power)
        return draw(power, scale)

    panel = ExplorerPanel("Powers", counted, [POWER, SCALE])
    for stop in ("0", "1", "0", "1"):
        panel.set("setting-0", stop)
    assert sorted(calls) == [1, 2]


def test_a_function_that_fails_leaves_the_last_picture_and_says_so() -> None:
    def fussy(power: int, scale: float) -> Picture:
        if power == 3:
            raise LabError("power", power, "choose a smaller one")
        return draw(power, scale)

    panel = ExplorerPanel("Powers", fussy, [POWER, SCALE])
    panel.set("setting-0", "2")
    assert panel.component("alert")["text"] == "power is 3: choose a smaller one"
    assert words(panel) == "The last point is 81."
    panel.set("setting-0", "0")
    assert panel.component("alert")["text"] == ""
    assert words(panel) == "The last point is 9."


@pytest.mark.parametrize(("asked", "shown"), [(None, 220), (300, 300)])
def test_a_chart_is_as_high_as_its_figure_asks_for(asked: int | None, shown: int) -> None:
    def tall(power: int, scale: float) -> Picture:
        drawn = draw(power, scale)
        layout = {key: value for key, value in drawn.drawing.layout.items() if key != "height"}
        layout |= {"height": asked} if asked else {}
        return dataclasses.replace(drawn, drawing=Drawing(drawn.drawing.data, layout))

    assert ExplorerPanel("Powers", tall, [POWER, SCALE]).component("picture")["height"] == shown


def test_a_start_that_is_no_stop_is_refused() -> None:
    with pytest.raises(LabError, match="start at one of the stops"):
        ExplorerPanel("Powers", draw, [Setting("power", "power", (1, 2), 7), SCALE])


@pytest.mark.parametrize("value", ["9", "-1", 1, None, math.inf])
def test_a_stop_that_is_none_changes_nothing(value: object) -> None:
    panel = ExplorerPanel("Powers", draw, [POWER, SCALE])
    panel.set("setting-0", value)
    assert panel.alert
    assert panel.values["power"] == 2
