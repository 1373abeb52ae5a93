"""Bands of seeds, control arms that learn nothing, and runs side by side."""

import dataclasses
import math
import threading

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.core.records import UpdateRecord
from rllab.trainer.comparison import ARMS, T_QUANTILES, band, compare_runs, difference, interval, recorded, study
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.trainer.small_run import small_run


def curve(*values):
    return [UpdateRecord(k, {}, {"gold": value}, {}, []) for k, value in enumerate(values, 1)]


def students_t(quantile, freedom):
    """Integrate the density of Student's t up to a quantile."""
    x = torch.linspace(0, quantile, 200_001, dtype=torch.float64)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    return 0.5 + float(torch.trapezoid(scale * (1 + x**2 / freedom) ** (-(freedom + 1) / 2), x))


def test_intervals_are_those_of_students_t():
    for freedom, quantile in enumerate(T_QUANTILES, 1):
        assert students_t(quantile, freedom) == pytest.approx(0.975, abs=3e-5)
    said = interval([1.0, 2.0, 4.0, 8.0, math.nan])
    assert (said.mean, said.count) == (3.75, 4)
    reach = 3.182 * math.sqrt((2.75**2 + 1.75**2 + 0.25**2 + 4.25**2) / 3 / 4)
    assert (said.low, said.high) == (pytest.approx(3.75 - reach), pytest.approx(3.75 + reach))
    assert interval([1.0] * 40).low == 1.0
    assert interval([]).count == 0


def test_a_band_is_the_mean_of_seeds_and_as_long_as_the_shortest():
    made = band([curve(1, 2, 3), curve(3, 2)], "gold")
    assert made.updates == (1, 2)
    assert made.mean == (2.0, 2.0)
    assert made.low[0] < 2.0 < made.high[0]
    assert made.low[1] == made.high[1] == 2.0
    assert band([curve(1, 2)], "gold").low == (1.0, 2.0)


def test_differences_are_taken_seed_by_seed():
    first, second = [curve(1), curve(11), curve(21)], [curve(0), curve(10), curve(20)]
    apart = difference(first, second, "gold")
    assert (apart.mean, apart.low, apart.high) == (1.0, 1.0, 1.0)
    with pytest.raises(LabError, match="same seeds"):
        difference(first, second[:2], "gold")


def test_a_metric_nobody_logs_is_met_with_the_nearest():
    with pytest.raises(LabError, match=r"these runs do not log it; choose one of .*gold"):
        band([curve(1)], "gould")
    with pytest.raises(LabError, match="at least one finished update"):
        band([[]], "gold")


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_what_each_arm_takes_out(arm):
    world = load_world("micro-tabular")
    config = small_run(world).config
    plain, other = Trainer(world, "ppo", config), Trainer(world, "ppo", config, stages=arm.stages)
    records = [{phase.name: phase.record for phase in trainer.phases()} for trainer in (plain, other)]
    rows, changed = records
    moved = not torch.equal(plain.snapshot().policy[0], other.snapshot().policy[0])
    assert moved == (arm.name != "trained")
    assert torch.equal(rows["rollout"].tokens, changed["rollout"].tokens)
    mask = rows["targets"].loss_mask
    if arm.name == "random reward":
        assert torch.equal(rows["score"].total.sort().values, changed["score"].total.sort().values)
        assert torch.allclose(changed["score"].per_token.sum(dim=1), changed["score"].total)
    if arm.name == "shuffled weights":
        before, after = (record["targets"].policy_weights for record in records)
        assert torch.equal(before[mask].sort().values, after[mask].sort().values)
        assert not torch.equal(before, after)
        assert float(after[~mask].abs().sum()) == 0.0
    if arm.name == "frozen policy":
        assert torch.equal(other.snapshot().policy[0], world.policy.model.table.rows.weight)
        assert not torch.equal(other.snapshot().critic[0], world.critic.model.table.rows.weight)  # it may learn


def test_a_study_tells_learning_from_chance():
    world = load_world("micro-tabular")
    config = world.config(batch_size=96, micro_batch_size=96, epochs=4)
    found = study(world.replace(reward=world.gold), "ppo", config, updates=12, seeds=(0, 1, 2))
    assert set(found.histories) == {arm.name for arm in ARMS}
    for arm in ARMS[1:]:
        assert found.gain(arm.name).low > 0, arm.name
    assert all("more than chance" in said for said in found.verdict())
    assert found.bands()["trained"].seeds == 3
    same = found.histories["frozen policy"]
    assert max(abs(record.metrics["objective/kl_exact"]) for record in same[0]) <= 1e-12


def test_control_arms_come_by_one_switch_and_stop_ends_all():
    world = load_world("micro-tabular")
    config = small_run(world).config
    alone = study(world, config=config, updates=1, seeds=(0,), placebo=False)
    assert set(alone.histories) == {"trained"}
    assert alone.verdict() == []
    stop, seen = threading.Event(), []

    def progress(done, total, text):
        seen.append((done, total))
        if done == 2:
            stop.set()

    with pytest.raises(Stopped):
        study(world, config=config, updates=2, seeds=(0,), job=Job(stop, progress))
    assert seen[0] == (0, 8)
    assert max(done for done, _ in seen) <= 3
    with pytest.raises(LabError, match="at least one"):
        study(world, config=config, updates=1, seeds=())


def test_runs_are_sorted_into_arms_and_their_settings_told():
    runs = []
    for seed in (0, 1):
        for clip in (0.2, 0.5):
            trainer = small_run(seed=seed, clip_eps=clip)
            trainer.run(1)
            runs.append(recorded(trainer))
    compared = compare_runs(runs)
    assert [arm.name for arm in compared.arms] == ["clip_eps 0.2", "clip_eps 0.5"]
    assert [arm.seeds for arm in compared.arms] == [(0, 1), (0, 1)]
    assert compared.differences == {"clip_eps": (0.2, 0.5)}
    bands = compared.bands("objective/scores")
    assert bands["clip_eps 0.2"].mean == bands["clip_eps 0.5"].mean  # the first batch is the same
    words = compared.in_words("objective/scores")
    assert words[0] == "They differ in clip_eps: 0.2 | 0.5."
    assert "2 seeds" not in words[1]
    assert "objective/scores ends at" in words[1]


def test_algorithms_side_by_side_and_a_change_on_the_way():
    first, second = small_run(algorithm="ppo"), small_run(algorithm="grpo")
    for trainer in (first, second):
        trainer.run(1)
    first.configure(lr=0.01)
    first.run(1)
    compared = compare_runs([recorded(first), recorded(second)])
    assert compared.differences["algorithm"] == ("ppo", "grpo")
    assert compared.differences["changed on the way"] == ("from update 2", "no")
    assert "critic/vf_explained_var" in compared.metrics


def test_what_cannot_be_compared_is_told():
    with pytest.raises(LabError, match="at least one run"):
        compare_runs([])
    with pytest.raises(LabError, match="no finished update"):
        compare_runs([recorded(small_run())])
    one = recorded(_done())
    assert [arm.name for arm in compare_runs([one, dataclasses.replace(one, seed=5)]).arms] == [one.name]


def _done():
    trainer = small_run()
    trainer.run(1)
    return trainer
