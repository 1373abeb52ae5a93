"""The microscope in a real JupyterLab: one step is taken, read off the page, kept, undone; five on one batch."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook

CELLS = (
    "from rllab import Trainer, load_world\nfrom rllab.widgets import MicroscopePanel\nworld = load_world('micro')",
    "small = world.config('ppo', batch_size=24, micro_batch_size=24)\nrun = Trainer(world, 'ppo', small)",
    "microscope = MicroscopePanel(run)\nmicroscope",
    "from rllab.widgets import SameBatchPanel\nbatch = SameBatchPanel(world, samples_per_prompt=4)\nbatch",
)
DRAWN = """(panel, [key, name]) => panel.querySelector(`[data-key=${key}] .js-plotly-plot`).data
  .find((trace) => trace.name === name).y"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    with running_notebook(browser, lab, "microscope", *CELLS, height=1700) as opened:
        yield opened


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    found = notebook.panel("Update microscope")
    if notebook.value("microscope.seen is None"):
        found.get_by_role("button", name=re.compile("^Take ")).click()
    found.locator("[data-key=changes] .main-svg").first.wait_for(timeout=60_000)
    expect(found.get_by_role("button", name=re.compile("^Take the step again$"))).to_be_visible(timeout=30_000)
    return found


def minus(text: str) -> str:
    return text.replace("-", "\u2212")


def test_the_page_shows_what_the_kernel_measured(notebook: Notebook, panel: Locator) -> None:
    at = "microscope.seen.{}.logprobs[microscope.state]"
    order = f"{at.format('before')}.argsort(descending=True).tolist()"
    for trace, record in (("measured", "measured"), ("predicted", "predicted")):
        kernel = notebook.value(f"{at.format(record)}[{order}].tolist()")
        assert panel.evaluate(DRAWN, ["changes", trace]) == pytest.approx(kernel)
    kernel = notebook.value(f"{at.format('after')}[{order}].exp().tolist()")
    assert panel.evaluate(DRAWN, ["probabilities", "after"]) == pytest.approx(kernel)
    said = panel.locator(".reading b").nth(1).text_content()
    assert float(str(said)) in [pytest.approx(one, abs=5e-4) for one in kernel]
    kl = notebook.value("float(microscope.seen.kl[microscope.state])")
    cell = panel.locator("[data-key=spill] tbody tr").first.locator("td").nth(2)
    assert float(str(cell.text_content())) == pytest.approx(kl, rel=0.06)


def test_a_chip_leads_to_its_state_and_the_chips_show_other_numbers(notebook: Notebook, panel: Locator) -> None:
    for mark, number in (("weight", "update.targets.policy_weights"), ("ratio", "batch.ratio")):
        panel.get_by_role("radio", name=mark).check()
        first = notebook.value(f"float(microscope.seen.{number}[microscope.text.row, 0])")
        digits = 2 if abs(first) >= 0.1 else 3
        sign = "+" if mark == "weight" else ""
        expect(panel.locator(".strip [role=option] small").first).to_have_text(minus(f"{first:{sign}.{digits}f}"))
    panel.locator(".strip [role=option]").first.click()
    expect(panel.locator(".reading")).to_contain_text("Here, at the prompt")
    assert notebook.value("microscope.state") == 0


def test_another_response_and_a_text_of_ones_own(notebook: Notebook, panel: Locator) -> None:
    panel.get_by_role("combobox", name="look at").select_option("3")
    expected = notebook.value("[world.policy.token_text(t) for t in microscope.seen.update.rollout.response_ids(3)]")
    expect(panel.locator(".strip [role=option] bdi")).to_have_text(expected)
    panel.get_by_role("combobox", name="look at").select_option("own")
    box = panel.get_by_role("textbox", name="Response so far")
    box.fill("sad zebra")
    box.press("Tab")
    expect(panel.get_by_role("alert")).to_contain_text("zebra")
    box.fill("sad is")
    box.press("Tab")
    expect(panel.locator(".strip .chip:not(.prompt):not(.next) bdi")).to_have_text(["sad", "is"])
    panel.get_by_role("combobox", name="look at").select_option("0")


def test_keep_moves_the_run_and_undo_puts_it_back(notebook: Notebook, panel: Locator) -> None:
    assert notebook.value("run.index") == 0
    panel.get_by_role("button", name="Keep the step").click()
    expect(panel.locator(".head")).to_contain_text("update 1")
    assert notebook.value("run.index") == 1
    expect(panel.get_by_role("button", name="Keep the step")).to_have_attribute("aria-disabled", "true")
    panel.get_by_role("button", name="Undo").click()
    expect(panel.locator(".head")).to_contain_text("update 0")
    panel.get_by_role("button", name="Keep half of it").click()
    expect(panel.locator(".head")).to_contain_text("update 1")
    expect(panel.locator(".reading")).to_contain_text("half of this step")
    panel.get_by_role("button", name="Undo").click()
    expect(panel.locator(".head")).to_contain_text("update 0")
    assert notebook.value("run.index") == 0


def test_a_longer_step_is_predicted_less_well(notebook: Notebook, panel: Locator) -> None:
    before = notebook.value("microscope.seen.agreement()")
    slider = panel.get_by_role("slider", name="length")
    slider.focus()
    for length in (2, 4, 8, 16):
        notebook.page.keyboard.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", f"{length} \u00d7 the run's step")
        notebook.page.wait_for_timeout(500)  # the page sends a slider's value after a rest
    assert notebook.value("microscope.scale") == 16
    panel.get_by_role("button", name="Take the step again").click()
    expect(panel.locator(".reading")).to_contain_text("16 times", timeout=30_000)
    assert notebook.value("microscope.seen.agreement()") < before


def test_one_batch_goes_through_every_algorithm(notebook: Notebook) -> None:
    compared = notebook.panel("One batch, every algorithm")
    compared.get_by_role("button", name="Write a batch").click()
    compared.get_by_role("button", name="Write another batch").wait_for(timeout=60_000)
    rows = compared.locator("[data-key=cosines] tbody tr")
    expect(rows).to_have_count(5)
    for at, row in enumerate(notebook.value("batch.compared.cosines.tolist()")):
        shown = [str(text).replace("\u2212", "-") for text in rows.nth(at).locator("td").all_text_contents()[1:]]
        assert [float(one) for one in shown] == pytest.approx(row, abs=0.006)
    weights = notebook.value("batch.compared.views[2].policy_weights[batch.row, :2].tolist()")
    chips = compared.locator("[data-key=strip-ppo] [role=option] small")
    for at, weight in enumerate(weights):
        expect(chips.nth(at)).to_have_text(minus(f"{weight:+.2f}"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, panel: Locator, theme: str, shots: Path) -> None:
    notebook.screenshot(shots / f"microscope-{theme}.png", theme=theme, of=panel)
    compared = notebook.panel("One batch, every algorithm")
    compared.scroll_into_view_if_needed()
    notebook.screenshot(shots / f"same-batch-{theme}.png", theme=theme, of=compared)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
