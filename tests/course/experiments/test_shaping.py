"""At the fast size, a potential helps where it is trusted step by step, and not where whole returns are used."""

import threading

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import shaping
from rllab.course.experiments.recorded import recorded_result


def check_signature(result: shaping.Result) -> None:
    assert result.shift_error < 1e-10
    sparse = result.texts("sparse")
    assert result.texts("shaped, whole return") > 0.7 * sparse  # no gain
    assert result.texts("shaped, one step") < 0.4 * sparse
    assert result.texts("progress bonus") < 0.4 * sparse


def test_shaping_helps_only_where_the_potential_is_trusted() -> None:
    seen: list[str] = []
    check_signature(shaping.run(shaping.FAST, job=Job(report=lambda done, total, text: seen.append(text))))
    assert seen == list(shaping.CREDIT_OF)


def test_the_recorded_run_has_the_signature() -> None:
    result = recorded_result(shaping)
    check_signature(result)
    assert all(len(arm.by_seed) >= 5 for arm in result.arms)


def test_shaping_leaves_the_expected_gradient_as_it_is() -> None:
    """Over all texts of three words: the same policy gradient, and the bonus has another one."""
    words, length = 4, 3
    texts = torch.cartesian_prod(*[torch.arange(words)] * length)
    probs = torch.randn(length, words, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(dim=1)
    chance = torch.stack([probs[place, texts[:, place]] for place in range(length)]).prod(dim=0)
    score = torch.nn.functional.one_hot(texts, words).double() - probs  # (N, T, K)
    right = (texts == 0).double()

    def gradient(rewards: torch.Tensor) -> torch.Tensor:
        to_go = rewards.flip(1).cumsum(dim=1).flip(1)
        return torch.einsum("n,nt,ntk->tk", chance, to_go, score)

    sparse = torch.cat([torch.zeros_like(right[:, 1:]), right.prod(dim=1, keepdim=True)], dim=1)
    shaped = shaping.shaped_rewards(right)
    assert torch.allclose(gradient(shaped), gradient(sparse), atol=1e-12)
    bonus = shaping.potentials_of(right).diff(dim=1)
    assert not torch.allclose(gradient(bonus), gradient(sparse), atol=1e-2)


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        shaping.run(shaping.FAST, job=Job(stop))
