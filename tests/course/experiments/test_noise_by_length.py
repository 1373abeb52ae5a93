"""`noise_by_length`: every arm has the true gradient as its mean, and the figure shows what was measured."""

from dataclasses import replace

import torch

from rllab.course.experiments import noise_by_length, recorded_result
from rllab.course.experiments.noise_by_length import ARMS, WORDS
from rllab.plots.text import fixed


def test_a_wrong_credit_would_be_noticed() -> None:
    result = recorded_result(noise_by_length)
    swapped = {"terminal": "own token", "own token": "terminal", "reward-to-go": "reward-to-go"}
    wrong = replace(result, ratios=tuple(replace(ratio, arm=swapped[ratio.arm]) for ratio in result.ratios))
    assert len(noise_by_length.check_signature(wrong)) == 3


def test_every_arm_has_the_true_gradient_as_its_mean() -> None:
    length, draws = 6, 100_000
    tokens = torch.randint(0, WORDS, (draws, length), generator=torch.Generator().manual_seed(1))
    rewards, scores = (tokens == 0).double(), noise_by_length.scores_of(tokens)
    truth = (torch.eye(WORDS, dtype=torch.float64)[0] - 1 / WORDS) / WORDS
    for arm in ARMS:
        samples = noise_by_length.credits_of(arm, rewards)[..., None] * scores
        error = samples.std(dim=0) / draws**0.5
        assert bool(((samples.mean(dim=0) - truth).abs() < 4.5 * error + 1e-12).all()), arm


def test_noise_is_drawn_as_it_was_measured_next_to_what_is_exact() -> None:
    result = noise_by_length.run(noise_by_length.FAST)
    picture = noise_by_length.noise_growth(result)
    assert picture.outcome == "length"
    dots = [trace for trace in picture.figure.data if trace.mode == "markers"]
    assert list(dots[0].y) == [ratio.measured for ratio in result.of("terminal")]
    assert all(fixed(result.slope(arm)) in picture.words for arm in ARMS)
    assert {"10", "20", "50", "100"} <= set(picture.figure.layout.yaxis.ticktext)  # whole numbers, no lone digits
