"""Explained variance along responses: 1 for a perfect critic, 0 for a constant one."""

import pytest
import torch

from rllab import LabError, World, ZeroCritic, load_world
from rllab.truth import ExactCritic, exact
from rllab.truth.calibration import calibration, explained_variance


def test_explained_variance_of_known_cases() -> None:
    outcomes = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(outcomes, outcomes) == 1.0
    assert explained_variance(torch.zeros(3), outcomes) == 0.0
    assert explained_variance(outcomes - 7.0, outcomes) == pytest.approx(1.0)  # an offset is no lack of knowledge
    assert explained_variance(-outcomes, outcomes) < 0


@pytest.mark.parametrize("seed", range(3))
def test_a_story_is_foreseen_only_towards_its_end(tales: World, seed: int) -> None:
    parts = calibration(tales, samples=192, seed=seed)
    assert [part.start for part in parts] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    assert abs(parts[0].explained) < 0.15
    assert parts[-1].explained > parts[-2].explained + 0.1 > parts[0].explained + 0.2
    assert all(len(part.forecasts) == 192 for part in parts)


def test_the_truth_explains_more_than_no_critic_and_nobody_explains_nothing(micro: World) -> None:
    trees = [exact(micro, prompt) for prompt in micro.prompts]
    known = calibration(micro.replace(critic=ExactCritic(trees)), samples=300)
    nobody = calibration(micro.replace(critic=ZeroCritic()), samples=300)
    assert all(part.explained == pytest.approx(0.0) for part in nobody)
    assert known[-1].explained > 0.6
    assert known[-1].explained > known[0].explained


def test_too_few_responses_are_refused(micro: World) -> None:
    with pytest.raises(LabError, match="ten"):
        calibration(micro, samples=3)


@pytest.fixture(scope="module")
def tales() -> World:
    return load_world("tales")
