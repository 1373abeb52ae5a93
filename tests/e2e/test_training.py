"""The training panel's ways back and sideways in a real JupyterLab, compared with the kernel."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook

CELLS = (
    "from rllab import load_world\nfrom rllab.trainer.diagnostics import diagnose, summary",
    "from rllab.widgets import TrainingPanel",
    "world = load_world('micro')\ntraining = TrainingPanel(world, updates=4)\ntraining",
)
LONG = 90_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with a run of four updates behind it."""
    with running_notebook(browser, lab, "training", *CELLS, height=2200) as opened:
        panel = opened.panel("Training")
        panel.locator(".main-svg").first.wait_for(timeout=60_000)
        panel.get_by_role("button", name="Start", exact=True).click()
        expect(panel.get_by_role("button", name="Go on")).to_be_visible(timeout=LONG)
        yield opened


@pytest.fixture
def training(notebook: Notebook) -> Locator:
    panel = notebook.panel("Training")
    opened = panel.get_by_role("button", name="History and comparison")
    if opened.get_attribute("aria-expanded") != "true":
        opened.click()
    return panel


def lines(panel: Locator) -> list[str]:
    names: list[str] = panel.evaluate(
        "(panel) => panel.querySelector('[data-key=score] .js-plotly-plot').data.map((line) => line.name)"
    )
    return [name.strip("\u2068\u2069") for name in names]


def test_back_to_an_update_and_undo(notebook: Notebook, training: Locator) -> None:
    scores = notebook.value("[record.metrics['objective/scores'] for record in training.trainer.history]")
    box = training.get_by_role("textbox", name="back to update")
    box.fill("2")
    box.press("Enter")
    expect(training.locator(".head")).to_contain_text("update 2 of 4", timeout=LONG)
    assert notebook.value("training.trainer.index") == 2
    training.get_by_role("button", name="Undo rewind").click()
    expect(training.locator(".head")).to_contain_text("update 4 of 4", timeout=LONG)
    assert notebook.value("[record.metrics['objective/scores'] for record in training.trainer.history]") == scores


def test_a_copy_beside_lies_dotted_under_the_run(notebook: Notebook, training: Locator) -> None:
    training.get_by_role("button", name="Keep a copy to compare").click()
    expect(training.locator('[data-key="kept-a-words"]')).to_contain_text("the same settings and seed")
    box = training.get_by_role("textbox", name="KL coefficient")
    box.fill("0.6")
    box.press("Tab")
    training.get_by_role("button", name="One update").click()
    expect(training.locator(".head")).to_contain_text("update 5 of 5", timeout=LONG)
    expect(training.locator('[data-key="kept-a-words"]')).to_contain_text("changed on the way", timeout=LONG)
    assert lines(training) == ["A: reward model", "A: gold", "reward model", "gold"]
    kept = notebook.value("[record.metrics['objective/scores'] for record in training.kept_runs.run('A').history]")
    drawn = training.evaluate("(panel) => panel.querySelector('[data-key=score] .js-plotly-plot').data[0].y")
    assert drawn == pytest.approx(kept)


def test_the_checkup_stands_below_the_curves(notebook: Notebook, training: Locator) -> None:
    told = notebook.value("summary(diagnose(training.trainer.history))")
    expect(training.locator('[data-key="checkup"]')).to_contain_text(told)


def test_one_switch_runs_seeds_with_control_arms(notebook: Notebook, training: Locator) -> None:
    training.get_by_role("textbox", name="updates", exact=True).fill("3")
    training.get_by_role("combobox", name="Runs").select_option("3")
    training.get_by_role("button", name="Start the seeds").click()
    expect(training.locator('[data-key="verdict-2"]')).to_be_visible(timeout=LONG)
    for place, words in enumerate(notebook.value("training.study.verdict()")):
        expect(training.locator(f'[data-key="verdict-{place}"]')).to_have_text(words)
    expect(training.locator('[data-key="study-ends"] tbody tr')).to_have_count(4)
    assert notebook.value("training.trainer.index") == 5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, training: Locator, theme: str, shots: Path) -> None:
    notebook.screenshot(shots / f"training-history-{theme}.png", theme=theme, of=training)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
