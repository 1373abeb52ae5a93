"""On a page so slow that anywidget gives a widget up, the panel hears the kernel all the same."""

from playwright.sync_api import Browser, expect

from tests.e2e.lab import GIVEN_UP, Notebook, Server, write_notebook

# Every wait of anywidget is over at once.
IMPATIENT = "const timeout = AbortSignal.timeout; AbortSignal.timeout = () => timeout.call(AbortSignal, 0);"
CELL = """
from rllab.widgets.engine.components import button
from rllab.widgets.engine.panel import Panel, View
class Counter(Panel):
    title, count = "Counter", 0
    def view(self):
        return View(body=(button("more", "More", self.more),), reading=(f"You pressed {self.count} times.",))
    def more(self):
        self.count += 1
counter = Counter()
counter
"""


def test_a_panel_that_anywidget_gave_up_is_alive(browser: Browser, lab: Server) -> None:
    write_notebook(lab.folder / "slow.ipynb", CELL)
    browser_says: list[str] = []
    notebook = Notebook.open(browser, lab, "slow.ipynb", before=IMPATIENT)
    notebook.page.on("pageerror", lambda error: browser_says.append(str(error)))
    notebook.run_all()
    panel = notebook.panel("Counter")
    expect(panel.locator(".reading")).to_have_text("You pressed 0 times.")
    notebook.python("(counter.more(), counter.refresh())")
    expect(panel.locator(".reading")).to_have_text("You pressed 1 times.")
    panel.get_by_role("button", name="More").click()
    expect(panel.locator(".reading")).to_have_text("You pressed 2 times.")
    assert GIVEN_UP in browser_says
    assert notebook.page_errors == []
    notebook.close()
