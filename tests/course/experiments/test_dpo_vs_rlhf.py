"""At the fast size, DPO and reward model plus RL agree with many pairs, and with few where both are held back."""

import threading

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import dpo_vs_rlhf
from rllab.course.experiments.recorded import recorded_result

MODEL, DPO, HELD = dpo_vs_rlhf.ARMS


def check_signature(result: dpo_vs_rlhf.Result, *, few: int, many: int) -> None:
    assert result.apart < 1e-4  # nats: held back equally they are one and the same
    assert result.closed(MODEL, many) > 0.95
    assert result.closed(DPO, many) > 0.95
    assert result.closed(MODEL, few) > 0.3
    assert result.closed(DPO, few) < 0  # worse than the reference it started from
    assert result.kl(DPO, few) > 2 * result.kl(MODEL, few)


def test_with_few_pairs_what_holds_a_policy_back_decides() -> None:
    check_signature(dpo_vs_rlhf.run(dpo_vs_rlhf.FAST), few=300, many=20_000)


def test_the_recorded_run_has_the_signature() -> None:
    result = recorded_result(dpo_vs_rlhf)
    assert {one.seed for one in result.outcomes} == set(range(20))
    check_signature(result, few=1_000, many=20_000)
    closed = [result.closed(MODEL, pairs) for pairs in dpo_vs_rlhf.WORKSHOP.pairs]
    assert closed == sorted(closed)


def test_the_optimum_closes_the_whole_gap() -> None:
    reward, ref = dpo_vs_rlhf.make_task(0)
    J, optimum, start, kl = dpo_vs_rlhf._measured((ref + reward / dpo_vs_rlhf.BETA).log_softmax(dim=0), reward, ref)
    assert pytest.approx(optimum, abs=1e-12) == J
    assert dpo_vs_rlhf.Outcome("optimum", 0, 0, J, optimum, start, kl).closed == pytest.approx(1)
    assert dpo_vs_rlhf._measured(ref, reward, ref)[3] == pytest.approx(0, abs=1e-12)
    at_reference = dpo_vs_rlhf._measured(ref, reward, ref)
    assert at_reference[0] == pytest.approx(at_reference[2], abs=1e-12)


def test_pairs_are_of_two_answers_and_follow_bradley_terry() -> None:
    reward, ref = torch.tensor([0.0, 1.0]).double(), torch.tensor([0.5, 0.5]).double().log()
    chosen, rejected = dpo_vs_rlhf.draw_pairs(reward, ref, 20_000, seed=0)
    assert not bool((chosen == rejected).any())
    share = float((chosen == 1).double().mean())
    assert share == pytest.approx(float(torch.sigmoid(torch.tensor(1.0))), abs=4 * 0.5 / 20_000**0.5)


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        dpo_vs_rlhf.run(dpo_vs_rlhf.FAST, job=Job(stop))
