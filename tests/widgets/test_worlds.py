"""What a world is called on the screen: one that has learned, or is paid otherwise, does not pass for the original."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rllab import Trainer, World
from rllab.reward.judges import matches
from rllab.widgets import (
    AdvantagePanel,
    ClinicPanel,
    ExactTreePanel,
    LabelPanel,
    MicroscopePanel,
    RewardPanel,
    SameBatchPanel,
    StepperPanel,
    TrainingPanel,
    ValuePanel,
)
from rllab.widgets.engine.panel import Panel

PANELS: dict[str, Callable[[World], Panel]] = {
    "advantage": AdvantagePanel,
    "clinic": ClinicPanel,
    "label": lambda world: LabelPanel(world, path=Path("labels.jsonl")),
    "microscope": MicroscopePanel,
    "reward": RewardPanel,
    "same batch": SameBatchPanel,
    "stepper": StepperPanel,
    "training": TrainingPanel,
    "tree": ExactTreePanel,
    "value": ValuePanel,
}


@pytest.fixture(scope="module")
def carried(micro: World) -> World:
    """Return micro with another reward, after one update."""
    trainer = Trainer(micro.replace(reward=matches(micro.policy.decode, "happy", name="says happy")))
    trainer.update()
    return trainer.world


def offered(panel: Panel) -> tuple[str, list[str]]:
    """Return the world that is chosen, and all that can be."""
    box = panel.component("world")
    return box["value"], [value for value, _ in box["options"]]


@pytest.mark.parametrize("name", PANELS)
def test_a_world_that_was_carried_over_does_not_pass_for_the_original(name: str, carried: World) -> None:
    panel = PANELS[name](carried)
    chosen, names = offered(panel)
    assert chosen == "micro with “says happy”, trained"
    assert names[:3] == [chosen, "micro", "micro-tabular"]
    panel.set("world", "micro")
    assert panel.alert == ""
    assert offered(panel) == ("micro", names)
    panel.set("world", chosen)  # what was carried over is still there
    assert offered(panel) == (chosen, names)


def test_a_policy_that_learns_while_it_is_looked_at_changes_its_name(micro: World) -> None:
    trainer = Trainer(micro, "rloo")
    panel = RewardPanel(trainer.world)
    assert offered(panel)[0] == "micro"
    trainer.update()
    panel.refresh()
    chosen, names = offered(panel)
    assert (chosen, "micro" in names) == ("micro, trained", True)
    trainer.rewind(0)
    panel.refresh()
    assert offered(panel)[0] == "micro"


def test_another_algorithm_begins_where_the_run_began_and_with_its_critic(micro: World) -> None:
    panel = TrainingPanel(Trainer(micro, "rloo"))
    panel.trainer.update()
    panel.set("algorithm", "ppo")
    assert (panel.alert, panel.trainer.origin) == ("", micro)
    assert panel.trainer.world.policy.weights is micro.policy.weights
    assert list(panel.trainer.world.critic.parameters())
