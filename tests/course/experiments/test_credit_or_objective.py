"""`credit_or_objective`: expected scores are those of samples, and every cell has its line."""

import pytest
import torch

from rllab.course.experiments import credit_or_objective, recorded_result
from rllab.course.experiments.credit_or_objective import LENGTH, TIRES, WORTH, credit_of, expected_score, scores


def test_the_expected_score_is_that_of_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.randn(LENGTH, len(WORTH), generator=generator, dtype=torch.float64).softmax(dim=1)
    tokens = torch.multinomial(shares, 20_000, replacement=True, generator=generator).T
    for tires in (0.0, TIRES):
        sampled = scores(tokens, tires)[:, -1]
        error = float(sampled.std()) / len(sampled) ** 0.5
        assert expected_score(shares, tires) == pytest.approx(float(sampled.mean()), abs=4 * error)


def test_what_the_tokens_are_credited_with_adds_up_to_the_score() -> None:
    tokens = torch.randint(0, len(WORTH), (8, LENGTH), generator=torch.Generator().manual_seed(0))
    prefix_scores = scores(tokens, TIRES)
    assert torch.allclose(credit_of("token", prefix_scores).sum(dim=1), prefix_scores[:, -1], atol=1e-12)
    assert bool((credit_of("end", prefix_scores) == prefix_scores[:, -1:]).all())


def test_gold_tires_of_a_word_and_the_easy_judge_does_not() -> None:
    words = list(WORTH)
    same = torch.full((1, LENGTH), words.index("happy"))
    mixed = torch.tensor([[words.index(word) for word in ("happy", "bright", "kind", "warm") * 6]])
    assert float(scores(same, 0.0)[0, -1]) == pytest.approx(LENGTH)
    assert float(scores(same, TIRES)[0, -1]) == pytest.approx(LENGTH - 0.1 * LENGTH**2)
    assert scores(mixed, TIRES)[0, -1] > 0 > scores(same, TIRES)[0, -1]


def test_two_by_two_draws_a_line_for_each_cell() -> None:
    picture = credit_or_objective.two_by_two(recorded_result(credit_or_objective))
    assert len(picture.figure.data) == 4
    assert picture.outcome == "sooner"
    assert "no update" not in picture.words
