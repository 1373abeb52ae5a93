"""A scripted learner teaches a hidden preference in the browser: 30 pairs by keyboard, a refit, 40 PPO updates."""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from playwright.sync_api import Browser, Locator, expect

from benchmarks.result import Result
from rllab.preferences.pairs import load_pairs
from tests.e2e.lab import Notebook, Server, running_browser, running_lab, write_notebook

SEEDS, PAIRS, UPDATES, ROLLOUTS = (0, 1, 2), 30, 40, 200
CLAIM = (
    f"A scripted learner labels {PAIRS} pairs of micro with the keyboard, refits and trains {UPDATES} PPO updates; "
    "only the script knows its preference (sad words minus happy ones, short rather than long)"
)
TARGET = f"the mean hidden preference score rises by more than 2 standard errors on {len(SEEDS)} of {len(SEEDS)} seeds"
PATIENCE = 300_000  # milliseconds


@dataclass(frozen=True)
class Lesson:
    """The result of one learner's session."""

    seed: int
    labels: int  # saved preferences; the other pairs were ties
    before: float  # mean preference score of the policy's responses
    after: float
    standard_error: float  # of the difference

    @property
    def passed(self) -> bool:
        """Return whether the preference score rose by more than 2 standard errors."""
        return self.after - self.before > 2 * self.standard_error


def measure() -> Result:
    """Run one learner's session for each seed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = {"RLLAB_HOME": str(Path(folder) / "home")}
        with running_lab(Path(folder), environment=home) as server, running_browser() as browser:
            lessons = [teach(browser, server, seed) for seed in SEEDS]
    told = ", ".join(
        f"{lesson.before:+.2f} to {lesson.after:+.2f} (s.e. {lesson.standard_error:.2f})" for lesson in lessons
    )
    return Result(
        claim=CLAIM,
        target=TARGET,
        figure=f"{sum(lesson.passed for lesson in lessons)} of {len(lessons)} seeds: {told}",
        passed=all(lesson.passed for lesson in lessons),
        details={"lessons": [asdict(lesson) for lesson in lessons]},
    )


def teach(browser: Browser, server: Server, seed: int) -> Lesson:
    """Label, refit, carry the reward to training and train, all in the browser."""
    name, file = f"label-{seed}.ipynb", server.folder / f"labels-{seed}.jsonl"
    write_notebook(
        server.folder / name,
        "from rllab import generate, load_world\nfrom rllab.widgets import LabelPanel, TrainingPanel",
        f"world = load_world('micro')\ntraining = TrainingPanel(world, updates={UPDATES}, seed={seed})\ntraining",
        f"labels = LabelPanel(world, path={str(file)!r}, carry=training.train_on, seed={seed})\nlabels",
    )
    notebook = Notebook.open(browser, server, name)
    try:
        notebook.run_all()
        before = tastes(notebook, "world.policy")
        label(notebook, notebook.panel("Label"))
        train(notebook.panel("Training"))
        after = tastes(notebook, "training.trainer.world.policy")
    finally:
        notebook.close()
    error = float((before.var() / len(before) + after.var() / len(after)).sqrt())
    return Lesson(seed, len(load_pairs(file)), float(before.mean()), float(after.mean()), error)


def label(notebook: Notebook, panel: Locator) -> None:
    """Label the shown pairs by keyboard, then refit and carry the reward to training."""
    panel.get_by_role("button", name="Show pairs").click()
    for done in range(PAIRS):
        panel.locator('[data-key="text-first"]').wait_for(timeout=PATIENCE)
        if done == 0:
            panel.locator('[data-key="text-first"]').click()
        first, second = (taste(panel.locator(f'[data-key="text-{side}"]').text_content()) for side in SIDES)
        notebook.page.keyboard.press("1" if first > second else "2" if second > first else "t")
        count = "1 label" if done == 0 else f"{done + 1} labels"
        expect(panel.locator('[data-key="where"]')).to_contain_text(count, timeout=PATIENCE)
    notebook.page.keyboard.press("r")
    expect(panel.locator(".reading")).to_contain_text("kept aside", timeout=PATIENCE)
    panel.get_by_role("button", name="Carry this reward to training").click()
    expect(panel.locator(".reading")).to_contain_text("in training now", timeout=PATIENCE)


SIDES = ("first", "second")


def train(panel: Locator) -> None:
    """Press Start and wait for the last update."""
    panel.get_by_role("button", name="Start", exact=True).click()
    expect(panel.locator(".head")).to_contain_text(f"update {UPDATES} of {UPDATES}", timeout=PATIENCE)
    expect(panel.get_by_role("button", name=re.compile("^Go on$"))).to_be_visible(timeout=PATIENCE)


def tastes(notebook: Notebook, policy: str) -> torch.Tensor:
    """Sample responses in the kernel and score them here, so that the lab never sees the preference."""
    settings = f"max_new_tokens=5, samples_per_prompt={ROLLOUTS}, seed=99"
    texts = notebook.value(f"list(generate({policy}, world.prompts, {settings}).responses)")
    return torch.tensor([taste(text) for text in texts], dtype=torch.float64)


def taste(text: str | None) -> float:
    """Return the hidden score: sad words minus happy ones, with a small penalty on the number of words."""
    words = (text or "").replace("(nothing)", "").split()
    return words.count("sad") - words.count("happy") - 0.1 * len(words)
