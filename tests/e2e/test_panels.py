"""The stepper and the training panel in a real JupyterLab: what a learner does, compared with the kernel."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook

CELLS = (
    "from rllab import load_world\nfrom rllab.widgets import StepperPanel, TrainingPanel\nworld = load_world('micro')",
    "stepper = StepperPanel(world, lenses=('policy', 'reward', 'value'))\nstepper",
    "training = TrainingPanel(world, updates=400)\ntraining",
)


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with both panels on the world micro."""
    with running_notebook(browser, lab, "panels", *CELLS, height=1700) as opened:
        opened.panel("Training").locator(".main-svg").first.wait_for(timeout=60_000)
        yield opened


@pytest.fixture
def stepper(notebook: Notebook) -> Locator:
    panel = notebook.panel("Token stepper")
    panel.get_by_role("button", name="Reset").click()
    expect(panel.locator(".strip [role=option]")).to_have_count(1)
    return panel


@pytest.fixture
def training(notebook: Notebook) -> Locator:
    panel = notebook.panel("Training")
    panel.scroll_into_view_if_needed()
    return panel


def test_stepping_writes_what_the_kernel_says(notebook: Notebook, stepper: Locator) -> None:
    for count in (1, 2):
        stepper.get_by_role("button", name="Step", exact=True).click()
        expect(stepper.locator(".strip [role=option]")).to_have_count(count + 1)
    shown = stepper.locator(".strip [role=option] bdi").all_text_contents()[:-1]
    assert shown == notebook.value("[step.token for step in stepper.stepper.steps]")
    stepper.get_by_role("radio", name="policy").check()
    stepper.locator(".strip [role=option]").first.click()
    expected = "['<0.01' if 0 < p < 0.005 else f'{p:.2f}' for p in stepper.stepper.state_at(0).probs.tolist()]"
    expect(stepper.locator(".bars button .number")).to_have_text(notebook.value(expected))


def test_a_bar_forces_and_a_chip_leads_to_a_branch(notebook: Notebook, stepper: Locator) -> None:
    stepper.get_by_role("button", name=re.compile("^write not")).click()
    expect(stepper.locator(".strip .chip.forced")).to_have_text(re.compile("^not"))
    stepper.get_by_role("button", name="Step", exact=True).click()
    expect(stepper.locator(".strip [role=option]")).to_have_count(3)
    stepper.locator(".strip [role=option]").first.click()
    expect(stepper.locator(".note", has_text="click a bar")).to_contain_text("a new line starts there")
    stepper.get_by_role("button", name=re.compile("^write very")).click()
    expect(stepper.get_by_role("combobox", name="line")).to_have_value("1")
    assert notebook.value("len(stepper.lines)") == 2
    assert notebook.value("[step.token for step in stepper.stepper.steps]") == ["very"]
    stepper.get_by_role("combobox", name="line").select_option("0")
    expect(stepper.locator(".strip .chip.forced")).to_have_text(re.compile("^not"))
    stepper.get_by_role("button", name="Back").click()
    expect(stepper.locator(".strip [role=option]")).to_have_count(2)


def test_the_curve_has_one_point_per_state(notebook: Notebook, stepper: Locator) -> None:
    stepper.get_by_role("radio", name="+ value").check()
    stepper.get_by_role("button", name=re.compile("^write not")).click()
    expect(stepper.locator(".strip [role=option]")).to_have_count(2)
    stepper.get_by_role("button", name=re.compile("^write sad")).click()
    expect(stepper.locator(".strip [role=option]")).to_have_count(3)
    drawn = "(panel) => panel.querySelector('.js-plotly-plot').data.find((t) => t.name.includes('V learned')).y"
    values = [*notebook.value("[step.state.value for step in stepper.stepper.steps]")]
    values.append(notebook.value("stepper.stepper.state.value"))
    assert stepper.evaluate(drawn) == pytest.approx(values)
    expect(stepper.locator(".reading b").first).to_have_text(f"{values[-1]:+.2f}".replace("-", "\u2212"))


