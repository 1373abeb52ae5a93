"""X1 on its fast size: the noise of one score at the end grows with the length, that of each token's own does not."""

import threading
from dataclasses import replace

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.course.experiments import x01
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: x01.Result) -> None:
    assert 0.9 < result.slope("terminal") < 1.1
    assert 0.9 < result.slope("reward-to-go") < 1.1
    assert abs(result.slope("own token")) < 0.02
    assert 0.45 < result.level("reward-to-go") / result.level("terminal") < 0.56
    for one in result.ratios:
        assert one.measured == pytest.approx(one.exact, rel=0.08), one
    for length, ratio in result.all_or_nothing:
        assert ratio == pytest.approx(x01.WORDS**length - 1, rel=1e-9)


@pytest.fixture(scope="module")
def result() -> x01.Result:
    return x01.run(x01.FAST)


def test_noise_to_signal_grows_with_the_length_unless_each_token_has_its_own(result: x01.Result) -> None:
    check_signature(result)


def test_the_recorded_run_has_the_signature() -> None:
    check_signature(recorded_result(x01))


def test_a_wrong_credit_would_be_noticed(result: x01.Result) -> None:
    swapped = {"terminal": "own token", "own token": "terminal", "reward-to-go": "reward-to-go"}
    wrong = tuple(replace(one, arm=swapped[one.arm]) for one in result.ratios)
    with pytest.raises(AssertionError):
        check_signature(x01.Result(wrong, result.all_or_nothing))


def test_every_arm_has_the_true_gradient_as_its_mean() -> None:
    length, draws = 6, 200_000
    tokens = torch.randint(0, x01.WORDS, (draws, length), generator=torch.Generator().manual_seed(1))
    rewards, scores = (tokens == 0).double(), x01.scores_of(tokens)
    truth = (torch.eye(x01.WORDS, dtype=torch.float64)[0] - 1 / x01.WORDS) / x01.WORDS
    for arm in x01.ARMS:
        samples = x01.credits_of(arm, rewards)[..., None] * scores
        error = samples.std(dim=0) / draws**0.5
        assert bool(((samples.mean(dim=0) - truth).abs() < 4.5 * error + 1e-12).all()), arm


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        x01.run(x01.FAST, stop=stop)
