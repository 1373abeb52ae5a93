"""The advantage panel without a browser: its numbers are the trainer's, and they add up as they are written."""

import dataclasses

import pytest
import torch

from rllab import LabError, World, ZeroCritic, load_world
from rllab.maths.algorithms import ALGORITHMS
from rllab.maths.returns import td_errors
from rllab.truth import exact
from rllab.truth.groups import credit, discounted, learned_values, sample_group, true_values
from rllab.widgets import AdvantagePanel
from tests.truth.trees import tree_world
from tests.widgets.panels import lines, numbers, sent, shown, words


@pytest.fixture(scope="module")
def world() -> World:
    return tree_world(words=4, horizon=4, seed=2, kl_coef=0.2, timing="token")


@pytest.fixture
def panel(world: World) -> AdvantagePanel:
    made = AdvantagePanel(world, samples=5)
    write(made)
    return made


def write(panel: AdvantagePanel) -> None:
    panel.press("write")
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == ""
    assert panel.group is not None


def number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (0.5, 1.0)])
def test_gae_is_what_the_trainer_would_learn_from(world: World, gamma: float, lam: float) -> None:
    made = sample_group(world, "a", samples=6, seed=1)
    values = true_values(made, exact(world, "a"), gamma=gamma)
    rollout = dataclasses.replace(made.rollout, values=values[:, :-1])
    config = world.config("ppo").replace(gamma=gamma, lam=lam)
    expected, _ = ALGORITHMS["ppo"].advantages(rollout, made.rewards, config)
    torch.testing.assert_close(credit(made, values, gamma=gamma, lam=lam).advantages, expected)


def test_the_group_is_what_rloo_and_grpo_would_learn_from(world: World) -> None:
    made = sample_group(world, "a", samples=6, seed=1)
    for name, advantages in (("rloo", made.leave_one_out), ("grpo", made.relative(scale=True))):
        config = world.config(name)
        expected, _ = ALGORITHMS[name].advantages(made.rollout, made.rewards, config)
        torch.testing.assert_close(advantages, expected[:, 0])
    torch.testing.assert_close(made.relative(scale=False), made.leave_one_out * 5 / 6)


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_with_the_true_values_a_td_error_is_the_advantage(world: World, gamma: float) -> None:
    made, tree = sample_group(world, "a", samples=6, seed=1), exact(world, "a")
    other = discounted(tree, gamma=gamma)
    again = exact(world, "a", objective=dataclasses.replace(world.objective, gamma=gamma))
    assert abs(other.J - again.J) < 1e-12
    deltas = credit(made, true_values(made, tree, gamma=gamma), gamma=gamma, lam=0.3).deltas
    for row in range(6):
        ids = made.rollout.response_ids(row)
        for at, token in enumerate(ids):
            assert deltas[row, at].item() == pytest.approx(float(again.A(tuple(ids[:at]))[token]), abs=1e-6)


def test_own_and_later_parts_add_up_as_written(panel: AdvantagePanel) -> None:
    for critic in ("exact", "none"):
        panel.set("critic", critic)
        for row in range(5):
            panel.set("row", str(row))
            chips = panel.component("strip")["items"]
            curve = lines(panel, "credit")
            for at, chip in enumerate(chips):
                panel.set("strip", at)
                quoted = numbers(words(panel))
                assert quoted[0] == number(chip["n"]) == shown(curve["GAE"][at])
                assert quoted[1] == curve["TD error \u03b4"][at]
                if at + 1 < len(chips):
                    later = numbers(words(panel).split("), ")[1])[0]
                    assert quoted[1] + later == pytest.approx(quoted[0], abs=1e-9)


def test_lambda_zero_draws_the_td_error_and_gamma_moves_the_truth(panel: AdvantagePanel) -> None:
    panel.set("critic", "exact")
    panel.set("lam", "0")
    curve = lines(panel, "credit")
    assert curve["GAE"] == curve["TD error \u03b4"]
    assert "looks no further" in words(panel) or len(curve["GAE"]) == 1
    panel.set("critic", "none")
    curve = lines(panel, "credit")
    assert curve["TD error \u03b4"] == curve["r, the reward"]  # without V nothing else is left
    before = curve["A exact"]
    panel.set("gamma", "0")
    assert lines(panel, "credit")["A exact"] != before or len(before) == 1


def test_the_table_is_the_group(panel: AdvantagePanel) -> None:
    assert panel.group is not None
    for at, row in enumerate(panel.component("group")["rows"]):
        assert [number(cell["text"]) for cell in row[1:3]] == [
            shown(float(panel.group.totals[at])),
            shown(float(panel.group.leave_one_out[at])),
        ]
    assert [row[0].get("bold", False) for row in panel.component("group")["rows"]] == [True] + 4 * [False]


def test_badges_say_what_is_drawn(panel: AdvantagePanel) -> None:
    panel.set("critic", "none")
    assert [badge["kind"] for badge in panel.component("badges")["badges"]] == ["exact"]
    assert words(panel, "objective").startswith(
        "The rewards r of a response add up to the score of \u201crandom worth\u201d"
    )


def test_a_critic_under_another_discount_is_said_to_be_off() -> None:
    micro = load_world("micro")
    panel = AdvantagePanel(micro)
    write(panel)
    assert panel.critic == "learned"
    assert not panel.has("discount")
    panel.set("gamma", "0")
    assert "it is off" in words(panel, "discount")
    made = panel.group
    assert made is not None
    values = learned_values(made)
    deltas = td_errors(made.rewards, values[:, :-1], made.rollout.response_mask, gamma=0.5)
    drawn = lines(panel, "credit")["TD error \u03b4"]
    assert drawn[-1] == pytest.approx(float(deltas[0][made.rollout.response_mask[0]][-1]), abs=0.011)


@pytest.mark.parametrize(
    ("key", "value", "said"), [("samples", "1", "2 to 64"), ("samples", "x", "x"), ("row", "9", "9")]
)
def test_bad_input_is_a_sentence(panel: AdvantagePanel, key: str, value: str, said: str) -> None:
    before = panel.samples, panel.row
    panel.set(key, value)
    assert said in panel.alert
    assert (panel.samples, panel.row) == before


def test_a_group_of_one_and_a_world_without_truth_or_critic(world: World) -> None:
    with pytest.raises(LabError, match="at least two"):
        sample_group(world, "a", samples=1, seed=0)
    panel = AdvantagePanel(world.replace(critic=ZeroCritic()))
    assert panel.critic == "none"
    assert "Press Write a group" in words(panel)
    sent(panel)


def test_another_prompt_asks_for_another_group(panel: AdvantagePanel) -> None:
    panel.set("prompt", panel.prompt)
    assert panel.group is None
    write(panel)
    sent(panel)


def test_a_group_of_an_older_policy_is_not_held_against_the_truth_of_now(world: World) -> None:
    policy = world.policy.copy()
    panel = AdvantagePanel(world.replace(policy=policy), samples=4)
    write(panel)
    panel.set("critic", "exact")
    policy.changed()
    panel.refresh()
    assert "Write another group" in words(panel, "stale")
    assert [value for value, _ in panel.component("critic")["options"]] == ["learned", "none"]
    assert "exact" not in [badge["kind"] for badge in panel.component("badges")["badges"]]
    write(panel)
    assert panel.component("critic")["value"] == "exact"