def test_unknown_words_are_named_with_their_neighbours(notebook: Notebook, stepper: Locator) -> None:
    box = stepper.get_by_role("textbox", name="Prompt")
    before = box.input_value()
    box.fill("cat zebra")
    box.press("Enter")
    expect(stepper.get_by_role("alert")).to_contain_text("zebra")
    expect(box).to_have_value(before)


def test_keys_step_while_the_panel_has_the_focus(notebook: Notebook, stepper: Locator) -> None:
    notebook.command("notebook:enter-command-mode")
    stepper.get_by_role("button", name="Reset").focus()
    notebook.page.keyboard.press("s")
    expect(stepper.locator(".strip [role=option]")).to_have_count(2)
    notebook.page.keyboard.press("b")
    expect(stepper.locator(".strip [role=option]")).to_have_count(1)
    notebook.page.keyboard.press("f")
    expect(stepper.get_by_role("button", name="Finish")).to_have_attribute("aria-disabled", "true")
    notebook.expect_value("stepper.stepper.done", expected=True)


def test_a_run_moves_the_curve_steers_and_stops(notebook: Notebook, training: Locator) -> None:
    training.get_by_role("button", name="Start", exact=True).click()
    expect(training.locator(".head")).to_contain_text(re.compile(r"update ([3-9]|\d{2,3}) of 400"), timeout=60_000)
    points = "(panel) => panel.querySelector('[data-key=kl] .js-plotly-plot').data[0].y.length"
    assert training.evaluate(points) >= 2
    box = training.get_by_role("textbox", name="KL coefficient")
    box.fill("0.2")
    box.press("Tab")
    notebook.page.wait_for_timeout(500)
    training.get_by_role("button", name="Stop").click()  # how soon it stops is measured in the tour
    expect(training.get_by_role("button", name="Go on")).to_be_visible(timeout=20_000)
    done = notebook.value("training.trainer.index")
    assert notebook.value("training.trainer.config.kl_coef") == 0.2
    expect(training.locator(".head")).to_contain_text(f"update {done} of 400")
    assert training.evaluate(points) == done
    last = notebook.value("training.trainer.history[-1].metrics['objective/kl']")
    expect(training.locator(".reading b").last).to_have_text(f"{last:.2f}")


def test_one_update_more_and_samples_side_by_side(notebook: Notebook, training: Locator) -> None:
    before = notebook.value("training.trainer.index")
    training.get_by_role("button", name="One update").click()
    table = training.locator('[data-key="samples"] tbody tr')
    expect(table).to_have_count(6, timeout=30_000)
    expect(table.nth(1)).to_contain_text(f"after\u00a0{before + 1}")
    score = notebook.value("training.now[0]['score']")
    expect(table.nth(1).locator("td").nth(2)).to_have_text(f"{score:+.2f}".replace("-", "\u2212"))


def test_the_interrupt_button_stops_a_run(notebook: Notebook, training: Locator) -> None:
    training.get_by_role("button", name=re.compile("^(Go on|Start)$")).click()
    expect(training.get_by_role("button", name="Pause")).to_be_visible()
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.interrupt()"
    )
    expect(training.get_by_role("button", name="Go on")).to_be_visible(timeout=20_000)
    assert notebook.value("training.busy") is False


def test_a_reload_shows_the_run_as_it_is(notebook: Notebook) -> None:
    done = notebook.value("training.trainer.index")
    notebook.reload()
    again = notebook.panel("Training")
    again.scroll_into_view_if_needed()
    again.locator(".main-svg").first.wait_for(timeout=30_000)
    expect(again.locator(".head")).to_contain_text(f"update {done} of 400")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, theme: str, shots: Path) -> None:
    for title in ("Token stepper", "Training"):
        panel = notebook.panel(title)
        panel.scroll_into_view_if_needed()
        notebook.screenshot(shots / f"{title.split()[-1].lower()}-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
