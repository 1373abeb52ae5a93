"""Single-sample gradients at a prompt: their mean is the truth for every honest baseline, and for no other."""

import pytest
import torch

from rllab.core.errors import LabError
from rllab.truth import Tree, exact
from rllab.truth.estimators import BASELINES, cloud
from tests.truth.trees import tree_world

HONEST = ("nothing", "V", "exact A")


@pytest.fixture(scope="module")
def tree() -> Tree:
    return exact(tree_world(words=3, horizon=3, seed=2, kl_coef=0.2, timing="token"), "a")


@pytest.mark.parametrize("baseline", HONEST)
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_mean_is_the_exact_gradient(tree: Tree, baseline: str, shift: float) -> None:
    found = cloud(tree, baseline, shift=shift)
    assert found.bias < 1e-12
    assert found.probs.sum().item() == pytest.approx(1.0)
    z = torch.log(tree.pi(())).requires_grad_()
    (torch.softmax(z, dim=0) * tree.Q(())).sum().backward()
    torch.testing.assert_close(found.truth, z.grad)


def test_a_baseline_that_looks_at_its_own_token_halves_the_gradient(tree: Tree) -> None:
    found = cloud(tree, "its own reward")
    torch.testing.assert_close(found.mean, found.truth / 2)


def test_a_level_of_the_reward_is_noise_for_who_subtracts_nothing(tree: Tree) -> None:
    plain, lifted = (cloud(tree, "nothing", shift=shift).variance for shift in (0.0, 5.0))
    assert lifted > 3 * plain
    assert cloud(tree, "V", shift=5.0).variance == pytest.approx(cloud(tree, "V").variance)


@pytest.mark.parametrize("baseline", BASELINES)
def test_dividing_the_score_changes_no_ratio(tree: Tree, baseline: str) -> None:
    whole, divided = cloud(tree, baseline), cloud(tree, baseline, scale=1 / 500)
    assert divided.noise_to_signal == pytest.approx(whole.noise_to_signal)
    assert divided.variance == pytest.approx(whole.variance / 500**2)


def test_a_sample_scatters_around_the_mean(tree: Tree) -> None:
    found = cloud(tree, "V")
    drawn = found.sample(4000, seed=0)
    assert (drawn.mean(dim=0) - found.mean).norm() < 4 * (found.variance / 4000) ** 0.5


def test_an_unknown_judge_is_a_sentence(tree: Tree) -> None:
    with pytest.raises(LabError, match="exact A"):
        cloud(tree, "nobody")
