"""The diagnostics find and explain problems and raise no false alarms; every metric has its page."""

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import asdict

import pytest

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import UpdateRecord
from rllab.trainer.diagnostics import diagnose, summary
from rllab.trainer.signals import HealthyRange, definitions, healthy_range, readings
from rllab.worlds import load_world
from tests.trainer.small_run import small_run

Metrics = dict[str, float]
Shape = Callable[[int], Metrics]

CALM: Metrics = {
    "objective/scores": 0.5,
    "objective/scores_std": 0.8,
    "objective/rlhf_reward": 0.45,
    "objective/kl": 0.5,
    "objective/kl_exact": 0.5,
    "objective/entropy": 1.4,
    "objective/entropy_sampled": 1.4,
    "completions/mean_length": 4.0,
    "completions/clipped_ratio": 0.05,
    "frac_reward_zero_std": 0.1,
    "critic/values/mean": 0.4,
    "critic/returns/mean": 0.45,
    "critic/advantages/mean": 0.05,
    "critic/vf_explained_var": 0.3,
    "critic/grad_norm": 0.4,
    "policy/weights_mean": 0.0,
    "policy/weights_std": 1.0,
    "policy/trained_share": 1.0,
    "loss/policy_avg": -0.9,
    "loss/value_avg": 0.2,
    "policy/entropy_avg": 1.4,
    "policy/approxkl_avg": 0.01,
    "policy/clipfrac_avg": 0.1,
    "val/ratio": 1.0,
    "val/value_shift": 0.1,
    "policy/clipfrac_first": 0.0,
    "policy/approxkl_first": 0.0,
    "val/ratio_first": 1.0,
    "val/value_shift_first": 0.0,
    "grad_norm": 1.0,
    "kl_coef": 0.1,
    "lr": 1e-3,
    "eval/gold": 0.4,
}
NOISY = ("objective/scores", "eval/gold", "completions/mean_length", "objective/entropy_sampled")


def history(shape: Shape = lambda _: {}, *, updates: int = 20, **settings: object) -> list[UpdateRecord]:
    """Return a calm run with something in it: `shape` gives the metrics that update k has instead."""
    config = asdict(Config().replace(kl_coef=0.1, **settings))
    dice = random.Random(0)
    records = []
    for index in range(1, updates + 1):
        metrics = dict(CALM)
        for name in NOISY:
            metrics[name] += dice.gauss(0, 0.01)
        metrics |= shape(index)
        if "objective/rlhf_reward" not in shape(index):
            metrics["objective/rlhf_reward"] = metrics["objective/scores"] - 0.1 * metrics["objective/kl"]
        records.append(UpdateRecord(index, config, metrics, {"rollout": 0.1}, []))
    return records


def names(records: list[UpdateRecord], severity: str = "") -> set[str]:
    return {one.name for one in diagnose(records) if severity in {"", one.severity}}


def test_a_calm_run_has_no_finding_and_the_summary_says_so() -> None:
    assert diagnose(history()) == []
    assert summary([]) == "Nothing looks wrong."
    assert diagnose([]) == []


