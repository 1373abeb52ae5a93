"""Boards, exercises, explorer and prediction in a real JupyterLab: drag, click, keyboard, axe, both themes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.lab import Notebook, Server, expect_soon, running_notebook

SETUP = """
import tempfile
from pathlib import Path
from rllab import Trainer, load_world
from rllab.course.exercises import Progress
from rllab.course.exercises.progress import Prediction
from rllab.widgets import BoardPanel, ExercisePanel, ExplorerPanel, MazePanel, PredictPanel
from tests.widgets.test_explorer import POWER, SCALE, draw
from tests.widgets.test_predict import OPTIONS, rises
progress = Progress(Path(tempfile.mkdtemp()))
world = load_world('micro-tabular')
trainer = Trainer(world, config=world.config('ppo', batch_size=4, micro_batch_size=4, epochs=1))
"""
CELLS = (
    SETUP,
    "order = BoardPanel('07.order', trainer=trainer, progress=progress)\norder",
    "maze = BoardPanel('01.maze', progress=progress)\nmaze",
    "feeder = ExercisePanel('01.feeder', progress=progress)\nfeeder",
    "edits = ExercisePanel('02.edits', progress=progress)\nedits",
    "td = ExercisePanel('04.td', progress=progress)\ntd",
    "powers = ExplorerPanel('Powers', draw, [POWER, SCALE])\npowers",
    "walk = MazePanel()\nwalk",
    (
        "asked = Prediction('curve', 'What will it do?', options=OPTIONS, progress=progress)\n"
        "predicted = PredictPanel('A curve', asked, rises)\npredicted"
    ),
)
TITLES = (
    "One step of the loop",
    "The robot and the cheese",
    "The cat and the feeder",
    "What changes the policy?",
    "A row of TD errors",
    "Powers",
    "A curve",
    "The robot in the maze",
)


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with a panel of every kind."""
    with running_notebook(browser, lab, "exercises", *CELLS, height=1700) as opened:
        opened.panel("Powers").locator(".main-svg").first.wait_for(timeout=60_000)
        yield opened


@pytest.fixture
def order(notebook: Notebook) -> Locator:
    """Return the ordering board with all cards in its tray."""
    notebook.python("(order.start_again(), order.refresh())")
    panel = notebook.panel(TITLES[0])
    panel.scroll_into_view_if_needed()
    expect(panel.locator(".zone.tray .card")).to_have_count(8)
    return panel


def card(panel: Locator, name: str) -> Locator:
    return panel.locator(f'.card[data-card="{name}"]')


def laid(panel: Locator, zone: str) -> list[str]:
    return panel.get_by_role("group", name=zone, exact=True).locator(".card bdi").all_text_contents()


ORDER = ("state", "action", "score", "value", "update")


def carry(notebook: Notebook, panel: Locator, card_name: str, *keys: str) -> None:
    """Lift a card, press some keys, put it down."""
    what = card(panel, card_name)
    what.focus()
    notebook.page.keyboard.press("Enter")
    expect(what).to_have_attribute("aria-pressed", "true")
    for key in keys:
        notebook.page.keyboard.press(key)
    notebook.page.keyboard.press("Enter")
    expect(what).to_have_attribute("aria-pressed", "false")
    expect(what).to_be_focused()


def test_cards_are_ordered_checked_and_played_by_keyboard_alone(notebook: Notebook, order: Locator) -> None:
    place = order.get_by_role("group", name="In this order")
    for at, name in enumerate(ORDER):
        carry(notebook, order, name, "ArrowRight")
        expect(place.locator(".card")).to_have_count(at + 1)
    notebook.expect_value("order.table.placement['order']", ["state", "action", "score", "value", "update"])
    carry(notebook, order, ORDER[4], "ArrowUp", "ArrowUp")
    order.get_by_role("button", name="Check").press("Enter")
    expect(order.locator(".reading")).to_contain_text("Not yet.")
    order.get_by_role("button", name="Play it").press("Enter")
    expect(order.locator(".finding").last).to_contain_text("needs Targets", timeout=15_000)
    carry(notebook, order, ORDER[4], "ArrowDown", "ArrowDown")
    order.get_by_role("button", name="Check").press("Enter")
    expect(order.locator(".reading")).to_contain_text("Right.")
    order.get_by_role("button", name="Play it").press("Enter")
    expect(order.locator(".finding").last).to_contain_text("UpdateRecord", timeout=15_000)
    assert notebook.value("trainer.index") >= 1


def test_escape_puts_a_lifted_card_back(notebook: Notebook, order: Locator) -> None:
    before = laid(order, "cards to place")
    first = order.locator(".card").first
    first.focus()
    for key_name in ("Enter", "ArrowRight", "Escape"):
        notebook.page.keyboard.press(key_name)
    expect(first).to_have_attribute("aria-pressed", "false")
    assert laid(order, "cards to place") == before
    assert notebook.value("order.table.placement") == {"order": []}
    assert notebook.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length") == len(CELLS)


