"""At the fast size, the noise of one score at the end grows with the length, that of each token's own does not."""

import threading
from dataclasses import replace

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import noise_by_length
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: noise_by_length.Result) -> None:
    assert 0.9 < result.slope("terminal") < 1.1
    assert 0.9 < result.slope("reward-to-go") < 1.1
    assert abs(result.slope("own token")) < 0.02
    assert 0.45 < result.level("reward-to-go") / result.level("terminal") < 0.56
    for one in result.ratios:
        assert one.measured == pytest.approx(one.exact, rel=0.08), one
    for length, ratio in result.all_or_nothing:
        assert ratio == pytest.approx(noise_by_length.WORDS**length - 1, rel=1e-9)


@pytest.fixture(scope="module")
def result() -> noise_by_length.Result:
    return noise_by_length.run(noise_by_length.FAST)


def test_noise_to_signal_grows_with_the_length_unless_each_token_has_its_own(result: noise_by_length.Result) -> None:
    check_signature(result)


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(noise_by_length))


def test_a_wrong_credit_would_be_noticed(result: noise_by_length.Result) -> None:
    swapped = {"terminal": "own token", "own token": "terminal", "reward-to-go": "reward-to-go"}
    wrong = tuple(replace(one, arm=swapped[one.arm]) for one in result.ratios)
    with pytest.raises(AssertionError):
        check_signature(noise_by_length.Result(wrong, result.all_or_nothing))


def test_every_arm_has_the_true_gradient_as_its_mean() -> None:
    length, draws = 6, 200_000
    tokens = torch.randint(0, noise_by_length.WORDS, (draws, length), generator=torch.Generator().manual_seed(1))
    rewards, scores = (tokens == 0).double(), noise_by_length.scores_of(tokens)
    truth = (
        torch.eye(noise_by_length.WORDS, dtype=torch.float64)[0] - 1 / noise_by_length.WORDS
    ) / noise_by_length.WORDS
    for arm in noise_by_length.ARMS:
        samples = noise_by_length.credits_of(arm, rewards)[..., None] * scores
        error = samples.std(dim=0) / draws**0.5
        assert bool(((samples.mean(dim=0) - truth).abs() < 4.5 * error + 1e-12).all()), arm


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        noise_by_length.run(noise_by_length.FAST, job=Job(stop))
