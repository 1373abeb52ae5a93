"""`length_bias`: the closed form is the gradient of the lab's loss, and the figure shows which answers grow."""

import statistics

import pytest
import torch

from rllab.course.experiments import length_bias, recorded_result
from rllab.course.experiments.length_bias import DAPO, DR_GRPO, GRPO, START
from rllab.maths.advantages import group_relative
from rllab.maths.losses import policy_gradient_loss, reduce
from rllab.maths.masking import until_end
from rllab.plots.text import significant

REDUCERS = {GRPO: "seq-mean-token-mean", DAPO: "token-mean", DR_GRPO: "constant"}


def test_the_recorded_run_has_the_curriculums_figures() -> None:
    result = recorded_result(length_bias)
    assert all(200 < curve.wrong[-1] < 400 for curve in result.of(GRPO, 1))
    assert 255 < statistics.fmean(curve.wrong[-1] for curve in result.of(GRPO, 1)) < 330
    assert all(curve.right[-1] < 1.2 for curve in result.of(GRPO, 1))
    assert 20 < statistics.fmean(curve.wrong[-1] for curve in result.of(DAPO, 1)) < 45
    early = [(curve.wrong[1], curve.right[1]) for curve in result.of(GRPO, 16)]  # after 20 updates
    assert all(13 < wrong < 16 and 6 < right < 8 for wrong, right in early)


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
    denominator = START * len(right) if mode == "constant" else None
    reduce(policy_gradient_loss(logprobs, advantages, mask), mask, mode, denominator=denominator).backward()
    ours = length_bias.slope(arm, right, lengths.double(), group, stops.detach())
    assert torch.allclose(ours, -logits.grad, atol=1e-12, rtol=0)


def test_dividing_by_the_spread_weighs_prompts_up_that_are_nearly_solved_or_nearly_hopeless() -> None:
    pushes = {solved: length_bias.push(solved) for solved in length_bias.SOLVED}
    for solved in (1 / 32, 31 / 32):
        scaled, plain = (getattr(pushes[solved], kind) / getattr(pushes[1 / 2], kind) for kind in ("scaled", "plain"))
        assert scaled > 2 * plain
    for solved, push in pushes.items():
        assert push.plain == pytest.approx(63 / 64 * solved * (1 - solved))  # (G - 1)/G of the true pull


def test_the_lengths_in_words_are_those_at_the_ends_of_the_lines() -> None:
    result = recorded_result(length_bias)
    picture = length_bias.length_curves(result)
    ends = {trace.name.strip("\u2068\u2069"): trace.y[-1] for trace in picture.figure.data}
    wrong = statistics.fmean(curve.wrong[-1] for curve in result.of(GRPO, 1))
    assert ends["GRPO, wrong"] == pytest.approx(wrong)
    assert picture.outcome == "wrong"
    assert all(significant(ends[f"{arm}, wrong"]) in picture.words for arm in ("GRPO", "DAPO", "Dr. GRPO"))
