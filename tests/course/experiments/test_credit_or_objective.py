"""`credit_or_objective` at its fast size: two judges and two timings, four outcomes; gold is computed beside them."""

import math
import statistics
import threading

import pytest
import torch

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import credit_or_objective
from rllab.course.experiments.recorded import recorded_result

HONEST, EASY = credit_or_objective.JUDGES


def check_signature(result: credit_or_objective.Result) -> None:
    for timing in credit_or_objective.TIMINGS:
        honest, easy = result.of(HONEST, timing), result.of(EASY, timing)
        assert len(honest) == len(easy) >= 5
        assert all(arm.proxy == arm.gold for arm in honest)
        assert all(arm.gain > 8 and arm.fall < 0.5 for arm in honest), timing
        assert all(arm.gold[0] + 5 < max(arm.gold) and arm.fall > 4 for arm in easy), timing
        assert all(arm.proxy[-1] > arm.proxy[arm.updates.index(arm.peak)] for arm in easy), timing
        assert all(mine.variety[-1] < theirs.variety[-1] for mine, theirs in zip(easy, honest, strict=True)), timing
    late, soon = ([arm.lost for arm in result.of(EASY, timing)] for timing in ("end", "token"))
    assert all(one < two for one, two in zip(soon, late, strict=True))  # sign test: 2^-5 at 5 seeds
    assert max(soon) < math.inf
    falls = [statistics.fmean(arm.fall for arm in result.of(EASY, timing)) for timing in ("end", "token")]
    assert falls[1] > falls[0] + 5


def test_paying_each_token_pleases_an_easy_judge_sooner_and_an_honest_one_as_well() -> None:
    seen: list[int] = []
    check_signature(
        credit_or_objective.run(
            credit_or_objective.FAST, job=Job(report=lambda done, total, text: seen.append(total - done))
        )
    )
    assert seen == list(range(20, 0, -1))


def test_the_recorded_run_has_the_signature() -> None:
    result = recorded_result(credit_or_objective)
    check_signature(result)
    assert {arm.seed for arm in result.arms} == set(range(10))


def test_the_expected_score_is_that_of_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.randn(
        credit_or_objective.LENGTH, len(credit_or_objective.WORTH), generator=generator, dtype=torch.float64
    ).softmax(dim=1)
    tokens = torch.multinomial(shares, 50_000, replacement=True, generator=generator).T
    for tires in (0.0, credit_or_objective.TIRES):
        drawn = credit_or_objective.scores(tokens, tires)[:, -1]
        error = float(drawn.std()) / len(drawn) ** 0.5
        assert credit_or_objective.expected_score(shares, tires) == pytest.approx(float(drawn.mean()), abs=4 * error)


def test_what_the_tokens_are_paid_adds_up_to_the_score() -> None:
    tokens = torch.randint(
        0, len(credit_or_objective.WORTH), (8, credit_or_objective.LENGTH), generator=torch.Generator().manual_seed(0)
    )
    scores = credit_or_objective.scores(tokens, credit_or_objective.TIRES)
    assert torch.allclose(credit_or_objective.CREDIT["token"](scores).sum(dim=1), scores[:, -1], atol=1e-12)
    assert bool((credit_or_objective.CREDIT["end"](scores) == scores[:, -1:]).all())


def test_gold_tires_of_a_word_and_the_easy_judge_does_not() -> None:
    words = list(credit_or_objective.WORTH)
    same = torch.full((1, credit_or_objective.LENGTH), words.index("happy"))
    mixed = torch.tensor([[words.index(word) for word in ("happy", "bright", "kind", "warm") * 6]])
    assert float(credit_or_objective.scores(same, 0.0)[0, -1]) == pytest.approx(credit_or_objective.LENGTH)
    assert float(credit_or_objective.scores(same, credit_or_objective.TIRES)[0, -1]) == pytest.approx(
        credit_or_objective.LENGTH - 0.1 * credit_or_objective.LENGTH**2
    )
    assert (
        credit_or_objective.scores(mixed, credit_or_objective.TIRES)[0, -1]
        > 0
        > credit_or_objective.scores(same, credit_or_objective.TIRES)[0, -1]
    )


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        credit_or_objective.run(credit_or_objective.FAST, job=Job(stop))