def test_a_board_is_one_tab_stop_with_arrows(notebook: Notebook, order: Locator) -> None:
    assert order.locator('.card[tabindex="0"]').count() == 1
    order.locator(".card").first.focus()
    notebook.page.keyboard.press("ArrowDown")
    expect(order.locator(".card").nth(1)).to_be_focused()
    notebook.page.keyboard.press("End")
    expect(order.locator(".card").nth(7)).to_be_focused()
    notebook.page.keyboard.press("Tab")
    expect(order.get_by_role("button", name="Check")).to_be_focused()


def drag(notebook: Notebook, what: Locator, onto: Locator) -> None:
    start, end = what.bounding_box(), onto.bounding_box()
    assert start
    assert end
    mouse = notebook.page.mouse
    mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    mouse.down()
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] - 12, steps=8)
    mouse.up()


def test_a_quick_hand_does_not_wait_for_the_kernel(notebook: Notebook, order: Locator) -> None:
    notebook.python("__import__('asyncio').get_event_loop().call_later(0.1, __import__('time').sleep, 1.5)")
    notebook.page.wait_for_timeout(200)  # the kernel sleeps now
    for name in ORDER:
        carry(notebook, order, name, "ArrowRight")
    cards = order.get_by_role("group", name="In this order").locator(".card")
    expect(cards).to_have_count(len(ORDER), timeout=500)  # on the page before the kernel has heard of it
    notebook.expect_value("order.table.placement['order']", list(ORDER))
    expect_soon(lambda: [one.get_attribute("data-card") for one in cards.all()], list(ORDER))


def test_cards_are_dragged(notebook: Notebook, order: Locator) -> None:
    target = order.get_by_role("group", name="In this order")
    for at, name in enumerate(ORDER[:3]):
        drag(notebook, card(order, name), target)
        expect(target.locator(".card")).to_have_count(at + 1)
    notebook.expect_value("order.table.placement['order']", ["state", "action", "score"])
    drag(notebook, card(order, ORDER[0]), target)  # to the end of the same place
    notebook.expect_value("order.table.placement['order']", ["action", "score", "state"])
    drag(notebook, card(order, ORDER[1]), order.locator("h2"))  # let go outside: nothing happens
    notebook.page.wait_for_timeout(300)
    notebook.expect_value("order.table.placement['order']", ["action", "score", "state"])


def test_a_click_on_a_card_and_on_a_place_moves_it(notebook: Notebook) -> None:
    maze = notebook.panel(TITLES[1])
    maze.scroll_into_view_if_needed()
    card(maze, "robot").click()
    maze.get_by_role("group", name="Agent", exact=True).click()
    notebook.expect_value("maze.table.placement['agent']", ["robot"])
    card(maze, "map").click()
    maze.get_by_role("group", name="Agent", exact=True).locator(".card").click()  # onto a card: they change
    notebook.expect_value("maze.table.placement['agent']", ["map"])
    assert "robot" in notebook.value("maze.table.rows['tray']")


def test_every_listed_wrong_card_is_told_its_own_reason(notebook: Notebook) -> None:
    maze = notebook.panel(TITLES[1])
    labels = notebook.value("{one.id: one.label for one in maze.board.places}")
    for key, reason in notebook.value("maze.board.wrong").items():
        notebook.python("(maze.start_again(), maze.refresh())")
        what, place = key.split("@")
        expect(maze.locator(".zone.tray .card")).to_have_count(8)
        card(maze, what).click()
        maze.get_by_role("group", name=labels[place], exact=True).click()
        maze.get_by_role("button", name="Check").click()
        expect(maze.locator(".reading")).to_have_text(f"Not yet. {reason}")


LEAST_CHECKED = """(box) => new Promise((done) => {
  const inputs = [...box.querySelectorAll('input')];
  for (const input of inputs) input.click();
  let least = inputs.length;
  const look = setInterval(() => (least = Math.min(least, inputs.filter((one) => one.checked).length)), 1);
  setTimeout(() => clearInterval(look) || done(least), 1500);
})"""


def test_no_option_chosen_in_haste_is_taken_back(notebook: Notebook) -> None:
    edits = notebook.panel(TITLES[3])
    edits.scroll_into_view_if_needed()
    notebook.python("(edits.start_again(), edits.refresh())")
    expect(edits.get_by_role("checkbox", checked=True)).to_have_count(0)
    notebook.python("__import__('asyncio').get_event_loop().call_later(0.1, __import__('time').sleep, 0.5)")
    notebook.page.wait_for_timeout(200)  # the kernel sleeps now, and answers the four clicks one after the other
    assert edits.locator(".choices").evaluate(LEAST_CHECKED) == 4
    notebook.expect_value("sorted(edits.answer)", ["prompt", "seed", "temperature", "weights"])
    notebook.python("(edits.start_again(), edits.refresh())")


