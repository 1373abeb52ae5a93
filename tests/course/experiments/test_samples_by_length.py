"""`samples_by_length`: the gradient, the search for the best learning rate, and the slopes of the recorded run."""

import math

import pytest
import torch

from rllab.course.experiments import recorded_result, samples_by_length
from rllab.course.experiments.samples_by_length import Search, credit_of, reached, texts_needed


def test_the_recorded_run_has_slope_one_beyond_32_tokens() -> None:
    result = recorded_result(samples_by_length)
    assert 0.8 < result.slope("terminal", beyond=32) < 1.2
    assert 0.8 < result.slope("reward-to-go", beyond=32) < 1.2
    assert result.slope("own token", beyond=32) == pytest.approx(0, abs=0.1)


def test_the_gradient_is_that_of_the_expected_reward() -> None:
    logits = torch.tensor([[[0.5, 0.0, -1.0, 0.2]]]).expand(20_000, 1, 4).contiguous()
    sampled = samples_by_length.gradient(logits, lambda right: right, generator=torch.Generator().manual_seed(0))
    leaf = logits[:1].clone().requires_grad_()
    leaf.softmax(dim=2)[..., 0].sum().backward()
    error = sampled.std(dim=0) / len(sampled) ** 0.5
    assert leaf.grad is not None
    assert bool(((sampled.mean(dim=0) - leaf.grad[0]).abs() < 4.5 * error).all())


def test_ending_hopeless_rates_early_changes_no_median() -> None:
    rates, arm = (0.25, 1.0, 4.0), (credit_of("terminal"), reached("terminal"))
    found = texts_needed(*arm, length=8, search=Search(rates, 5, 4_000), seed=3)
    alone = [texts_needed(*arm, length=8, search=Search((rate,), 5, 4_000), seed=3).texts for rate in rates]
    assert found.rate == rates[alone.index(min(alone))]
    assert math.isclose(found.texts, min(alone), rel_tol=0.6)  # other random draws: the rates share one generator


def test_every_arm_of_learning_has_its_line() -> None:
    result = recorded_result(samples_by_length)
    picture = samples_by_length.samples_growth(result)
    names = [trace.name.strip("\u2068\u2069") for trace in picture.figure.data]
    assert names == ["one score at the end", "reward to go", "own token", "all or nothing"]
    assert picture.outcome == "length"
    assert f"{result.texts('terminal', 512):,.0f} texts" in picture.words
