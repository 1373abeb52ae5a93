"""Figures of exact trees: the numbers in words are those that are drawn, and they agree with the truth."""

import pytest

from rllab.course.figures.truth import (
    NAMES,
    SHOWN,
    foresight,
    gradient_cloud,
    luck_by_token,
    noise_of_estimators,
    one_step,
)
from rllab.plots.text import fixed
from rllab.truth import Tree, exact
from rllab.truth.calibration import Part
from rllab.truth.estimators import BASELINES, BenchRow, cloud
from tests.truth.trees import tree_world


@pytest.fixture(scope="module")
def tree() -> Tree:
    return exact(tree_world(words=3, horizon=3, seed=2, kl_coef=0.2), "a")


def test_the_luck_adds_up_to_the_variance(tree: Tree) -> None:
    picture = luck_by_token({"a": tree})("a")
    shares = list(picture.figure.data[0].y)
    probs, returns = tree.leaf_logprobs.exp(), tree.leaf_returns
    variance = float(probs @ returns.square() - (probs @ returns) ** 2)
    assert sum(shares) == pytest.approx(variance)
    assert picture.words.count(fixed(variance, 3)) == 2
    assert picture.outcome == 1 + shares.index(max(shares))


@pytest.mark.parametrize(
    ("known", "outcome"),
    [((0.0, 0.0, 0.1, 0.4, 0.8), "late"), ((0.0, 0.2, 0.4, 0.6, 0.8), "evenly"), ((0.7, 0.7, 0.8, 0.8, 0.8), "early")],
)
def test_when_a_critic_knows(known: tuple[float, ...], outcome: str) -> None:
    parts = [Part(at / 5, (0.0,), (0.0,), explained, 0.05) for at, explained in enumerate(known)]
    picture = foresight(parts)
    assert picture.outcome == outcome
    assert list(picture.figure.data[0].y) == list(known)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_cloud_is_drawn_around_its_exact_mean(tree: Tree, baseline: str) -> None:
    picture = gradient_cloud(tree)(baseline, 1.0, 4)
    dots, arrow, cross = picture.figure.data  # the cross last: it is seen where the arrow covers it
    found = cloud(tree, baseline, shift=1.0)
    assert len(dots.x) == SHOWN
    assert picture.outcome == pytest.approx(found.variance)
    assert cross.x[0] == pytest.approx(float(found.mean @ found.truth / found.truth.norm()))
    assert (arrow.x[-1], arrow.y[-1]) == pytest.approx((float(found.truth.norm()), 0.0), abs=1e-9)
    assert NAMES[baseline] in picture.words


def test_a_larger_batch_scatters_less(tree: Tree) -> None:
    draw = gradient_cloud(tree)
    few, many = (draw("V", 0.0, size).figure.data[0].y for size in (1, 64))
    assert max(map(abs, many)) < max(map(abs, few)) / 3


def test_a_small_step_does_what_the_straight_line_predicts_and_a_large_one_does_not(tree: Tree) -> None:
    draw = one_step(tree)
    for eta, straight in ((0.01, True), (50.0, False)):
        before, after, predicted = (list(trace.y) for trace in draw(eta).figure.data)
        moved = max(abs(end - start) for end, start in zip(after, before, strict=True))
        missed = max(abs(end - start) for end, start in zip(after, predicted, strict=True))
        assert (missed < 0.1 * moved) == straight
        low, high = draw(eta).figure.layout.yaxis.range
        assert all(low < height < high for height in predicted)  # also what is predicted below 0 or above 1
    assert float(draw(5.0).outcome) > float(draw(1.0).outcome) > 0


def test_the_quietest_honest_estimator_is_named_and_a_biased_one_is_not() -> None:
    rows = [
        BenchRow("plain", 0.1, 0.1, 4.0, 4.0, 1.0, 1.0, 50),
        BenchRow("judged", 0.1, 0.1, 2.0, 2.0, 1.0, 1.0, 50),
        BenchRow("turned", 1.0, 0.1, 1.0, 2.0, 0.9, 1.0, 50),
    ]
    picture = noise_of_estimators(rows)
    assert picture.outcome == "judged"
    assert "Off on average, more than chance explains: turned." in picture.words
