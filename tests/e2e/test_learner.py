"""Notebooks in a real JupyterLab: they open, run, ask what they should, and an exercise of each kind is answered.

These are the fewest notebooks that ask in every way. All of them, with all exercises and all of their wrong answers,
take a quarter of an hour: `python lab.py proof proof_learner`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rllab.course.exercises import Exercise, exercise_named
from tests.e2e.lab import Server
from tests.e2e.learner import Learner, names_of

ROOT = Path(__file__).resolve().parents[2]


def kinds(path: Path) -> set[str]:
    """Return the kinds of answer that a notebook asks for."""
    return {exercise_named(name).task.kind for name in names_of(path)}


def fewest(paths: list[Path]) -> list[Path]:
    """Return notebooks that ask for every kind of answer, each time the one that adds most."""
    missing = set[str]().union(*map(kinds, paths))
    chosen: list[Path] = []
    while missing:
        chosen.append(max(paths, key=lambda path: len(kinds(path) & missing)))
        missing -= kinds(chosen[-1])
    return chosen


ASKING = fewest(sorted((ROOT / "notebooks").glob("*.ipynb")))


def one_of_each_kind(asked: list[Exercise]) -> list[Exercise]:
    """Return the first exercise of each kind of answer."""
    return list({exercise.task.kind: exercise for exercise in reversed(asked)}.values())


@pytest.fixture(scope="module", params=ASKING, ids=lambda path: path.stem)
def learner(request: pytest.FixtureRequest, browser: Browser, lab: Server) -> Iterator[Learner]:
    """Open one notebook and run its cells."""
    opened = Learner.open(browser, lab, request.param)
    yield opened
    assert opened.notebook.page_errors == []
    assert opened.notebook.outside_requests == []
    opened.notebook.close()


def test_at_least_three_exercises_are_asked_once_each(learner: Learner) -> None:
    assert len(learner.exercises) >= 3
    for exercise in learner.exercises:
        expect(learner.panel(exercise)).to_have_count(1)


def test_a_chart_that_was_drawn_out_of_sight_has_numbers_on_its_axes(learner: Learner) -> None:
    panels = learner.notebook.page.locator("section.rllab:has(g.xtick)")
    assert panels.count()
    for panel in panels.all():
        panel.scroll_into_view_if_needed()
        expect(panel.locator("g.xtick text").first).to_be_visible()


def test_wrong_answers_are_told_why_and_the_right_one_passes(learner: Learner) -> None:
    for exercise in one_of_each_kind(learner.exercises):
        learner.answer_all(exercise, faults=1)


def test_a_prediction_opens_its_run(learner: Learner) -> None:
    assert learner.predictions
    learner.predict(learner.predictions[0])