def test_options_and_numbers_by_keyboard(notebook: Notebook) -> None:
    keyboard = notebook.page.keyboard
    feeder = notebook.panel(TITLES[2])
    feeder.get_by_role("radio").first.focus()
    keyboard.press("ArrowDown")
    feeder.get_by_role("button", name="Check").press("Enter")
    expect(feeder.locator(".reading")).to_contain_text("The roles are exchanged.")
    feeder.get_by_role("radio").first.check()
    feeder.get_by_role("button", name="Check").press("Enter")
    expect(feeder.locator(".reading")).to_contain_text("Right.")
    edits = notebook.panel(TITLES[3])
    for at in (0, 1):
        edits.get_by_role("checkbox").nth(at).press(" ")
    edits.get_by_role("button", name="Check").press("Enter")
    expect(edits.locator(".reading")).to_contain_text("Right.")
    td = notebook.panel(TITLES[4])
    box = td.get_by_role("textbox")
    box.fill("0.3 -0.4 0.5 1")
    box.press("Enter")
    expect(td.locator(".reading")).to_contain_text("After the end token nothing can come")
    box.fill("0.3 -0.4 0.5 0.4")
    box.press("Enter")
    expect(td.locator(".reading")).to_contain_text("Right.")
    td.get_by_role("button", name="Hint").click()
    expect(td.locator(".note", has_text="Hint:")).to_have_count(1)


def test_sliders_and_prediction(notebook: Notebook) -> None:
    powers = notebook.panel(TITLES[5])
    powers.get_by_role("slider", name="power").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(powers.locator(".reading")).to_contain_text("729")
    curve = notebook.panel(TITLES[6])
    run = curve.get_by_role("button", name="Run", exact=True)
    expect(run).to_have_attribute("aria-disabled", "true")
    curve.get_by_role("radio", name="it rises").check()
    keep = curve.get_by_role("button", name="Keep prediction")
    expect(keep).not_to_have_attribute("aria-disabled", "true")
    keep.press("Enter")
    expect(run).not_to_have_attribute("aria-disabled", "true")
    run.press("Enter")
    expect(curve.locator(".reading")).to_contain_text("You were right.", timeout=15_000)


def test_the_robot_walks_by_keyboard_alone(notebook: Notebook) -> None:
    walk = notebook.panel(TITLES[7])
    walk.scroll_into_view_if_needed()
    walk.get_by_role("button", name="East").focus()
    for key in "eeesses":
        notebook.page.keyboard.press(key)
    expect(walk.locator(".reading")).to_contain_text("South took it to state 19")
    notebook.page.keyboard.press("s")
    expect(walk.locator(".reading")).to_contain_text(
        "The episode is over: +0.99 at the last step and +0.92 over all 8 steps."
    )
    assert notebook.value("[turn.following for turn in walk.turns]") == [1, 2, 3, 8, 13, 14, 19, 24]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, theme: str, shots: Path) -> None:
    notebook.set_theme("dark" if theme == "dark" else "light")
    bad = []
    for title in TITLES:
        panel = notebook.panel(title)
        panel.scroll_into_view_if_needed()
        notebook.page.wait_for_timeout(200)
        notebook.screenshot(shots / f"{title.split()[-1].strip('?')}-{theme}.png", theme=theme, of=panel)
        found = Axe().run(notebook.page, context={"include": [[f'section.rllab[aria-label="{title}"]']]})
        bad += [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    notebook.set_theme("light")
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]


@pytest.mark.parametrize("width", [820, 460])
def test_nothing_scrolls_sideways(notebook: Notebook, width: int, shots: Path) -> None:
    notebook.page.set_viewport_size({"width": width, "height": 1700})
    notebook.page.wait_for_timeout(500)
    wide = []
    for title in TITLES:
        panel = notebook.panel(title)
        panel.scroll_into_view_if_needed()
        notebook.screenshot(shots / f"{title.split()[-1].strip('?')}-{width}.png", of=panel)
        wide += panel.evaluate(
            """(root) => [root, ...root.querySelectorAll('*')].filter((e) => e.scrollWidth > e.clientWidth + 1
                && e.clientWidth > 0 && getComputedStyle(e).overflowX !== 'hidden'
                && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .js-plotly-plot'))
                .map((e) => e.className)"""
        )
    notebook.page.set_viewport_size({"width": 1280, "height": 1700})
    assert wide == []
