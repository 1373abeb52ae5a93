"""`dpo_vs_rlhf`: the optimum, the pairs, and who is best with few of them."""

import pytest
import torch

from rllab.course.experiments import dpo_vs_rlhf, recorded_result
from rllab.course.experiments.dpo_vs_rlhf import BETA, measure


def test_the_optimum_closes_the_whole_gap() -> None:
    reward, ref = dpo_vs_rlhf.make_task(0)
    J, optimum, start, kl = measure((ref + reward / BETA).log_softmax(dim=0), reward, ref)
    assert pytest.approx(optimum, abs=1e-12) == J
    assert dpo_vs_rlhf.Outcome("optimum", 0, 0, J, optimum, start, kl).closed == pytest.approx(1)
    J, _, start, kl = measure(ref, reward, ref)
    assert kl == pytest.approx(0, abs=1e-12)
    assert pytest.approx(start, abs=1e-12) == J


def test_pairs_are_of_two_answers_and_follow_bradley_terry() -> None:
    reward, ref = torch.tensor([0.0, 1.0]).double(), torch.tensor([0.5, 0.5]).double().log()
    chosen, rejected = dpo_vs_rlhf.draw_pairs(reward, ref, 20_000, seed=0)
    assert not bool((chosen == rejected).any())
    share = float((chosen == 1).double().mean())
    assert share == pytest.approx(float(torch.sigmoid(torch.tensor(1.0))), abs=4 * 0.5 / 20_000**0.5)


def test_with_few_pairs_the_two_that_are_held_back_are_best() -> None:
    picture = dpo_vs_rlhf.dpo_beside_rl(recorded_result(dpo_vs_rlhf))
    assert picture.outcome == "held"
    assert "With 300 pairs" in picture.words
