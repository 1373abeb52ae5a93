"""The wrong numbers that are listed are what the slips really give, worked out here a second time."""

import math

import pytest

from rllab.course.exercises import exercise_named
from rllab.course.exercises.grading import Number, close


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(logits: list[float]) -> list[float]:
    exponentials = [math.exp(logit) for logit in logits]
    return [weight / sum(exponentials) for weight in exponentials]


def deltas(rewards: list[float], values: list[float], last: float = 0.0) -> list[float]:
    return [r + after - v for r, v, after in zip(rewards, values, [*values[1:], last], strict=True)]


def backwards(terms: list[float], factor: float) -> list[float]:
    total, out = 0.0, []
    for term in reversed(terms):
        total = term + factor * total
        out.append(total)
    return out[::-1]


def clip(ratio: float) -> float:
    return min(max(ratio, 0.8), 1.2)


PI, Q = [0.5, 0.3, 0.2], [0.4, -0.2, 1.0]
REWARDS, VALUES = [0, 0, 0, 1], [0.2, 0.5, 0.1, 0.6]
GAE_DELTAS = deltas([0, 0, 1], [0.2, 0.6, 0.4])
CORNERS = list(zip([1.5, 0.5, 1.5, 0.5], [1, 1, -1, -1], strict=True))
TABLE = {
    "01.sweep": ([4], [[5], [1]]),
    "02.logprob": ([-3], [[-5.8], [-0.75], [math.exp(-3)]]),
    "02.entropy": (
        [-sum(p * math.log(p) for p in softmax([2, 1, 0, -1]))],
        [
            [-sum(p * math.log2(p) for p in softmax([2, 1, 0, -1]))],
            [math.log(4)],
            [-math.log(max(softmax([2, 1, 0, -1])))],
        ],
    ),
    "03.gap": ([sigma(1.5)], [[sigma(-1.5)], [math.exp(1.5)], [1 / (1 + 10**-1.5)]]),
    "03.slope": ([-sigma(-1.5)], [[sigma(-1.5)], [-sigma(1.5)], [sigma(1.5) * sigma(-1.5)]]),
    "04.backup": ([0.34], [[(0.4 - 0.2 + 1) / 3], [1], [0.5 * 0.4 - 0.3 * 0.2]]),
    "04.advantage": (
        [q - 0.34 for q in Q],
        [[q - 0.4 for q in Q], [q - 1 for q in Q], [0.34 - q for q in Q]],
    ),
    "04.td": (
        deltas(REWARDS, VALUES),
        [
            deltas(REWARDS, VALUES, last=0.6),
            [r - v for r, v in zip(REWARDS, VALUES, strict=True)],
            [1 - v for v in VALUES],
        ],
    ),
    "05.rloo": ([2 / 3, -2 / 3, -2 / 3, 2 / 3], [[0.5, -0.5, -0.5, 0.5], [1, -1, -1, 1], [1 / 3, 2 / 3, 2 / 3, 1 / 3]]),
    "06.cost": ([(3 * 500 - 1) / (3 * 24 - 1)], [[(500 / 24) ** 2], [math.sqrt(500 / 24)], [1]]),
    "06.gae": (
        backwards(GAE_DELTAS, 0.5),
        [GAE_DELTAS, backwards(GAE_DELTAS, 1.0), backwards(GAE_DELTAS[::-1], 0.5)[::-1]],
    ),
    "07.corners": (
        [-min(r * a, clip(r) * a) for r, a in CORNERS],
        [
            [-min(r, 1.2) * a for r, a in CORNERS],
            [-r * a for r, a in CORNERS],
            [min(r * a, clip(r) * a) for r, a in CORNERS],
        ],
    ),
    "07.rewards": ([-0.1, 0.05, 2], [[1.9, 2.05, 2], [0.1, -0.05, 2], [-1, 0.5, 2]]),
    "08.bound": ([math.log(16) - 15 / 16], [[math.log(16)], [15 / 16]]),
    "08.peaks": ([1.5, math.exp(2)], [[3, math.exp(3)], [math.exp(2), 1.5], [1.5, math.exp(3)]]),
    "08.slope": ([0.5], [[2], [-0.5]]),
    "09.grpo": (
        [x / math.sqrt(3 / 16) for x in (0.25, 0.25, 0.25, -0.75)],
        [[0.5, 0.5, 0.5, -1.5], [0.25, 0.25, 0.25, -0.75], [1 / 3, 1 / 3, 1 / 3, -1]],
    ),
    "09.dpo": ([0.15], [[0.2], [1.5], [-0.15]]),
}


@pytest.mark.parametrize("name", TABLE)
def test_right_numbers_and_slips_are_what_they_are_called(name: str) -> None:
    task = exercise_named(name).task
    assert isinstance(task, Number)
    right, slips = TABLE[name]
    assert close(task.right_answer(), right, max(1e-3, task.tolerance / 4))
    listed = [values for values, _ in task.slips]
    assert len(listed) == len(slips)
    for values, slip in zip(listed, slips, strict=True):
        assert close(values, slip, task.tolerance), (values, slip)


def test_the_table_has_every_exercise_with_numbers() -> None:
    from rllab.course.exercises import exercises

    assert {exercise.id for exercise in exercises() if isinstance(exercise.task, Number)} == set(TABLE)


def test_slips_are_further_from_the_truth_than_the_tolerance() -> None:
    for name in TABLE:
        task = exercise_named(name).task
        assert isinstance(task, Number)
        for values, _ in task.slips:
            assert not close(values, task.right_answer(), 2 * task.tolerance), (name, values)