CASES: dict[str, tuple[Shape, str, str]] = {
    "ratio is not 1 on the first epoch": (
        lambda k: {"val/ratio_first": 1.02, "policy/approxkl_first": 2e-4} if k >= 7 else {},
        "ill",
        "update 7",
    ),
    "a policy loss near 0 is expected": (lambda k: {"loss/policy_avg": 1e-3 * (-1) ** k}, "note", "Watch the score"),
    "nothing to learn: all weights are 0": (
        lambda k: (
            {"policy/weights_std": 0.0, "objective/scores_std": 0.0, "frac_reward_zero_std": 1.0} if k > 15 else {}
        ),
        "watch",
        "100% of the groups are silent",
    ),
    "a KL estimate below 0 is noise": (
        lambda k: {"objective/kl": -0.02, "objective/kl_exact": 0.03} if k == 2 else {},
        "note",
        "0.03",
    ),
    "the critic explains less than a constant would": (
        lambda _: {"critic/vf_explained_var": -0.4},
        "watch",
        "\u22120.40",
    ),
    "entropy has collapsed": (
        lambda k: dict.fromkeys(("objective/entropy", "objective/entropy_sampled"), 1.4 if k < 10 else 0.05),
        "ill",
        "0.050 nats",
    ),
    "length drifts": (lambda k: {"completions/mean_length": 4.0 + 0.4 * k}, "watch", "tokens"),
    "many responses are cut": (lambda k: {"completions/clipped_ratio": 0.02 * k}, "watch", "37%"),
    "the reward is being exploited": (
        lambda k: {"objective/scores": 0.5 + 0.1 * k, "eval/gold": 1.0 - 0.005 * (k - 6) ** 2},
        "ill",
        "update 6",
    ),
    "the steps are too long": (lambda _: {"policy/clipfrac_avg": 0.7}, "watch", "70%"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_known_pattern_is_found_in_plain_words(name: str) -> None:
    shape, severity, quoted = CASES[name]
    found = {one.name: one for one in diagnose(history(shape))}
    assert name in found, set(found)
    finding = found[name]
    assert finding.severity == severity
    assert quoted in f"{finding.seen} {finding.meaning}"
    assert finding.meaning.endswith(".")
    assert finding.threads
    assert {one for one in found if found[one].severity == "ill"} == ({name} if severity == "ill" else set())


def test_silent_groups_of_a_group_method_are_watched() -> None:
    shape: Shape = lambda _: {"frac_reward_zero_std": 0.75}  # noqa: E731
    assert "most groups are silent" in names(history(shape, samples_per_prompt=4, batch_size=32))
    assert "most groups are silent" not in names(history(shape))  # groups of one mean nothing


def test_scores_that_differ_and_leave_no_weight_are_ill() -> None:
    assert "nothing to learn: all weights are 0" in names(history(lambda _: {"policy/weights_std": 0.0}), "ill")


def test_a_negative_kl_is_noise_if_the_texts_are_a_fair_sample_and_a_fault_if_not() -> None:
    def cold(k: int) -> Metrics:
        return {"objective/kl": -0.2, "objective/kl_exact": 0.1, "objective/entropy_sampled": 1.0 + 0.01 * (k % 3)}

    found = names(history(cold))
    assert "texts are not a fair sample of the policy" in found
    assert "a KL estimate below 0 is noise" not in found, "the two explanations contradict each other"


@pytest.mark.parametrize("kl", [0.003, 0.05, 2.0, -0.4])
def test_the_kl_with_the_wrong_sign_is_told_from_a_lost_reward(kl: float) -> None:
    def paid(k: int) -> Metrics:
        here = kl * k
        return {"objective/kl": here, "objective/kl_exact": abs(here), "objective/rlhf_reward": 0.5 + 0.1 * here} | {
            "objective/scores": 0.5
        }

    assert names(history(paid), "ill") == {"the KL is paid instead of charged"}


def test_a_reward_that_gets_lost_is_not_taken_for_a_wrong_sign() -> None:
    lost: Shape = lambda k: {"objective/rlhf_reward": -0.05, "objective/kl": 0.01 * k}  # noqa: E731
    assert names(history(lost), "ill") == {"what the tokens are paid is not the score"}


def test_rounding_is_no_wrong_sign() -> None:
    shape: Shape = lambda k: {"objective/rlhf_reward": 0.45 + 1e-5 * (-1) ** k, "objective/scores": 0.5}  # noqa: E731
    assert names(history(shape), "ill") == set()


def test_the_gravest_comes_first_and_the_summary_names_it() -> None:
    def shape(_: int) -> Metrics:
        return {"loss/policy_avg": 0.0, "critic/vf_explained_var": -1.0, "val/ratio_first": 1.5}

    found = diagnose(history(shape))
    assert [one.severity for one in found] == ["ill", "watch", "note"]
    assert summary(found) == "Something is wrong: ratio is not 1 on the first epoch."
    assert summary(found[1:]).startswith("Nothing contradicts itself")


def test_every_metric_of_a_run_has_definition_formula_and_rule() -> None:
    trainer = small_run(load_world("micro"))
    trainer.update()
    assert set(trainer.history[-1].metrics) <= set(definitions())
    for definition in definitions().values():
        assert definition.title
        assert definition.definition.endswith(".")
        assert definition.formula
        assert definition.rule.endswith(".")


def test_readings_hold_each_number_against_its_healthy_range() -> None:
    trainer = small_run(load_world("micro"))
    trainer.run(2)
    read = {reading.definition.name: reading for reading in readings(trainer.history, world="micro", algorithm="ppo")}
    assert set(read) == set(trainer.history[-1].metrics)
    ratio = read["val/ratio_first"]
    assert ratio.healthy is not None
    assert ratio.healthy.holds(ratio.value)
    assert "inside what" in ratio.in_words()
    off = dataclasses.replace(ratio, value=1.4)
    assert "outside what" in off.in_words()
    assert f"{ratio.healthy.runs} healthy runs" in off.in_words()
    nowhere = {
        reading.definition.name: reading for reading in readings(trainer.history, world="elsewhere", algorithm="ppo")
    }
    assert nowhere["val/ratio_first"].healthy is None
    assert ratio.definition.rule in nowhere["val/ratio_first"].in_words()
    with pytest.raises(LabError, match="no finished update"):
        readings([], world="micro", algorithm="ppo")


def test_what_must_hold_exactly_is_exact_in_the_measured_ranges() -> None:
    for algorithm in ("reinforce", "a2c", "ppo", "rloo", "grpo"):
        for world in ("micro", "micro-tabular"):
            for metric, exact in (("val/ratio_first", 1.0), ("policy/clipfrac_first", 0.0)):
                measured = healthy_range(metric, world=world, algorithm=algorithm)
                assert measured is not None
                assert measured.runs >= 2
                assert (measured.low, measured.high) == pytest.approx((exact, exact), abs=1e-6)


def test_a_range_forgives_rounding_alone() -> None:
    measured = HealthyRange(0.0, 1.0, runs=3, updates=10)
    assert measured.holds(1.0005)
    assert not measured.holds(1.01)
    assert not measured.holds(math.nan)
