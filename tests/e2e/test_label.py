"""The label and the reward panel in a real JupyterLab: a scripted learner judges with the keyboard."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from rllab.preferences.labels import LabelStore
from rllab.preferences.pairs import Pair, load_pairs
from tests.e2e.lab import Notebook, Server, running_notebook, write_notebook

LOAD = "from rllab import load_world\nfrom rllab.widgets import LabelPanel, RewardPanel, TrainingPanel"
CELLS = (
    f"{LOAD}\nworld = load_world('micro')",
    "training = TrainingPanel(world, updates=2)\ntraining",
    "labels = LabelPanel(world, path='labels.jsonl', carry=training.train_on)\nlabels",
    "rewards = RewardPanel(world)\nrewards",
)


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """Open one notebook with the panels on the world micro."""
    with running_notebook(browser, lab, "label", *CELLS, width=980, height=1700) as opened:
        yield opened


@pytest.fixture
def label(notebook: Notebook) -> Locator:
    panel = notebook.panel("Label")
    panel.scroll_into_view_if_needed()
    return panel


@pytest.fixture
def reward(notebook: Notebook) -> Locator:
    panel = notebook.panel("Reward")
    panel.scroll_into_view_if_needed()
    return panel


def show_pairs(panel: Locator) -> None:
    panel.get_by_role("button", name="Show pairs").click()
    expect(panel.locator('[data-key="asked"]')).to_be_visible(timeout=30_000)


def judge(notebook: Notebook, panel: Locator, count: int) -> list[Pair]:
    """Prefer the text with fewer words, by keyboard alone, and return what the page has acknowledged."""
    acknowledged = []
    for _ in range(count):
        expect(panel.locator('[data-key="asked"]')).to_be_visible(timeout=30_000)
        before = panel.locator('[data-key="where"]').text_content()
        prompt, first, second = shown(panel)
        key = "1" if len(first.split()) <= len(second.split()) else "2"
        notebook.page.keyboard.press(key)
        expect(panel.locator('[data-key="where"]')).not_to_have_text(before or "", timeout=10_000)
        texts = (first, second) if key == "1" else (second, first)
        acknowledged.append(Pair(prompt, *texts, judge="you"))
    return acknowledged


def shown(panel: Locator) -> tuple[str, str, str]:
    """Return the prompt and the two responses as the page shows them."""
    places = ('[data-key="asked"] b', '[data-key="text-first"]', '[data-key="text-second"]')
    texts = [panel.locator(place).text_content() or "" for place in places]
    prompt, first, second = ("" if text == "(nothing)" else text for text in texts)
    return prompt, first, second


def without_time(pairs: list[Pair]) -> list[Pair]:
    return [Pair(pair.prompt, pair.chosen, pair.rejected, pair.judge) for pair in pairs]


def test_keys_label_and_jupyterlab_takes_none_of_them(notebook: Notebook, label: Locator, lab: Server) -> None:
    show_pairs(label)
    label.locator('[data-key="text-first"]').click()
    said = judge(notebook, label, 4)
    assert without_time(load_pairs(lab.folder / "labels.jsonl")) == said
    notebook.page.keyboard.press("t")
    expect(label.locator('[data-key="where"]')).to_contain_text("5 labels, 1 tie")
    notebook.page.keyboard.press("n")
    notebook.page.keyboard.press("u")
    expect(label.locator('[data-key="where"]')).to_contain_text("4 labels")
    assert without_time(load_pairs(lab.folder / "labels.jsonl")) == said
    assert notebook.value("len(labels.session.store.ties)") == 0
    cells = notebook.page.locator(".jp-Notebook-cell")
    expect(cells.first).to_contain_text("load_world")
    assert notebook.page.locator(".jp-MarkdownCell").count() == 0  # 1 and 2 would make headings of a cell


def test_a_refit_is_drawn_and_carried_to_training(notebook: Notebook, label: Locator) -> None:
    judge(notebook, label, 8)
    notebook.page.keyboard.press("r")
    expect(label.locator(".reading")).to_contain_text("held-out", timeout=60_000)
    expect(label.locator(".main-svg").first).to_be_visible(timeout=30_000)
    assert label.locator(".reading b").text_content() == notebook.value(
        "(lambda f: f'{f.ranked_alike:g} of {f.pairs}')(labels.session.reports[-1].held_out)"
    )
    label.get_by_role("button", name="Carry this reward to training").click()
    expect(label.locator(".reading")).to_contain_text("in training now")
    assert notebook.value("training.trainer.world.reward is labels.session.reward") is True
    training = notebook.panel("Training")
    training.get_by_role("button", name="Start", exact=True).click()
    expect(training.locator(".head")).to_contain_text("update 2 of 2", timeout=60_000)
    expect(training.get_by_role("button", name="Go on")).to_be_visible(timeout=20_000)


def test_delete_not_and_look(notebook: Notebook, reward: Locator) -> None:
    box = reward.get_by_role("textbox", name="Response")
    box.fill("is not happy")
    box.press("Enter")
    expect(reward.locator(".strip [role=option]")).to_have_count(4)
    shown_pay = reward.locator(".strip [role=option] small").all_text_contents()
    assert shown_pay == notebook.value(
        "[f'{x:+.2f}'.replace('-', '\\u2212') for x in rewards.paid(rewards.world.reward).payments]"
    )
    reward.locator(".strip [role=option]").nth(1).click()
    expect(reward.locator(".reading")).to_contain_text("not moves the score")
    notebook.page.keyboard.press("d")
    expect(reward.locator(".reading")).to_contain_text("Without “not”: the score goes from")
    expect(box).to_have_value("is happy")
    reward.get_by_role("button", name="Reveal gold").click()
    expect(reward.locator('[data-key="parts"]')).to_contain_text("gold: mood")
    reward.get_by_role("radio", name="the end").check()
    expect(reward.locator(".strip [role=option] small").first).to_have_text("\u2013")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(notebook: Notebook, theme: str, shots: Path) -> None:
    for title in ("Label", "Reward"):
        panel = notebook.panel(title)
        panel.scroll_into_view_if_needed()
        notebook.screenshot(shots / f"{title.lower()}-{theme}.png", theme=theme, of=panel)
    found = Axe().run(notebook.page, context={"include": [["section.rllab"]]})
    notebook.set_theme("light")
    bad = [item for item in found.response["violations"] if item["impact"] in {"serious", "critical"}]
    assert bad == [], [(item["id"], [node["html"] for node in item["nodes"]]) for item in bad]


def test_a_killed_kernel_loses_no_label(browser: Browser, lab: Server) -> None:
    """The kernel dies by SIGKILL between two keys: what the page has acknowledged is there, and the work goes on."""
    path = lab.folder / "killed.jsonl"
    write_notebook(lab.folder / "killed.ipynb", CELLS[0], f"labels = LabelPanel(world, path={str(path)!r})\nlabels")
    opened = Notebook.open(browser, lab, "killed.ipynb")
    opened.run_all()
    panel = opened.panel("Label")
    show_pairs(panel)
    panel.locator('[data-key="text-first"]').click()
    said = judge(opened, panel, 5)
    opened.page.keyboard.press("1")  # this one is on its way when the kernel dies
    os.kill(opened.value("__import__('os').getpid()"), signal.SIGKILL)
    store = LabelStore(path)
    assert without_time(store.pairs)[:5] == said
    assert len(store) in {5, 6}
    assert store.problems == []
    opened.page.get_by_role("dialog").get_by_role("button", name="Ok").click()  # Lab says that it restarts the kernel
    opened.wait_for_kernel()
    opened.run_all()
    panel = opened.panel("Label")
    expect(panel.locator('[data-key="where"]')).to_contain_text(f"{len(store)} labels", timeout=30_000)
    show_pairs(panel)
    panel.locator('[data-key="text-first"]').click()
    more = judge(opened, panel, 2)
    assert without_time(load_pairs(path)) == [*without_time(store.pairs), *more]
    opened.close()
