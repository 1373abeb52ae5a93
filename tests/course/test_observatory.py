"""The observatory without a panel: laws recovered, hacked samples found, runs watched, steered and stopped."""

import math
import threading
from collections.abc import Callable

import pytest
import torch

from rllab import LabError, Trainer, World, generate, load_world
from rllab.core.jobs import Job
from rllab.course.observatory import (
    BEST_OF_N,
    DPO,
    PPO,
    Curve,
    Observatory,
    Plan,
    Point,
    Sample,
    Watch,
    best_of_chances,
    first_hacked,
    fit_forms,
    measure,
    varieties,
    watch_best_of_n,
)
from rllab.reward.judges import happy_words
from rllab.truth import exact

PLAN = Plan(every=2, samples=16, ns=(1, 2, 4), prompts=3, pairs=16)


@pytest.fixture(scope="module")
def micro() -> World:
    return load_world("micro")


def point(step: int, *, gold: float, proxy: float, samples: tuple[Sample, ...] = ()) -> Point:
    return Point(step, float(step), proxy, gold, 0.05, 3.0, 0.9, samples)


@pytest.mark.parametrize(
    ("name", "law", "peak"),
    [
        ("d(α − βd)", lambda d: d * (2.0 - 0.5 * d), 2.0),
        ("d(α − β log d)", lambda d: d * (2.0 - 0.8 * math.log(d)), math.exp(1.5)),
    ],
)
def test_each_law_is_recovered_and_preferred(name: str, law: Callable[[float], float], peak: float) -> None:
    d = [0.1, *(0.5 * number for number in range(1, 12))]
    better, other = fit_forms(d, [law(x) for x in d])
    assert better.name == name
    assert better.peak == pytest.approx(peak)
    assert better.alpha == pytest.approx(2.0)
    assert better.r2 == pytest.approx(1.0)
    assert better.aic < other.aic
    assert better.at(1.7) == pytest.approx(law(1.7))


def test_too_few_measurements_are_refused_in_a_sentence() -> None:
    with pytest.raises(LabError, match="four measurements"):
        fit_forms([0.1, 0.2, 1.0, 2.0, 3.0], [0.0] * 5)


def test_a_law_that_never_falls_has_no_peak() -> None:
    better, _ = fit_forms([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.2, 3.6, 5.2, 7.0])
    assert better.peak == math.inf


def test_only_a_sure_fall_with_more_proxy_is_over_optimised() -> None:
    golds = (0.0, 1.0, 0.5)
    curve = Curve(PPO, tuple(point(at, gold=gold, proxy=at) for at, gold in enumerate(golds)))
    assert curve.over_optimised
    slight = Curve(PPO, tuple(point(at, gold=gold, proxy=at) for at, gold in enumerate((0.0, 1.0, 0.9))))
    assert not slight.over_optimised
    cheap = Curve(PPO, tuple(point(at, gold=gold, proxy=-at) for at, gold in enumerate(golds)))
    assert not cheap.over_optimised


def test_the_first_hacked_response_is_the_widest_gap_of_the_first_point_that_has_one() -> None:
    start = tuple(Sample("p", "r", proxy=at / 10, gold=1.0 + at / 10) for at in range(10))
    tame = (Sample("p", "liked by both", 2.0, 3.0), Sample("p", "liked by none", 0.0, -3.0))
    wild = (*tame, Sample("p", "hacked", 2.0, -1.0), Sample("p", "hacked more", 2.0, -2.0))
    points = [point(0, gold=1, proxy=0, samples=start), point(5, gold=1, proxy=1, samples=tame)]
    assert first_hacked(Curve(PPO, tuple(points))) is None
    found = first_hacked(Curve(PPO, (*points, point(9, gold=0, proxy=2, samples=wild))))
    assert found is not None
    assert (found[0].step, found[1].response) == (9, "hacked more")


def test_the_chances_of_ranks_are_those_of_drawing(micro: World) -> None:
    assert best_of_chances(5, 1).tolist() == pytest.approx([0.2] * 5)
    assert best_of_chances(4, 2).tolist() == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6])
    assert float(best_of_chances(128, 64).sum()) == pytest.approx(1)
    curve = watch_best_of_n(micro, (1, 2, 8), prompts=["cat is"], seed=3)
    proxies = [point.proxy for point in curve.points]
    assert proxies == sorted(proxies)
    assert [point.kl for point in curve.points] == pytest.approx([math.log(n) - (n - 1) / n for n in (1, 2, 8)])


