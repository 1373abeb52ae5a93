"""The lens on advantages in a real JupyterLab: candidates, what-if, branch tree; each number as in the kernel."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, running_notebook
from tests.patience import SOON

CELLS = (
    "from rllab import load_world\nfrom rllab.widgets import StepperPanel\nworld = load_world('micro')",
    "small = StepperPanel(world, lenses=('policy', 'reward', 'value', 'advantage'))\nsmall",
    "tales = StepperPanel(load_world('tales'), lenses=('policy', 'advantage'))\ntales",
)
MINUS = "\u2212"


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open a notebook with a stepper whose truth is known and one whose truth is sampled."""
    with running_notebook(browser, lab, "stepper", *CELLS, height=1700) as opened:
        opened.panel("Token stepper").locator(".main-svg").first.wait_for(timeout=60_000)
        yield opened


@pytest.fixture
def small(notebook: Notebook) -> Locator:
    """Return the stepper on micro with the line "is not" and the end of it in view."""
    panel = notebook.panel("Token stepper")
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="Reset").click()
    expect(chips(panel)).to_have_count(1)
    for count, word in enumerate(("is", "not")):
        panel.get_by_role("button", name=re.compile(f"^write {word}:")).click()
        expect(chips(panel)).to_have_count(count + 2)
    return panel


@pytest.fixture
def tales(notebook: Notebook) -> Locator:
    panel = notebook.panel("Token stepper", nth=1)
    panel.scroll_into_view_if_needed()
    panel.get_by_role("button", name="Reset").click()
    expect(chips(panel)).to_have_count(1)
    return panel


def chips(panel: Locator) -> Locator:
    return panel.locator(".strip [role=option]")


def written(number: float) -> str:
    """Write a number as the screen does."""
    text = f"{abs(number):.2f}"
    return text if float(text) == 0 else ("+" if number > 0 else MINUS) + text


def test_every_candidate_has_the_q_and_a_of_the_kernel(notebook: Notebook, small: Locator) -> None:
    expect(small.get_by_role("radio", name="+ advantage")).to_be_checked()
    found = "small.worth.candidates(small.stepper, 2, small.stepper.state.candidate_ids)"
    q = notebook.value(f"[one.mean for one in {found}.q]")
    value = round(notebook.value(f"{found}.value.mean"), 2)
    shown = [f"Q {written(estimate)}A {written(round(round(estimate, 2) - value, 2))}" for estimate in q]
    expect(small.locator(".bars-list .extra")).to_have_text(shown)
    expect(small.locator('[data-key="left-value"]')).to_contain_text(f"V = {written(value)}, exact")
    tree = notebook.value(
        "[float(x) for x in __import__('rllab').truth.exact(world, small.stepper.prompt).Q(small.stepper.prefix_ids)]"
    )
    assert sorted(q) == pytest.approx(sorted(tree))
    best = f"{max(q):+.2f}".replace("-", MINUS)
    expect(small.locator(".reading")).to_contain_text(f"is worth the most: Q {best}")


def test_a_candidate_is_written_with_a_click_and_its_td_error_stands_under_it(
    notebook: Notebook, small: Locator
) -> None:
    small.get_by_role("button", name=re.compile("^write happy:")).click()
    expect(chips(small)).to_have_count(4)
    exact = "__import__('rllab').truth.exact(world, small.stepper.prompt)"
    a = notebook.value(
        f"[float({exact}.A(small.stepper.prefix_ids[:t])[x]) for t, x in enumerate(small.stepper.prefix_ids)]"
    )
    shown = [float(text.replace(MINUS, "-")) for text in chips(small).locator("small").all_text_contents()[:3]]
    assert shown == pytest.approx(a, abs=0.011)  # each a difference of two written numbers
    drawn = "(panel) => panel.querySelector('[data-key=curves] .js-plotly-plot').data[0].y"
    values = notebook.value(f"[{exact}.V(small.stepper.prefix_ids[:t]) for t in range(4)]")
    assert small.evaluate(drawn) == pytest.approx(values)
    chips(small).nth(2).click()
    expect(small.locator(".reading")).to_contain_text("minus V")
    expect(small.locator(".reading")).to_contain_text(written(shown[2]))


