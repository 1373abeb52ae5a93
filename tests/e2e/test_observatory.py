"""The observatory in a real JupyterLab: press, steer while it runs, stop, reveal gold, read what was written."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook

CELLS = (
    "from rllab import load_world\nfrom rllab.reward.judges import happy_words",
    "world = load_world('micro')\nworld = world.replace(reward=happy_words(world.policy.decode))",
    "from rllab.widgets import ObservatoryPanel\nobservatory = ObservatoryPanel(world, updates=300)\nobservatory",
)
MINUS = "−"


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with the panel on a proxy that is easy to please."""
    with running_notebook(browser, lab, "observatory", *CELLS, height=1700) as opened:
        yield opened


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    return notebook.panel("Observatory")


def points(panel: Locator, chart: str) -> int:
    """Return how many points the first line of a chart has."""
    script = "(panel, key) => panel.querySelector(`[data-key=${key}] .js-plotly-plot`).data[0].y.length"
    found: int = panel.page.evaluate(f"([panel, key]) => ({script})(panel, key)", [panel.element_handle(), chart])
    return found


def test_a_run_is_steered_and_stopped(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("button", name=re.compile("^PPO:")).click()
    panel.locator('[data-key="pressed"] .main-svg').first.wait_for(timeout=60_000)
    expect(panel.locator(".head")).to_contain_text(re.compile(r"PPO ([6-9]|\d\d)"), timeout=90_000)
    slider = panel.get_by_role("slider", name="KL coefficient of PPO")
    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")
    expect(panel.locator('[data-key="steered"]')).to_contain_text(re.compile(r"0\.3 after update \d+"), timeout=60_000)
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_role("button", name="Best of n")).to_be_enabled(timeout=20_000)
    assert notebook.value("observatory.observatory.trainer.config.kl_coef") == 0.3
    assert points(panel, "pressed") == notebook.value("len(observatory.curve.points)")


def test_best_of_n_stands_beside_it(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("button", name="Best of n").click()
    expect(panel.get_by_role("radio", name="best of n")).to_be_checked(timeout=60_000)
    assert points(panel, "compared") == notebook.value("len(observatory.observatory.curves['PPO'].points)")
    panel.get_by_role("radio", name="PPO").check()
    expect(panel.locator(".reading")).to_contain_text("PPO raised")


def test_gold_is_revealed_beside_the_guess(notebook: Notebook, panel: Locator) -> None:
    expect(panel.locator(".reading")).not_to_contain_text("gold began")
    box = panel.get_by_role("textbox", name=re.compile("my guess"))
    box.fill("1.5")
    box.press("Tab")
    panel.get_by_role("button", name="Reveal gold").click()
    expect(panel.locator(".reading")).to_contain_text("You guessed 1.5; it was")
    peak = notebook.value("observatory.curve.peak.d")
    expect(panel.locator(".reading")).to_contain_text(f"it was {peak:.2f}.")
    rows = panel.locator('[data-key="samples"] tbody tr')
    gold = notebook.value("observatory.curve.points[-1].samples[0].gold")
    expect(rows.last.locator("td").last).to_have_text(f"{gold:+.2f}".replace("-", MINUS))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_legible_in_both_themes(notebook: Notebook, panel: Locator, theme: str, shots: Path) -> None:
    panel.scroll_into_view_if_needed()
    notebook.screenshot(shots / f"observatory-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
