"""Graders take any honest form of an answer, read bad ones in a sentence, and never break on a learner's code."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rllab.core.errors import LabError
from rllab.course.exercises import exercise_named
from rllab.course.exercises.boards import Board
from rllab.course.exercises.grading import Number


def G(rewards: list[float], gamma: float) -> float:
    total = 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
    return total


def gradient(logits: list[float], action: int, reward: float) -> list[float]:
    exponentials = [math.exp(logit) for logit in logits]
    pi = [weight / sum(exponentials) for weight in exponentials]
    return [reward * ((at == action) - p) for at, p in enumerate(pi)]


def shaping(potentials: list[float], gamma: float) -> list[float]:
    following = [*potentials[1:-1], 0.0]
    return [gamma * after - before for before, after in zip(potentials[:-1], following, strict=True)]


@pytest.mark.parametrize("form", [float, np.float32, torch.tensor, lambda value: [value], np.array])
def test_a_function_may_return_any_kind_of_number(form: Callable[[float], Any]) -> None:
    def answer(rewards: list[float], gamma: float) -> Any:
        return form(G(rewards, gamma))

    assert exercise_named("01.return").check(answer).right


def test_double_precision_has_to_be_exact() -> None:
    assert not exercise_named("01.return").check(lambda rewards, gamma: G(rewards, gamma) + 1e-6).right


def test_functions_written_here_pass() -> None:
    assert exercise_named("01.return").check(G).right
    assert exercise_named("05.gradient").check(gradient).right
    assert exercise_named("06.shaping").check(shaping).right


def test_a_broken_law_is_named() -> None:
    def squared(rewards: list[float], gamma: float) -> float:
        return G(rewards, gamma) ** 2

    assert "one law" in exercise_named("01.return").check(squared).reason

    def uneven(logits: list[float], action: int, reward: float) -> list[float]:
        return [slope + 0.1 for slope in gradient(logits, action, reward)]

    assert "add up to 0" in exercise_named("05.gradient").check(uneven).reason

    def doubled(logits: list[float], action: int, reward: float) -> list[float]:
        return [2 * slope for slope in gradient(logits, action, reward)]

    assert "Small steps" in exercise_named("05.gradient").check(doubled).reason


def test_a_case_is_shown_where_no_law_is_broken() -> None:
    def longer(potentials: list[float], gamma: float) -> list[float]:
        terms = shaping(potentials, gamma)
        return [terms[0] + 0.2, *terms[1:-1], terms[-1] - 0.2 / gamma ** (len(terms) - 1)]

    reason = exercise_named("06.shaping").check(longer).reason
    assert "potentials=[" in reason
    assert "your function returns" in reason


@pytest.mark.parametrize(
    "answer",
    [lambda rewards, gamma: 1 / 0, lambda rewards: 0.0, lambda rewards, gamma: None, lambda rewards, gamma: "x"],
)
def test_a_function_that_stops_is_told_so(answer: Callable[..., Any]) -> None:
    verdict = exercise_named("01.return").check(answer)
    assert not verdict.right
    assert "Your function stopped with" in verdict.reason


@pytest.mark.parametrize("answer", [3, "G", None])
def test_what_is_no_function_is_refused_in_a_sentence(answer: object) -> None:
    with pytest.raises(LabError, match=r"pass your function G\(rewards, gamma\)"):
        exercise_named("01.return").check(answer)


def test_part_of_a_row_is_right_in_part() -> None:
    verdict = exercise_named("04.td").check("0.3, -0.4, 0.5, 7")
    assert not verdict.right
    assert verdict.share == 0.75
    assert "δ₄" in verdict.reason
    assert "δ₁" not in verdict.reason


@pytest.mark.parametrize(
    "answer", ["0.3 −0.4 0.5 0.4", "0.3; -0.4; 0.5; 0.4", "  .3,-.4,.5,4e-1 ", [0.3, -0.4, 0.5, 0.4]]
)
def test_numbers_are_read_as_people_write_them(answer: object) -> None:
    assert exercise_named("04.td").check(answer).right


@pytest.mark.parametrize("answer", ["", "one two", "0.3 0.4", "1 2 3 4 5", "0.3 -0.4 0.5 x"])
def test_what_is_no_row_of_four_numbers_costs_no_try(answer: str) -> None:
    with pytest.raises(LabError):
        exercise_named("04.td").check(answer)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4))
def test_only_numbers_near_the_truth_pass(answer: list[float]) -> None:
    task = exercise_named("04.td").task
    assert isinstance(task, Number)
    near = all(abs(a - b) <= task.tolerance for a, b in zip(answer, task.right_answer(), strict=True))
    assert task.check(answer).right == near


def test_choices_are_checked_one_or_all() -> None:
    single, many = exercise_named("01.feeder"), exercise_named("02.edits")
    for wrong in ([], ["law", "lever"], ["nonsense"]):
        with pytest.raises(LabError):
            single.check(wrong)
    assert many.check(["temperature", "weights"]).right
    assert 0 < many.check(["weights"]).share < 1
    assert "divides the logits" in many.check(["weights"]).reason


def test_an_order_says_which_pair_is_turned() -> None:
    board = exercise_named("07.order").task
    assert isinstance(board, Board)
    verdict = board.check({"order": ["state", "score", "action", "value", "update"]})
    assert "nothing new to judge" in verdict.reason
    assert board.pairs_kept({"order": ["state", "score", "action", "value", "update"]}) == (9, 10)
    assert board.pairs_kept(board.right_answer()) == (10, 10)
    turned = board.check({"order": ["action", "value", "state", "score", "update"]})
    assert len(turned.more) >= 1
    missing = board.check({"order": ["state", "action"]})
    assert "3 of 5 cards" in missing.reason


def test_a_pair_without_a_reason_of_its_own_is_told_too() -> None:
    board = exercise_named("07.order").task
    verdict = board.check({"order": ["update", "state"]})
    assert "comes too early" in verdict.reason


@pytest.mark.parametrize(
    "answer", [{}, {"order": []}, {"nowhere": ["state"]}, {"order": ["state", "state"]}, {"order": ["nobody"]}]
)
def test_boards_refuse_what_cannot_lie_on_them(answer: dict[str, list[str]]) -> None:
    with pytest.raises(LabError):
        exercise_named("07.order").check(answer)


def test_words_are_not_graded_and_not_empty() -> None:
    with pytest.raises(LabError, match="at least"):
        exercise_named("01.analyse").check("a thermostat")
    assert exercise_named("01.analyse").check("word " * 12).right


def test_an_unknown_exercise_names_the_nearest() -> None:
    with pytest.raises(LabError, match=r"02\.entropy"):
        exercise_named("02.entrpy")
