"""PPO's figures: what is drawn and put into words is what the equations and the runs give."""

import pytest

from rllab import Trainer, load_world
from rllab.course.figures.ppo import BAD, GOOD, account, loss_beside_score, surrogate
from rllab.trainer.update_trace import open_update, token_rows


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
        assert list(ours.y) == pytest.approx([min(pair) for pair in zip(free.y, clipped, strict=True)])


def test_the_account_of_a_response_adds_up_to_its_rewards() -> None:
    trainer = Trainer(load_world("micro"), "ppo", seed=0)
    trainer.run(2)
    row = next(iter(token_rows(trainer, open_update(trainer))))
    picture = account(row, trainer.config.kl_coef)
    score, price = (list(trace.y) for trace in picture.figure.data)
    assert [sum(parts) for parts in zip(score, price, strict=True)] == pytest.approx(row["rewards"])
    assert sum(score) == pytest.approx(row["score"])
    picture = loss_beside_score([record.metrics for record in trainer.history])
    assert list(picture.figure.data[0].y) == [record.metrics["objective/scores"] for record in trainer.history]