def test_what_if_runs_and_reads_itself(notebook: Notebook, small: Locator, shots: Path) -> None:
    small.get_by_role("combobox", name="What if").select_option(label="happy")
    small.get_by_role("combobox", name="or", exact=True).select_option(label="sad")
    small.get_by_role("button", name="Compare").click()
    expect(small.locator('[data-key="histograms"] .main-svg').first).to_be_visible(timeout=20_000)
    sentence = notebook.value("small.worth.compared(small.stepper, 2).sentence")
    expect(small.locator(".reading")).to_contain_text(sentence.replace(" -", f" {MINUS}"))
    exact = "__import__('rllab').truth.exact(world, small.stepper.prompt).Q(small.stepper.prefix_ids)"
    happy, sad = (
        written(notebook.value(f"{exact}[{at}].item()")).removeprefix("+") for at in notebook.value("small.worth.pair")
    )
    expect(small.locator(".reading")).to_contain_text(f"Exactly (dotted), the two are worth {happy} and {sad}.")
    bins = "(panel) => panel.querySelector('[data-key=histograms] .js-plotly-plot').data.map((trace) => trace.y)"
    assert [sum(counts) for counts in small.evaluate(bins)] == [64, 64]
    expect(small.locator(".badge")).to_have_text(["exact", "Monte-Carlo \u00b1 s.e."])
    notebook.screenshot(shots / "what-if-light.png", of=small)


def test_the_tree_grows_and_a_click_on_it_goes_there(notebook: Notebook, small: Locator) -> None:
    small.get_by_role("button", name=re.compile("^write happy:")).click()
    expect(chips(small)).to_have_count(4)
    chips(small).nth(1).click()
    expect(small.locator('[data-key="left-note"]')).to_contain_text("a new line starts there")
    small.get_by_role("button", name=re.compile("^write very:")).click()
    expect(chips(small)).to_have_count(3)
    tree = small.locator('[data-key="branches"]')
    expect(tree.locator(".main-svg").first).to_be_visible()
    xs = "(el) => el.querySelector('.js-plotly-plot').data.map((trace) => trace.x)"
    assert tree.evaluate(xs) == [[0, 1, 2], [0, 1, 2, 3], [2]]
    dots = tree.locator(".scatterlayer .trace").nth(1).locator(".points path")
    box = dots.nth(3).bounding_box()
    assert box is not None
    notebook.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(chips(small)).to_have_count(4)
    assert notebook.value("(small.lines.here, small.selected)") == (0, 3)
    expect(small.get_by_role("combobox", name="line")).to_have_value("0")
    small.get_by_role("combobox", name="line").select_option("1")  # the way of the keyboard
    expect(chips(small)).to_have_count(3)


def test_a_learned_answer_first_and_a_sampled_one_for_the_asking(
    notebook: Notebook, tales: Locator, shots: Path
) -> None:
    tales.get_by_role("button", name="Step 5").click()
    expect(chips(tales)).to_have_count(6)
    expect(tales.locator('[data-key="left-value"]')).to_contain_text("learned")
    expect(tales.locator(".bar.rest .extra")).to_contain_text("Q ")
    tales.get_by_role("button", name="Sample Q").click()
    expect(tales.locator('[data-key="left-value"]')).to_contain_text("Monte-Carlo", timeout=60_000)
    found = "tales.worth.candidates(tales.stepper, 5, tuple(tales.stepper.state.candidate_ids[:8]))"
    q = notebook.value(f"[(one.mean, one.standard_error) for one in [*{found}.q, {found}.others]]")
    texts = tales.locator(".bars .extra").all_text_contents()
    assert [text.split("A")[0] for text in texts] == [f"Q {written(mean)} \u00b1 {error:.2f}" for mean, error in q]
    expect(tales.locator(".badge")).to_have_text(["Monte-Carlo \u00b1 s.e.", "learned"])
    notebook.screenshot(shots / "sampled-light.png", of=tales)


def test_stop_ends_sampling_within_a_second(notebook: Notebook, tales: Locator) -> None:
    box = tales.get_by_role("textbox", name="continuations of each")
    box.fill("1024")
    box.press("Tab")
    tales.get_by_role("button", name="Step", exact=True).click()
    expect(chips(tales)).to_have_count(2)
    tales.get_by_role("button", name="Sample Q").click()
    stop = tales.get_by_role("button", name="Stop")
    expect(stop).not_to_have_attribute("aria-disabled", "true")
    expect(tales.locator("progress")).to_be_visible()
    stop.click()
    began = time.monotonic()
    expect(tales.get_by_role("button", name="Sample Q")).not_to_have_attribute("aria-disabled", "true", timeout=5000)
    assert time.monotonic() - began < SOON
    expect(tales.locator('[data-key="left-value"]')).to_contain_text("learned")
    expect(tales.get_by_role("alert")).to_have_text("")
    box.fill("0")
    box.press("Tab")
    expect(tales.get_by_role("alert")).to_contain_text("choose from 2")
    box.fill("64")
    box.press("Tab")
    expect(tales.get_by_role("alert")).to_have_text("")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_to_look_at_and_nothing_serious_for_axe(notebook: Notebook, theme: str, shots: Path) -> None:
    for nth, name in ((0, "micro"), (1, "tales")):
        panel = notebook.panel("Token stepper", nth=nth)
        panel.scroll_into_view_if_needed()
        notebook.screenshot(shots / f"advantage-{name}-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
