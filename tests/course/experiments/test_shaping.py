"""`shaping`: the gradient stays, the sum moves by the last potential alone, and the quickest fair arm is named."""

import pytest
import torch

from rllab.course.experiments import shaping


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


def test_the_quickest_fair_use_of_a_potential_is_the_outcome() -> None:
    arms = [("sparse", 100.0), ("shaped, whole return", 120.0), ("shaped, one step", 40.0), ("progress bonus", 10.0)]
    result = shaping.Result(tuple(shaping.Arm(name, texts, 1.0, ()) for name, texts in arms), 0.0)
    picture = shaping.shaping_arms(result)
    assert picture.outcome == "shaped, one step"
    assert list(picture.figure.data[0].x) == [10.0, 40.0, 120.0, 100.0]


@pytest.mark.parametrize("second", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("third", [-1.0, 0.5])
@pytest.mark.parametrize("last", [0.0, 1.0])
def test_the_sum_moves_by_the_last_potential_alone(second: float, third: float, last: float) -> None:
    picture = shaping.painted_shaping(("not", "sad", "<eos>"), (0.0, 0.0, 1.5))(second, third, last)
    plain, shaped = picture.figure.data
    assert sum(shaped.y) - sum(plain.y) == pytest.approx(last)
    assert picture.outcome == pytest.approx(last)
    assert shaped.y[0] == pytest.approx(second)
    assert ("the same" in picture.words) == (last == 0)
