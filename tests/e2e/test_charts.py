"""Alternatives to pictures: heat maps and horizontal bars as tables, a message if the chart library does not load."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, WebSocketRoute, expect

from tests.e2e.lab import Notebook, Server, write_notebook

LIBRARY = 400_000  # bytes: one message of the notebook is larger, the packed chart library
CELL = """
from rllab.course.tabular.figures import maze_wave
from rllab.plots.drawing import Picture
from rllab.plots.drawing import drawing
from rllab.widgets import ExplorerPanel
from rllab.widgets.explorer import Setting
lying = {"type": "bar", "orientation": "h", "x": [7.5, 3.25], "y": ["RLOO", "A2C"]}
bars = drawing([lying], x="variance", y="", layout={})
ExplorerPanel("Map", maze_wave, [Setting("sweep", "sweep", (1, 2), 1)])
"""
LYING = 'ExplorerPanel("Bars", lambda: Picture(bars, "Two bars.", "two bars"), ())'


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open a notebook with a map and with bars that lie."""
    write_notebook(lab.folder / "charts.ipynb", CELL, LYING)
    opened = Notebook.open(browser, lab, "charts.ipynb")
    opened.run_all()
    yield opened
    assert opened.page_errors == []
    opened.close()


def table_of(panel: Locator) -> list[list[str]]:
    """Open the table of a panel's chart and read it."""
    panel.get_by_role("button", name="Show as table").click()
    lines = panel.locator(".chart-table tr").all()
    return [line.locator("th, td").all_text_contents() for line in lines]


def test_a_map_is_a_table_of_its_cells(notebook: Notebook) -> None:
    head, *rows = table_of(notebook.panel("Map"))
    assert head == ["row", "1", "2", "3", "4", "5"]
    assert rows[0] == ["1", "0", "0", "0", "0", "0"]
    assert rows[1][2] == ""  # a wall
    assert rows[4][4:] == ["\u2192 1.00", "cheese"]


def test_bars_that_lie_have_their_names_in_the_first_column(notebook: Notebook) -> None:
    assert table_of(notebook.panel("Bars"))[1:] == [["RLOO", "7.5"], ["A2C", "3.25"]]


def test_without_the_chart_library_there_are_words_and_the_table(browser: Browser, lab: Server) -> None:
    """A proxy that drops large messages drops the chart library without an error."""
    page = browser.new_context(viewport={"width": 1280, "height": 1400}).new_page()

    def without_large_messages(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda message: route.send(message) if len(message) < LIBRARY else None)

    page.route_web_socket("**/channels*", without_large_messages)
    write_notebook(lab.folder / "proxy.ipynb", CELL)
    page.goto(f"{lab.address}/doc/tree/proxy.ipynb?token={lab.token}&reset", wait_until="domcontentloaded")
    notebook = Notebook(page, lab)
    notebook.wait_for_kernel()
    notebook.run_all()
    panel = notebook.panel("Map")
    said = "The chart library has not loaded. The table shows the same numbers."
    expect(panel.locator(".picture")).to_have_text(said, timeout=60_000)
    expect(panel.locator(".chart-table tbody tr").last).to_contain_text("cheese")
    notebook.close()
