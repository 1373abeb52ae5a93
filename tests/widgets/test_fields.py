"""What a learner types wrongly is answered with the name that the field has on the screen, and changes nothing."""

from collections.abc import Callable

import pytest

from rllab import LabError, World
from rllab.widgets import (
    AdvantagePanel,
    ClinicPanel,
    MicroscopePanel,
    ObservatoryPanel,
    RewardPanel,
    StepperPanel,
    TrainingPanel,
    ValuePanel,
)
from rllab.widgets.engine.panel import Panel


def begun(panel: Panel, button: str) -> Panel:
    panel.press(button)
    if panel.job is not None:
        assert panel.job.settle(60)
    return panel


def with_own_text(world: World) -> Panel:
    panel = begun(MicroscopePanel(world), "step")
    panel.set("text", "own")
    return panel


PANELS: dict[str, Callable[[World], Panel]] = {
    "training": lambda world: begun(TrainingPanel(world), "one"),
    "reward": lambda world: begun(RewardPanel(world), "write"),
    "microscope": with_own_text,
    "observatory": ObservatoryPanel,
    "clinic": ClinicPanel,
    "value": ValuePanel,
    "advantage": AdvantagePanel,
    "stepper": lambda world: begun(StepperPanel(world), "step"),
}


def boxes(panel: Panel) -> dict[str, str]:
    """Return the label of every box of a panel that something can be written into."""
    inside = {key: panel.component(key) for key in sorted(panel.screen())}
    return {key: one["label"] for key, one in inside.items() if one["kind"] == "text" and not one["disabled"]}


@pytest.mark.parametrize("name", PANELS)
def test_a_wrong_input_names_its_box_as_the_screen_does(name: str, micro: World) -> None:
    panel = PANELS[name](micro)
    found = boxes(panel)
    assert found
    for key, label in found.items():
        before = panel.component(key)["value"]
        for wrong in ("xyzzy", "-1"):
            panel.set(key, wrong)
            assert panel.alert.startswith(f"{label} is "), (key, wrong, panel.alert)
            assert panel.component(key)["value"] == before


def test_a_whole_number_is_asked_for_where_one_is_wanted(micro: World) -> None:
    panel = TrainingPanel(micro)
    panel.set("updates", "many")
    assert panel.alert == "updates is 'many': write a whole number, such as 20"
    panel.set("updates", "")
    assert panel.alert == "updates is empty: write a whole number, such as 20"


def test_what_is_no_box_of_the_panel_keeps_its_own_name(micro: World) -> None:
    panel = MicroscopePanel(micro)
    with pytest.raises(LabError, match="step is 'none'") as raised:
        panel.keep()
    panel.act("Keep", panel.keep)
    assert panel.alert == str(raised.value)
