"""`length_bias` at its fast size: what a response is divided by decides which answers grow long."""

import math
import statistics
import threading

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import length_bias
from rllab.course.experiments.recorded import recorded, recorded_result
from rllab.maths.advantages import group_relative
from rllab.maths.losses import policy_gradient_loss, reduce
from rllab.maths.masking import until_end

REDUCERS = {length_bias.GRPO: "seq-mean-token-mean", length_bias.DAPO: "token-mean", length_bias.DR_GRPO: "constant"}


def check_signature(result: length_bias.Result) -> None:
    few, many = min(one.groups for one in result.curves), max(one.groups for one in result.curves)
    for groups in (few, many):
        biased, level = result.of(length_bias.GRPO, groups), result.of(length_bias.DR_GRPO, groups)
        for one, other in zip(biased, level, strict=True):  # a sign test over paired seeds
            assert one.wrong[-1] > 2 * length_bias.START
            assert one.right[-1] < length_bias.START / 2
            assert one.wrong[-1] > other.wrong[-1]
            assert one.right[-1] < other.right[-1]
        for path in ("wrong", "right"):
            check_level([getattr(one, path)[-1] for one in level], within=0.05 if groups == many else 0.15)
    drift = {
        groups: statistics.fmean(one.wrong[-1] for one in result.of(length_bias.DAPO, groups)) for groups in (few, many)
    }
    assert drift[few] > drift[many]
    assert drift[many] == pytest.approx(length_bias.START, rel=0.1)
    assert all(one.wrong[-1] > one.right[-1] for one in result.of(length_bias.DAPO, few))


def check_level(lengths: list[float], *, within: float) -> None:
    """Small batches scatter, so what has to stay is the middle: no drift beyond chance, and not far in any case."""
    logs = [math.log(length / length_bias.START) for length in lengths]
    chance = statistics.stdev(logs) / math.sqrt(len(logs))
    assert abs(statistics.fmean(logs)) < 4 * chance
    assert abs(statistics.fmean(logs)) < within


def test_wrong_answers_grow_and_right_ones_shrink_under_the_mean_of_row_means() -> None:
    seen: list[int] = []
    result = length_bias.run(length_bias.FAST, job=Job(report=lambda done, total, text: seen.append(done)))
    check_signature(result)
    assert seen == list(range(5))
    marks = [(curve.wrong[1], curve.right[1]) for curve in result.of(length_bias.GRPO, 16)]  # after 20 updates
    assert all(13 < wrong < 16 and 6 < right < 8 for wrong, right in marks)


def test_the_recorded_run_has_the_signature_and_the_curriculums_figures() -> None:
    assert recorded("length_bias")["size"]["seeds"] == 20
    result = recorded_result(length_bias)
    check_signature(result)
    assert all(200 < one.wrong[-1] < 400 for one in result.of(length_bias.GRPO, 1))
    assert 255 < statistics.fmean(one.wrong[-1] for one in result.of(length_bias.GRPO, 1)) < 330
    assert all(one.right[-1] < 1.2 for one in result.of(length_bias.GRPO, 1))
    assert 20 < statistics.fmean(one.wrong[-1] for one in result.of(length_bias.DAPO, 1)) < 45


@pytest.mark.parametrize("arm", length_bias.ARMS, ids=lambda arm: arm.name)
def test_the_closed_form_is_the_gradient_of_the_labs_own_loss(arm: length_bias.Arm) -> None:
    right, lengths = torch.tensor([0, 1, 1, 0, 1, 0, 0, 0]), torch.tensor([3, 1, 6, 2, 4, 9, 1, 5])
    group, width = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), 9
    logits = torch.tensor([-1.3, 0.4], dtype=torch.float64, requires_grad=True)
    stops, mask = logits.sigmoid(), until_end(lengths, width=width)
    ends = torch.arange(width) == lengths[:, None] - 1
    logprobs = torch.where(ends, stops.log()[right][:, None], torch.log1p(-stops)[right][:, None])
    advantages = group_relative(right.double(), group, scale=arm.scale)[:, None].expand(-1, width)
    mode = REDUCERS[arm.name]
    denominator = length_bias.START * len(right) if mode == "constant" else None
    reduce(policy_gradient_loss(logprobs, advantages, mask), mask, mode, denominator=denominator).backward()
    ours = length_bias.slope(arm, right, lengths.double(), group, stops.detach())
    assert torch.allclose(ours, -logits.grad, atol=1e-12, rtol=0)


def test_dividing_by_the_spread_weighs_prompts_up_that_are_nearly_solved_or_nearly_hopeless() -> None:
    pushes = {one.solved: one for one in (length_bias.push(solved) for solved in length_bias.SOLVED)}
    for solved in (1 / 32, 31 / 32):
        scaled, plain = (getattr(pushes[solved], kind) / getattr(pushes[1 / 2], kind) for kind in ("scaled", "plain"))
        assert scaled > 2 * plain
    for one in pushes.values():
        assert one.plain == pytest.approx(63 / 64 * one.solved * (1 - one.solved))  # (G - 1)/G of the true pull


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        length_bias.run(length_bias.FAST, job=Job(stop))
