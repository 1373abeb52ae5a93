"""The clinic in a real JupyterLab: a learner draws a case, looks, checks, answers wrong and then right."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook

CELLS = (
    "from rllab import load_world\nfrom rllab.widgets import ClinicPanel\nworld = load_world('micro')",
    "small = {'all': {**world.defaults['all'], 'batch_size': 24, 'micro_batch_size': 24}}",
    "world = world.replace(defaults=world.defaults | small)\nfaults = ['whitened over padding']",
    "clinic = ClinicPanel(world, among=faults, updates=4)\nclinic",
)
DRAWN = """(panel, [key, name]) => panel.querySelector(`[data-key=${key}] .js-plotly-plot`).data
  .find((trace) => trace.name.includes(name)).y"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    with running_notebook(browser, lab, "clinic", *CELLS, height=1500) as opened:
        yield opened


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    found = notebook.panel("Clinic")
    if notebook.value("clinic.case is None"):
        found.get_by_role("button", name="Draw a case").click()
    found.get_by_role("button", name="Draw another case").wait_for(timeout=60_000)
    expect(found.get_by_role("button", name="Stop")).to_have_attribute("aria-disabled", "true", timeout=60_000)
    return found


def test_the_curves_are_those_of_the_hidden_run_and_its_twin(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("radio", name="weights").check()
    panel.locator("[data-key=spread] .main-svg").first.wait_for(timeout=30_000)
    panel.get_by_role("button", name="Compare with the healthy twin").click()
    expect(panel.get_by_role("button", name="Compare with the healthy twin")).to_have_attribute("aria-pressed", "true")
    notebook.page.wait_for_timeout(500)
    kernel = "[one.metrics['policy/weights_std'] for one in clinic.case.{}]"
    assert panel.evaluate(DRAWN, ["spread", "healthy"]) == pytest.approx(notebook.value(kernel.format("healthy")))
    run = panel.evaluate("(panel) => panel.querySelector('[data-key=spread] .js-plotly-plot').data[0].y")
    assert run == pytest.approx(notebook.value(kernel.format("history")))


def test_every_token_of_a_response_is_on_the_page(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("radio", name="tokens").check()
    panel.get_by_role("combobox", name="show").select_option("2")
    rows = panel.locator("[data-key=token-table] tbody tr")
    tokens = notebook.value("clinic.case.tokens[2]['tokens']")
    expect(rows).to_have_count(len(tokens))
    for at, weight in enumerate(notebook.value("clinic.case.tokens[2]['policy_weights']")):
        shown = rows.nth(at).locator("td").nth(8).text_content()
        assert float(str(shown).replace("\u2212", "-")) == pytest.approx(weight, abs=0.006)


def test_a_check_is_ordered_and_its_sentence_comes(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("button", name="Score the texts again").click()
    expect(panel.locator("[data-key=sighting-0]")).to_contain_text("all 24 responses", timeout=30_000)


def test_a_wrong_answer_gets_a_reason_and_the_right_one_its_source(notebook: Notebook, panel: Locator) -> None:
    answers = panel.get_by_role("combobox", name="It is")
    answers.select_option("dropout on")
    panel.get_by_role("button", name="Name it").click()
    expect(panel.locator("[data-key=verdict]")).to_contain_text("Not this one")
    panel.get_by_role("button", name="A hint").click()
    expect(panel.locator("[data-key=hinted]")).to_contain_text(notebook.value("clinic.case.hint()"))
    answers.select_option("whitened over padding")
    panel.get_by_role("button", name="Name it").click()
    expect(panel.locator("[data-key=verdict]")).to_contain_text("Yes:")
    expect(panel.locator("[data-key=threads]")).to_contain_text("ROLL #475")
    assert notebook.value("clinic.case.solved") is True
    panel.get_by_role("button", name="Ask the checkup").click()
    expect(panel.locator("[data-key=found-0]")).to_contain_text("whitened weights are not white")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, panel: Locator, theme: str, shots: Path) -> None:
    for look in ("tokens", "weights"):
        panel.get_by_role("radio", name=look).check()
        notebook.page.wait_for_timeout(600)
        notebook.screenshot(shots / f"clinic-{look}-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
