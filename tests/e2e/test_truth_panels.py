"""The value, exact-tree and advantage panels in a real JupyterLab: what is clicked, compared with the kernel."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, Theme, expect_soon, running_notebook

CELLS = (
    "from rllab import load_world\nworld = load_world('micro')",
    "from rllab.widgets import AdvantagePanel, ExactTreePanel, ValuePanel",
    "value = ValuePanel(world, samples=32, seed=3)\nvalue",
    "tree = ExactTreePanel(world)\ntree",
    "advantage = AdvantagePanel(world)\nadvantage",
)
MINUS = "\u2212"
TITLES = ("Value", "Exact tree", "Advantage")
TRUTH = "__import__('rllab').truth.exact(world, value.stepper.prompt)"


def written(number: float) -> str:
    """Write a number as the panels do."""
    text = f"{abs(number):.2f}"
    return text if float(text) == 0 else f"{'+' if number > 0 else MINUS}{text}"


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with the three panels on the world micro."""
    with running_notebook(browser, lab, "truth", *CELLS, height=1700) as opened:
        opened.panel("Exact tree").locator(".main-svg").first.wait_for(timeout=60_000)
        yield opened


@pytest.fixture
def value(notebook: Notebook) -> Locator:
    panel = notebook.panel("Value")
    panel.scroll_into_view_if_needed()
    if not notebook.value("len(value.stepper.steps)"):
        panel.get_by_role("button", name="Write a response").click()
        wait_until(notebook, "value", "value.stepper.done")
    return panel


@pytest.fixture
def tree(notebook: Notebook) -> Locator:
    panel = notebook.panel("Exact tree")
    panel.scroll_into_view_if_needed()
    start = panel.get_by_role("button", name="To the prompt")
    if start.get_attribute("aria-disabled") != "true":
        start.click()
    expect(chips(panel)).to_have_count(1)
    return panel


@pytest.fixture
def advantage(notebook: Notebook) -> Locator:
    panel = notebook.panel("Advantage")
    panel.scroll_into_view_if_needed()
    if notebook.value("advantage.group is None"):
        panel.get_by_role("button", name="Write a group").click()
        wait_until(notebook, "advantage", "advantage.group")
    return panel


def chips(panel: Locator) -> Locator:
    return panel.locator(".strip [role=option]")


def wait_until(notebook: Notebook, name: str, done: str) -> None:
    """Wait until a panel's long work has brought what it was to bring: a click reaches the kernel a moment later."""
    expect_soon(lambda: notebook.value(f"bool({done}) and not {name}.busy"), expected=True, seconds=60)


def lines(panel: Locator, key: str) -> dict[str, list[float]]:
    """Return the drawn y values of a chart by the name of the line."""
    script = "(box) => box.querySelector('.js-plotly-plot').data.map((one) => [one.name, Array.from(one.y)])"
    drawn = panel.locator(f"[data-key={key}]").evaluate(script)
    return {name.strip("\u2068\u2069"): numbers for name, numbers in drawn}


def test_the_first_picture_has_its_axes(notebook: Notebook) -> None:
    panel = notebook.panel("Value")
    panel.scroll_into_view_if_needed()
    expect(panel.locator("[data-key=values] .ytick").first).to_be_visible(timeout=20_000)
    expect(panel.locator("[data-key=values] .xtick text")).to_have_text([re.compile("prompt")])


def test_a_response_is_written_and_its_values_are_the_kernel_s(notebook: Notebook, value: Locator) -> None:
    tokens = notebook.value("[step.token for step in value.stepper.steps]")
    expect(chips(value)).to_have_count(len(tokens) + 1)
    drawn = lines(value, "values")
    learned = notebook.value("[step.state.value for step in value.stepper.steps]")
    assert drawn["V learned"][: len(tokens)] == pytest.approx(learned)
    exact = notebook.value(f"[{TRUTH}.V(value.stepper.prefix_ids[:t]) for t in range(len(value.stepper.steps))]")
    assert drawn["V exact"][: len(tokens)] == pytest.approx(exact)
    changes = chips(value).locator("small").all_text_contents()[: len(tokens) - 1]
    both = itertools.pairwise(exact)
    assert changes == [written(round(after, 2) - round(before, 2)) for before, after in both]


