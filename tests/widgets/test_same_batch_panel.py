"""The same batch through every algorithm, without a browser: the numbers on the screen are those of the comparison."""

import pytest

from rllab import World
from rllab.maths.algorithms import ALGORITHMS
from rllab.trainer.frozen_batch import same_batch
from rllab.widgets import SameBatchPanel
from rllab.widgets.same_batch import MEANINGS, QUANTITIES
from tests.widgets.panels import numbers, sent, shown, words


@pytest.fixture(scope="module")
def panel(micro: World) -> SameBatchPanel:
    made = SameBatchPanel(micro, samples_per_prompt=4)
    assert "Write a batch" in words(made)
    made.press("write")
    assert made.job is not None
    assert made.job.settle(60)
    assert made.alert == "", made.last_traceback
    return made


def test_every_algorithm_has_a_strip_of_its_own_numbers(panel: SameBatchPanel, micro: World) -> None:
    again = same_batch(micro, samples_per_prompt=4)
    panel.set("row", "2")
    for quantity in QUANTITIES:
        panel.set("quantity", quantity)
        for view in again.views:
            items = panel.component(f"strip-{view.algorithm}")["items"]
            written = [numbers(item["n"])[0] for item in items]
            assert written == pytest.approx(getattr(view, quantity)[2, : len(items)].tolist(), abs=0.006)
    assert {view.algorithm for view in again.views} == set(ALGORITHMS)
    sent(panel)


def test_the_cosines_and_the_steps_are_tables(panel: SameBatchPanel) -> None:
    seen = panel.compared
    assert seen is not None
    rows = panel.component("cosines")["rows"]
    for at, row in enumerate(rows):
        assert [numbers(cell["text"])[0] for cell in row[1:]] == [shown(float(cosine)) for cosine in seen.cosines[at]]
        assert row[1 + at]["text"] == "1.00"
    panel.set("row", "1")
    for view, row in zip(seen.views, panel.component("steps")["rows"], strict=True):
        assert numbers(row[2]["text"])[0] == shown(float(view.change[1].sum()))


def test_the_sentence_quotes_the_weights_and_the_pair_that_differs_most(panel: SameBatchPanel) -> None:
    seen = panel.compared
    assert seen is not None
    panel.set("row", "3")
    panel.set("strip-ppo", 1)
    said = numbers(words(panel))
    assert said[:-1] == [shown(float(view.policy_weights[3, 1])) for view in seen.views]
    assert said[-1] == shown(float(seen.cosines.min()))


def test_with_the_same_settings_ppo_and_a2c_point_the_same_way(panel: SameBatchPanel) -> None:
    panel.set("own", "shared")
    panel.press("write")
    assert panel.job is not None
    assert panel.job.settle(60)
    seen = panel.compared
    assert seen is not None
    names = [view.algorithm for view in seen.views]
    assert float(seen.cosines[names.index("a2c"), names.index("ppo")]) == pytest.approx(1.0, abs=1e-9)


def test_bad_input_changes_nothing(panel: SameBatchPanel) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set("row", "999")
    assert panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_the_screen_says_what_is_answered_and_what_the_chips_show(panel: SameBatchPanel) -> None:
    assert panel.compared is not None
    prompt = panel.compared.rollout.prompts[panel.row]
    for quantity in QUANTITIES:
        panel.set("quantity", quantity)
        said = words(panel, "meaning")
        assert said.startswith(f"Answer to “{prompt}” · {QUANTITIES[quantity]}: ")
        assert said.endswith(MEANINGS[quantity])
