"""The tour as a learner takes it, in a real JupyterLab: every section, every number compared with the kernel."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server
from tests.patience import SOON

TOUR = Path(__file__).resolve().parents[2] / "notebooks" / "00_tour.ipynb"
MINUS = "\u2212"


@pytest.fixture(scope="module")
def tour(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open the tour and run all of its cells, as its first paragraph asks."""
    shutil.copy(TOUR, lab.folder / TOUR.name)
    opened = Notebook.open(browser, lab, TOUR.name, height=1500)
    opened.run_all()
    opened.panel("Token stepper").locator(".bars button").first.wait_for(timeout=60_000)
    yield opened
    assert opened.page_errors == []
    assert opened.outside_requests == []
    opened.close()


def chips(panel: Locator) -> Locator:
    return panel.locator(".strip [role=option]")


def press(panel: Locator, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def test_one_panel_for_each_lens_and_one_for_the_run(tour: Notebook) -> None:
    shown = [tour.panel("Token stepper", nth=nth).get_by_role("radio").count() for nth in range(4)]
    assert shown[1:] == [2, 3, 3]
    expect(tour.page.locator('section.rllab[aria-label="Training"]')).to_have_count(1)
    assert tour.value("world.name") == "tales"


def test_stepping_shows_the_bars_of_the_kernel(tour: Notebook) -> None:
    panel = tour.panel("Token stepper")
    press(panel, "Step")
    expect(chips(panel)).to_have_count(2)
    press(panel, "Step 5")
    expect(chips(panel)).to_have_count(7)
    written = tour.value("[step.token for step in stepper.stepper.steps]")
    assert chips(panel).locator("bdi").all_text_contents()[:-1] == written
    best = tour.value("float(stepper.stepper.state.probs[0])")
    expect(panel.locator(".bars button .number").first).to_have_text(f"{best:.2f}")


def test_a_bar_in_the_past_opens_a_second_line(tour: Notebook) -> None:
    panel = tour.panel("Token stepper")
    chips(panel).nth(1).click()
    expect(panel.locator(".note", has_text="click a bar")).to_contain_text("a new line starts there")
    bar = panel.locator(".bars button:not(:has-text('written here'))").nth(1)
    word = bar.locator("bdi").first.inner_text()
    bar.click()
    expect(panel.get_by_role("combobox", name="line")).to_have_value("1")
    expect(panel.locator(".strip .chip.forced")).to_have_text(re.compile("^" + re.escape(word)))
    assert tour.value("[step.token for step in stepper.stepper.steps][-1]") == word
    press(panel, "Back")
    expect(panel.locator(".strip .chip.forced")).to_have_count(0)


def test_reward_and_value_stand_beside_the_words(tour: Notebook) -> None:
    panel = tour.panel("Token stepper", nth=2)
    panel.scroll_into_view_if_needed()
    press(panel, "Finish")
    for name in ("Finish", "Stop"):  # Stop is off again when the line is written
        expect(panel.get_by_role("button", name=name)).to_have_attribute("aria-disabled", "true", timeout=20_000)
    states = chips(panel).count()
    names = "(panel) => panel.querySelector('.js-plotly-plot').data.map((trace) => [trace.name, trace.y.length])"
    drawn = dict(panel.evaluate(names))
    learned = [length for name, length in drawn.items() if "V learned" in name]
    assert learned
    assert learned[0] in {states, states + 1}
    assert any("reward model" in name for name in drawn)


def test_a_run_moves_the_curves_and_stops_within_a_second(tour: Notebook) -> None:
    panel = tour.panel("Training")
    panel.scroll_into_view_if_needed()
    press(panel, "Start")
    expect(panel.locator(".head")).to_contain_text(re.compile(r"update ([4-9]|\d{2}) of 60"), timeout=100_000)
    press(panel, "Stop")
    began = time.monotonic()
    expect(panel.get_by_role("button", name="Go on")).to_be_visible(timeout=3000)
    assert time.monotonic() - began < SOON
    done = tour.value("training.trainer.index")
    points = "(panel) => panel.querySelector('[data-key=kl] .js-plotly-plot').data[0].y.length"
    assert panel.evaluate(points) == done
    kl = tour.value("training.trainer.history[-1].metrics['objective/kl']")
    expect(panel.locator(".reading b").last).to_have_text(f"{kl:.2f}".replace("-", MINUS))


def test_the_trained_policy_differs_from_its_reference(tour: Notebook) -> None:
    assert tour.value("training.trainer.world.policy.version") > 0
    assert tour.value("world.policy.version") == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_for_a_person_to_look_at(tour: Notebook, shots: Path, theme: str) -> None:
    for nth, name in ((0, "policy"), (2, "value")):
        panel = tour.panel("Token stepper", nth=nth)
        panel.scroll_into_view_if_needed()
        tour.screenshot(shots / f"tour-{name}-{theme}.png", theme=theme, of=panel)
    panel = tour.panel("Training")
    panel.scroll_into_view_if_needed()
    tour.screenshot(shots / f"tour-training-{theme}.png", theme=theme, of=panel)
    tour.set_theme("light")
    assert (shots / f"tour-training-{theme}.png").stat().st_size > 10_000


def test_a_reload_with_a_live_kernel_draws_the_charts_again(tour: Notebook) -> None:
    done = tour.value("training.trainer.index")
    tour.reload()
    panel = tour.panel("Training")
    panel.scroll_into_view_if_needed()
    panel.locator(".main-svg").first.wait_for(timeout=60_000)
    expect(panel.locator(".head")).to_contain_text(f"update {done} of 60")
