"""The family's pictures: what is drawn and said is what the equations give."""

import math

import pytest
import torch

from rllab import Trainer, World, load_world
from rllab.core.files import data_dir
from rllab.course.figures.family import (
    batch_age,
    dpo_path,
    dpo_triangle,
    group_advantages,
    length_push,
    margins,
    same_direction,
    silent_groups,
)
from rllab.preferences.dpo import train_dpo
from rllab.preferences.pairs import load_pairs
from rllab.trainer.frozen_batch import same_batch
from rllab.truth import exact

PROMPT = "cat is"


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro-tabular")


def bars(scores: str, shift: float = 0.0) -> dict[str, list[float]]:
    return {trace.name: list(trace.y) for trace in group_advantages(scores, shift).figure.data}


def test_group_advantages_are_those_of_the_three_methods() -> None:
    drawn = bars("1 1 1 0")
    assert drawn["GRPO"] == pytest.approx([3**-0.5] * 3 + [-(3**0.5)])
    assert drawn["Dr. GRPO"] == pytest.approx([0.25] * 3 + [-0.75])
    assert drawn["RLOO"] == pytest.approx([4 / 3 * advantage for advantage in drawn["Dr. GRPO"]])
    for name, shifted in bars("1 1 1 0", 10.0).items():
        assert shifted == pytest.approx(drawn[name]), "every baseline takes a shift of all scores away"
    assert "silent" in group_advantages("1 1 1 1", 0.0).words


def test_the_share_of_silent_groups_is_that_of_the_formula() -> None:
    assert "43%" in silent_groups(0.1, 8).words
    halves = {trace.name.strip("\u2068\u2069"): trace.y[49] for trace in silent_groups(0.5, 8).figure.data}
    assert halves["G = 8"] == pytest.approx(2 * 0.5**8)


@pytest.mark.parametrize("long", [2, 8, 32])
def test_only_the_mean_of_row_means_spares_the_long_answer(long: int) -> None:
    assert list(length_push(long).figure.data[0].y) == pytest.approx([1, 2 / long, 1, 1])


@pytest.mark.parametrize(("share_b", "wins", "beta"), [(0.7, 0.75, 0.5), (0.2, 0.95, 0.1), (0.5, 0.55, 1.0)])
def test_dpo_ends_where_its_implicit_reward_says_how_often_a_wins(share_b: float, wins: float, beta: float) -> None:
    path = dpo_path(share_b, wins, beta)
    moved = (path[-1] / path[0]).log()
    assert beta * float(moved[0] - moved[1]) == pytest.approx(math.log(wins / (1 - wins)), abs=1e-6)
    tilt = beta * (moved - moved[2])  # C's logit got no gradient: DPO says that it is worth the mean of A and B
    assert float(tilt[0] + tilt[1]) == pytest.approx(0.0, abs=1e-9)


def test_an_answer_that_no_pair_mentions_moves_all_the_same() -> None:
    path = dpo_path(0.7, 0.75, 0.5)
    assert float(path[-1][2]) > float(path[0][2]) * 1.1
    assert "from 0.15 to 0.18" in dpo_triangle(0.7, 0.75, 0.5).words


def test_dpo_trains_the_distance_and_may_lower_both() -> None:
    micro = load_world("micro")
    run = train_dpo(micro, load_pairs(data_dir() / "micro" / "preferences.jsonl")[:600], seed=0)
    run.run(12)
    picture = margins(run.history)
    chosen, rejected = (list(trace.y) for trace in picture.figure.data)
    assert (chosen[0], rejected[0]) == (0.0, 0.0)
    assert rejected[-1] < chosen[-1] < 0
    assert "starts at 0.693 = log 2" in picture.words


def test_an_old_batch_says_less_and_stays_unbiased(world: World) -> None:
    trainer = Trainer(world, "ppo", seed=0)
    trees = [exact(world, PROMPT, horizon=2)]
    for _ in range(3):
        trainer.run(1)
        trees.append(exact(trainer.world, PROMPT, horizon=2))
    sizes = list(batch_age(trees)(3).figure.data[0].y)
    assert sizes[0] == pytest.approx(1.0)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.9
    assert "average 1.000" in batch_age(trees)(3).words


def test_ppos_first_step_is_a2cs(world: World) -> None:
    comparison = same_batch(world, samples_per_prompt=4)
    heat = same_direction(comparison).figure.data[0]
    names = list(heat.x)
    assert heat.z[names.index("A2C")][names.index("PPO")] == pytest.approx(1.0, abs=1e-9)
    assert torch.tensor(heat.z).min() < 0.99
