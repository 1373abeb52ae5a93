"""`kl_frontier`: its figure, and that of a world which is known exactly."""

import pytest

from rllab import load_world
from rllab.course.experiments import kl_frontier, recorded_result
from rllab.truth import exact


def test_the_slope_of_the_frontier_is_beta() -> None:
    picture = kl_frontier.frontier(recorded_result(kl_frontier))
    assert picture.outcome == pytest.approx(0.5, abs=1e-4)
    frontier, trained, best_of = picture.figure.data
    assert list(frontier.y) == sorted(frontier.y)
    assert len(trained.x) > len(best_of.x) == 1


def test_a_cheaper_nat_buys_more_reward_and_costs_more_kl() -> None:
    tree = exact(load_world("micro-tabular"), "cat is", horizon=2)
    frontier, here = kl_frontier.price_of_kl(tree)(0.5).figure.data
    assert list(frontier.x) == sorted(frontier.x)
    assert list(frontier.y) == sorted(frontier.y)
    assert len(frontier.x) == kl_frontier.BETWEEN * (len(kl_frontier.PRICES) - 1) + 1
    best = tree.optimum(0.5)
    assert (here.x[0], here.y[0]) == pytest.approx((best.kl, best.reward))