def test_a_fan_ends_where_its_returns_are_counted(notebook: Notebook, value: Locator) -> None:
    chips(value).first.click()
    value.get_by_role("button", name="Continue from here").click()
    wait_until(notebook, "value", "value.sampled.continuations")
    expect(value.locator("[data-key=right-title]")).to_have_text("32 continuations of state 0")
    found = "value.sampled.continuations.estimate"
    mean, error = notebook.value(f"({found}.mean, {found}.standard_error)")
    expect(value.locator(".reading b")).to_have_text(f"{written(mean)} \u00b1 {error:.2f}")
    rays = lines(value, "rays")
    assert sum(notebook.value("list(value.component('rays')['figure']['data'][-1]['x'])")) == 32
    assert rays["one continuation"][0] == pytest.approx(notebook.value("value.stepper.state_at(0).value"))
    expect(value.locator(".badges")).to_contain_text("Monte-Carlo")


def test_two_tokens_are_compared_with_the_same_seed(notebook: Notebook, value: Locator) -> None:
    chips(value).first.click()
    value.get_by_role("combobox", name="What if").select_option(label="sad")
    value.get_by_role("combobox", name="or", exact=True).select_option(label="happy")
    value.get_by_role("button", name="Compare").click()
    expect(value.locator("[data-key=histograms] .main-svg").first).to_be_visible(timeout=60_000)
    error = notebook.value("value.sampled.what_if.difference.standard_error")
    sad, happy = notebook.value("[round(one.mean, 2) for one in value.sampled.what_if.q]")
    expect(value.locator(".reading")).to_contain_text(
        f"\u201chappy\u201d is better by {happy - sad:.2f} \u00b1 {error:.2f}"
    )
    exact = notebook.value(f"[{TRUTH}.Q(())[token].item() for token in value.pair]")
    true_sad, true_happy = (written(one).removeprefix("+") for one in exact)
    expect(value.locator(".reading")).to_contain_text(
        f"Exactly (dotted), the two are worth {true_sad} and {true_happy}."
    )
    same = value.get_by_role("combobox", name="or", exact=True)
    same.select_option(label="sad")
    value.get_by_role("button", name="Compare").click()
    expect(value.get_by_role("alert")).to_contain_text("choose two different ones")


def test_sampling_along_a_line_draws_a_band(notebook: Notebook, value: Locator) -> None:
    value.get_by_role("button", name="Sample V along it").click()
    wait_until(notebook, "value", "value.sampled.values")
    means = notebook.value("[one.mean for one in value.sampled.values]")
    expect(value.locator("[data-key=values]")).to_be_visible()
    assert lines(value, "values")["V Monte-Carlo"] == pytest.approx(means)


def test_bars_and_table_of_the_tree_are_one_backup(notebook: Notebook, tree: Locator) -> None:
    ids = notebook.value("[bar['value'] for bar in tree.component('bars')['items']]")
    probs, q = notebook.value("(tree.tree.pi(()).tolist(), tree.tree.Q(()).tolist())")
    rows = tree.locator("[data-key=backup] tbody tr")
    expect(rows).to_have_count(len(ids) + 1)
    for at, token in enumerate(ids):
        cells = rows.nth(at).locator("td, th")
        shown = "<0.01" if probs[token] < 0.005 else f"{probs[token]:.2f}"
        expect(cells.nth(1)).to_have_text(shown)
        expect(cells.nth(5)).to_have_text(written(q[token]))
    expect(rows.last).to_contain_text(written(notebook.value("tree.tree.J")))
    expect(rows.last).to_contain_text("0.00")


def test_a_bar_goes_on_and_a_chip_goes_back(notebook: Notebook, tree: Locator) -> None:
    tree.get_by_role("button", name=re.compile("^go to happy")).click()
    expect(chips(tree)).to_have_count(2)
    assert notebook.value("tree.prefix") == tuple(notebook.value("tuple(world.policy.encode('happy'))"))
    expect(tree.locator(".reading b").first).to_have_text(written(notebook.value("tree.tree.V(tree.prefix)")))
    tree.get_by_role("button", name=re.compile("^go to <eos>")).click()
    expect(tree.locator(".reading")).to_contain_text("over")
    notebook.page.keyboard.press("b")
    expect(chips(tree)).to_have_count(2)
    chips(tree).first.click()
    expect(chips(tree)).to_have_count(1)


def test_the_tree_of_another_prompt(notebook: Notebook, tree: Locator) -> None:
    other = notebook.value("world.prompts[1]")
    tree.get_by_role("combobox", name="Prompt").select_option(other)
    expect(tree.locator(".strip .prompt bdi")).to_have_text(other.split(), timeout=20_000)
    assert notebook.value("tree.tree.prompt") == other
    expect(tree.locator(".reading b").first).to_have_text(written(notebook.value("tree.tree.J")))
    tree.get_by_role("combobox", name="Prompt").select_option(notebook.value("world.prompts[0]"))


