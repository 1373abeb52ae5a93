"""Every exercise: the key passes, every listed wrong answer fails with its own reason, hints come in steps."""

import re
import string
from collections import Counter

import pytest

from rllab.course.exercises import Exercise, exercises
from rllab.course.exercises.boards import TRAY, Board
from rllab.course.exercises.grading import Choice

ALL = exercises()
NOTEBOOKS = [f"{number:02d}" for number in range(1, 10)]


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_the_key_passes_and_is_explained(exercise: Exercise) -> None:
    verdict = exercise.check(exercise.task.right_answer())
    assert verdict.right
    assert verdict.share == 1
    assert verdict.reason == exercise.explanation


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_every_listed_wrong_answer_fails_for_its_own_reason(exercise: Exercise) -> None:
    wrong = exercise.task.wrong_answers()
    reasons = [reason for _, reason in wrong]
    assert len(set(reasons)) == len(reasons)
    for answer, reason in wrong:
        verdict = exercise.check(answer)
        assert not verdict.right
        assert verdict.share < 1
        assert reason in (verdict.reason, *verdict.more)


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_the_words_are_whole(exercise: Exercise) -> None:
    assert exercise.hints
    texts = [exercise.title, exercise.question, exercise.explanation, *exercise.hints]
    texts += [reason for _, reason in exercise.task.wrong_answers()]
    for text in texts[1:]:
        assert text[-1] in ".?!…", text
        assert "!" not in text
    for text in texts:
        assert text == text.strip()
        assert "{" not in text
        assert not re.search(r"\d-\d|\s-\d", text), f"a hyphen where a minus belongs: {text}"
    assert exercise.question[0] in string.ascii_uppercase


def test_every_notebook_has_its_three_checks() -> None:
    counts = Counter(exercise.notebook for exercise in ALL)
    assert sorted(counts) == NOTEBOOKS
    assert all(counts[notebook] >= 3 for notebook in NOTEBOOKS)


def test_every_wrong_option_has_a_reason() -> None:
    for exercise in ALL:
        if isinstance(exercise.task, Choice):
            task = exercise.task
            needed = set(task.options) if task.many else set(task.options) - task.right
            assert needed == set(task.reasons), exercise.id


def test_boards_name_only_what_is_on_them() -> None:
    for exercise in ALL:
        if isinstance(exercise.task, Board):
            board = exercise.task
            cards = {card.id: card.home for card in board.cards}
            for key in board.wrong:
                card, place = key.split("@")
                assert cards[card] != place, f"{exercise.id}: {key} is right"
                assert place in {spot.id for spot in board.places}
            assert {pair.first for pair in board.pairs} | {pair.second for pair in board.pairs} <= cards.keys()
            if board.mode == "match":
                assert all(sum(home == place.id for home in cards.values()) == 1 for place in board.places)
            assert len(board.shuffled()) == len(cards)
            assert board.shuffled() != [card.id for card in board.cards if card.home != TRAY]


def test_every_card_on_every_wrong_place_is_told_why() -> None:
    for exercise in ALL:
        board = exercise.task
        if isinstance(board, Board) and board.mode != "order":
            for card in board.cards:
                for place in board.places:
                    if place.id != card.home:
                        verdict = board.check({place.id: [card.id]})
                        assert not verdict.right
                        assert len(verdict.reason) > 20
