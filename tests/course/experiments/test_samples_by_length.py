"""`samples_by_length` at its fast size: texts needed grow with the length, unless each token has a score of its own."""

import math
import threading

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import cost, samples_by_length
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: samples_by_length.Result) -> None:
    lengths = sorted({one.length for one in result.costs if one.arm == "terminal"})
    short, long = lengths[0], lengths[-1]
    assert result.texts("terminal", long) > 2 * result.texts("terminal", short)
    assert result.texts("own token", long) == result.texts("own token", short)
    assert result.texts("reward-to-go", long) < result.texts("terminal", long)
    assert 2 * result.texts("own token", long) < result.texts("reward-to-go", long)
    exact = [one for one in result.costs if one.arm == samples_by_length.EXACT]
    assert exact[-1].texts / exact[0].texts > 2 * exact[-1].length  # faster than the length


def test_texts_needed_grow_with_the_length_unless_each_token_has_its_own() -> None:
    seen: list[int] = []
    check_signature(
        samples_by_length.run(samples_by_length.FAST, job=Job(report=lambda done, total, text: seen.append(done)))
    )
    assert seen == list(range(9))


def test_the_recorded_run_has_slope_one_beyond_32_tokens() -> None:
    result = recorded_result(samples_by_length)
    check_signature(result)
    assert 0.8 < result.slope("terminal", beyond=32) < 1.2
    assert 0.8 < result.slope("reward-to-go", beyond=32) < 1.2
    assert result.slope("own token", beyond=32) == pytest.approx(0, abs=0.1)
    assert all(len(one.by_seed) >= 5 for one in result.costs)


def test_the_gradient_is_that_of_the_expected_reward() -> None:
    logits = torch.tensor([[[0.5, 0.0, -1.0, 0.2]]]).expand(20_000, 1, 4).contiguous()
    drawn = cost.gradient(logits, lambda right: right, generator=torch.Generator().manual_seed(0))
    leaf = logits[:1].clone().requires_grad_()
    leaf.softmax(dim=2)[..., 0].sum().backward()
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert leaf.grad is not None
    assert bool(((drawn.mean(dim=0) - leaf.grad[0]).abs() < 4.5 * error).all())


def test_ending_hopeless_rates_early_changes_no_median() -> None:
    search = cost.Search((0.25, 1.0, 4.0), 5, 4_000)
    found = cost.texts_needed(
        samples_by_length.CREDIT_OF["terminal"], samples_by_length.REACHED["terminal"], length=8, search=search, seed=3
    )
    single = [
        cost.texts_needed(
            samples_by_length.CREDIT_OF["terminal"],
            samples_by_length.REACHED["terminal"],
            length=8,
            search=cost.Search((rate,), 5, 4_000),
            seed=3,
        ).texts
        for rate in search.rates
    ]
    assert found.rate == search.rates[single.index(min(single))]
    assert math.isclose(found.texts, min(single), rel_tol=0.6)  # other dice: the rates share one generator


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        samples_by_length.run(samples_by_length.FAST, job=Job(stop))