def test_a_world_too_large_to_be_whole_is_cut_and_says_so(notebook: Notebook, tree: Locator) -> None:
    tree.get_by_role("combobox", name="World").select_option("tales")
    expect(tree.locator(".badges")).to_have_text("exact under top-k and horizon", timeout=60_000)
    expect(tree.locator(".bars-list button")).to_have_count(3)
    box = tree.get_by_role("textbox", name="horizon")
    box.fill("2")
    box.press("Tab")
    expect(tree.locator("[data-key=cut-note]")).to_contain_text("exact under top-k 3, horizon 2", timeout=60_000)
    expect(tree.locator("[data-key=where]")).to_have_text("tales \u00b7 9 responses", timeout=60_000)
    expect(tree.locator(".reading b").first).to_have_text(written(notebook.value("tree.tree.J")))
    box.fill("60")
    box.press("Tab")
    expect(tree.get_by_role("alert")).to_contain_text("too large to enumerate")
    expect(box).to_have_value("2")
    tree.get_by_role("combobox", name="World").select_option("micro")
    expect(tree.locator(".badges")).to_have_text("exact")


def test_gae_of_a_response_follows_lambda(notebook: Notebook, advantage: Locator) -> None:
    slider = advantage.get_by_role("slider", name="\u03bb")
    for key, lam in (("Home", 0.0), ("End", 1.0)):
        slider.press(key)
        expect(advantage.locator("[data-key=lam]")).to_contain_text(f"{lam:g}")
        notebook.expect_value("advantage.lam", lam)
        made = "credit(advantage.group, advantage.values(advantage.group), gamma=1.0, lam=advantage.lam)"
        code = f"__import__('rllab.truth.groups', fromlist=['credit']).{made}.advantages[advantage.row].tolist()"
        tokens = chips(advantage).count()
        expected = pytest.approx(notebook.value(code)[:tokens], abs=0.0051)
        expect_soon(lambda: lines(advantage, "credit")["GAE"], expected)


def test_the_exact_critic_needs_no_lambda(notebook: Notebook, advantage: Locator) -> None:
    advantage.get_by_role("radio", name="exact V").check()
    expect(advantage.locator(".badges")).to_have_text("exact")
    slider = advantage.get_by_role("slider", name="\u03bb")
    slider.press("Home")
    notebook.expect_value("advantage.lam", 0.0)
    notebook.page.wait_for_timeout(300)
    drawn = lines(advantage, "credit")
    assert drawn["GAE"] == pytest.approx(drawn["TD error \u03b4"], abs=0.0051)
    advantage.get_by_role("radio", name="learned V").check()


def test_the_group_is_compared_as_the_kernel_says(notebook: Notebook, advantage: Locator) -> None:
    advantage.get_by_role("combobox", name="show").select_option("1")
    rows = advantage.locator("[data-key=group] tbody tr")
    scores = notebook.value("[round(one, 2) for one in advantage.group.totals.tolist()]")
    rloo = notebook.value("advantage.group.leave_one_out.tolist()")
    for at, (score, one) in enumerate(zip(scores, rloo, strict=True)):
        expect(rows.nth(at).locator("td, th").nth(1)).to_have_text(written(score))
        expect(rows.nth(at).locator("td, th").nth(2)).to_have_text(written(one))
    assert notebook.value("advantage.row") == 1
    expect(chips(advantage)).to_have_count(notebook.value("int(advantage.group.rollout.lengths[1])"))


@pytest.mark.parametrize("width", [740, 1280])
def test_nothing_is_wider_than_its_panel(notebook: Notebook, width: int, value: Locator, advantage: Locator) -> None:
    del value, advantage  # full panels are the wide ones
    notebook.page.set_viewport_size({"width": width, "height": 1700})
    notebook.page.wait_for_timeout(600)
    script = """(panel) => [...panel.querySelectorAll('table, .row, .columns, .strip, .picture')]
      .filter((one) => one.offsetParent && one.getBoundingClientRect().right > panel.getBoundingClientRect().right)
      .map((one) => one.className || one.tagName)"""
    wide = {title: notebook.panel(title).evaluate(script) for title in TITLES}
    notebook.page.set_viewport_size({"width": 1280, "height": 1700})
    assert wide == {title: [] for title in TITLES}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, theme: Theme, shots: Path) -> None:
    for title in TITLES:
        panel = notebook.panel(title)
        panel.scroll_into_view_if_needed()
        notebook.page.wait_for_timeout(300)
        notebook.screenshot(shots / f"{title.lower().replace(' ', '-')}-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]