def test_a_policy_is_measured_against_the_exact_kl(micro: World) -> None:
    trainer = Trainer(micro, "ppo", seed=0)
    assert measure(trainer.world, step=0, samples=32).kl == pytest.approx(0, abs=1e-9)
    trainer.run(2)
    world = trainer.world.replace(prompts=("cat is",))
    seen = measure(world, step=2, samples=1024)
    truth = exact(world, "cat is", objective=world.objective).kl(world.reference)
    assert truth > 0.05
    assert seen.kl == pytest.approx(truth, rel=0.1)


def test_watching_goes_on_where_it_stopped_and_changes_nothing(micro: World) -> None:
    watched = Watch(Trainer(micro, "ppo", seed=1), method=PPO, every=2, samples=8)
    watched.advance(3)
    watched.advance(1)
    assert [point.step for point in watched.curve.points] == [0, 2, 3, 4]
    alone = Trainer(micro, "ppo", seed=1)
    alone.run(4)
    pairs = zip(watched.run.world.policy.model.parameters(), alone.world.policy.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_stopped_watch_keeps_what_was_measured(micro: World) -> None:
    stop = threading.Event()

    def after_two(done: int, total: int, text: str) -> None:
        if done == 2:
            stop.set()

    watched = Watch(Trainer(micro, "ppo"), method=PPO, every=1, samples=8)
    watched.advance(50, job=Job(stop, after_two))
    assert [point.step for point in watched.curve.points] == [0, 1, 2]


def test_three_methods_start_at_the_same_reference(micro: World) -> None:
    seen = Observatory(micro.replace(reward=happy_words(micro.policy.decode)), plan=PLAN)
    seen.ppo(2)
    seen.dpo(2)
    seen.best_of_n()
    assert set(seen.curves) == {PPO, DPO, BEST_OF_N}
    assert seen.curves[PPO].points[0] == seen.curves[DPO].points[0]
    assert all(point.kl >= 0 for curve in seen.curves.values() for point in curve.points)


def test_gold_trains_nothing(micro: World) -> None:
    """With the gold judge turned round the policy learns the same."""
    other = micro.replace(gold=happy_words(micro.policy.decode))
    runs = [Observatory(world, plan=PLAN) for world in (micro, other)]
    for seen in runs:
        seen.ppo(2)
    first, second = (seen.trainer.world.policy.model.parameters() for seen in runs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    golds = [[point.gold for point in seen.curves[PPO].points] for seen in runs]
    assert golds[0] != golds[1]


def test_steering_is_checked_and_holds_from_the_next_update(micro: World) -> None:
    seen = Observatory(micro, plan=PLAN)
    with pytest.raises(LabError, match="kl_coef"):
        seen.steer(-1.0)
    seen.ppo(1)
    seen.steer(0.5)
    assert seen.kl_coef == 0.5
    seen.ppo(1)
    assert [record.metrics["kl_coef"] for record in seen.trainer.history] == [0.0, 0.5]
    assert [(change.step, change.kl_coef) for change in seen.steered] == [(0, 0.0), (1, 0.5)]


def test_variety_falls_when_a_word_comes_again(micro: World) -> None:
    rows = generate(micro.policy, micro.prompts[:1] * 64, max_new_tokens=5, seed=0)
    assert 0 < measure(micro, step=0, samples=32).variety <= 1
    told = [len(set(rows.response_ids(row))) / len(rows.response_ids(row)) for row in range(len(rows))]
    assert varieties(rows).tolist() == pytest.approx(told)
    assert min(told) < 1


@pytest.mark.parametrize(("every", "samples", "named"), [(0, 8, "every"), (1, 0, "samples")])
def test_bad_plans_are_refused(micro: World, every: int, samples: int, named: str) -> None:
    with pytest.raises(LabError, match=named):
        Watch(Trainer(micro, "ppo"), method=PPO, every=every, samples=samples)
