"""Each notebook in a real JupyterLab: it opens, runs, asks what it should, and an exercise of each kind is answered.

All exercises with all of their wrong answers take minutes: `python lab.py proof proof_learner`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rllab.exercises import Exercise
from tests.e2e.lab import Server
from tests.e2e.learner import Learner, names_of

ROOT = Path(__file__).resolve().parents[2]
ASKING = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if names_of(path)]


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


def test_wrong_answers_are_told_why_and_the_right_one_passes(learner: Learner) -> None:
    for exercise in one_of_each_kind(learner.exercises):
        learner.answer_all(exercise, faults=1)


def test_a_prediction_opens_its_run(learner: Learner) -> None:
    assert learner.predictions
    learner.predict(learner.predictions[0])
