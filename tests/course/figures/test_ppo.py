"""PPO's pictures and those of what goes wrong: what is drawn and said is what the equations and the runs give."""

import pytest

from rllab import Trainer, load_world
from rllab.course.experiments import best_of_n_gold, best_of_n_kl, credit_or_objective, kl_frontier, learned_reward
from rllab.course.figures.experiments_hacking import (
    best_of_gold,
    best_of_kl,
    frontier,
    learned_reward_curves,
    two_by_two,
)
from rllab.course.figures.hacking import price_of_kl
from rllab.course.figures.ppo import BAD, GOOD, account, loss_beside_score, surrogate
from rllab.trainer.update_trace import open_update, token_rows
from rllab.truth import exact


@pytest.mark.parametrize(
    ("token", "ratio", "ours", "theirs"),
    [
        (GOOD, 1.5, "leaves it alone", "leaves it alone"),
        (GOOD, 0.5, "pushes it up", "pushes it up"),
        (BAD, 1.5, "pushes it down", "leaves it alone"),
        (BAD, 0.5, "leaves it alone", "pushes it down"),
    ],
)
def test_the_two_clips_agree_for_good_tokens_alone(token: str, ratio: float, ours: str, theirs: str) -> None:
    picture = surrogate(token, ratio, 0.2)
    assert f"PPO's clip {ours}; the one-sided form {theirs}." in picture.words


def test_the_surrogate_is_the_lower_of_clipped_and_unclipped() -> None:
    for token, advantage in ((GOOD, 1.0), (BAD, -1.0)):
        free, ours, _ = (trace for trace in surrogate(token, 1.0, 0.2).figure.data)
        clipped = [advantage * min(max(ratio, 0.8), 1.2) for ratio in ours.x]
        assert list(ours.y) == pytest.approx([min(one, two) for one, two in zip(free.y, clipped, strict=True)])


def test_the_account_of_a_response_adds_up_to_its_rewards() -> None:
    trainer = Trainer(load_world("micro"), "ppo", seed=0)
    trainer.run(2)
    row = next(iter(token_rows(trainer, open_update(trainer))))
    picture = account(row, trainer.config.kl_coef)
    score, price = (list(trace.y) for trace in picture.figure.data)
    assert [one + two for one, two in zip(score, price, strict=True)] == pytest.approx(row["rewards"])
    assert sum(score) == pytest.approx(row["score"])
    picture = loss_beside_score([record.metrics for record in trainer.history])
    assert list(picture.figure.data[0].y) == [record.metrics["objective/scores"] for record in trainer.history]


def test_few_answers_are_far_below_the_bound() -> None:
    picture = best_of_kl(best_of_n_kl.run(best_of_n_kl.FAST))
    assert "the bound is 1.835 nats" in picture.words
    assert "with 2 answers only 0.693" in picture.words


def test_gold_falls_again_where_the_proxy_fails_in_its_extremes() -> None:
    picture = best_of_gold(best_of_n_gold.run(best_of_n_gold.Size(5, 20_000, best_of_n_gold.POWERS[:11])))
    assert picture.outcome == "heavy tails + keyword stuffing"
    assert [trace.name.strip("\u2068\u2069").lower() for trace in picture.figure.data] == list(best_of_n_gold.KINDS)


def test_more_pairs_put_the_peak_off() -> None:
    result = learned_reward.run(learned_reward.FAST)
    picture = learned_reward_curves(result)
    assert picture.outcome == "later"
    assert len(picture.figure.data) == 2


def test_the_slope_of_the_frontier_is_beta_and_the_gap_is_the_kl() -> None:
    result = kl_frontier.run(kl_frontier.FAST)
    assert frontier(result).outcome == pytest.approx(0.5, abs=1e-4)
    assert result.trained[1].below == pytest.approx(result.trained[1].explained, abs=1e-9)


def test_two_by_two_draws_a_line_for_each_cell() -> None:
    picture = two_by_two(credit_or_objective.run(credit_or_objective.Size(2, 400, 40)))
    assert len(picture.figure.data) == 4
    assert picture.outcome == "sooner"
    assert "no update" not in picture.words


def test_a_cheaper_nat_buys_more_reward_and_costs_more_kl() -> None:
    world = load_world("micro-tabular")
    draw = price_of_kl(exact(world, "cat is", horizon=2))
    frontier, here = draw(0.5).figure.data
    assert list(frontier.x) == sorted(frontier.x)
    assert list(frontier.y) == sorted(frontier.y)
    best = exact(world, "cat is", horizon=2).optimum(0.5)
    assert (here.x[0], here.y[0]) == pytest.approx((best.kl, best.reward))
