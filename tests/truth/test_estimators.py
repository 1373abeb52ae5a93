"""Estimators of the gradient, made by the trainer's own stages, against the exact one."""

import dataclasses
import threading

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.maths.algorithms import get_algorithm
from rllab.truth import exact
from rllab.truth.estimators import (
    ARMS,
    Arm,
    Gradients,
    compare,
    enumerated,
    expected,
    gae_arms,
    judge,
    kl_rows,
    learned,
    no_critic,
    sampled,
    trees_of,
    true,
    true_gradient,
)
from tests.fakes import FixedCritic
from tests.truth.trees import PROMPT, tree_world

TIGHT = 1e-10
ARM = {arm.name: arm for arm in ARMS}
SUMS = pytest.mark.parametrize("reducer", ["seq-mean-token-sum", "constant"])


def world_of(seed=4, **objective):
    """Make a V=3, T=3 tree with a critic that is wrong in every state but the last."""
    world = tree_world(words=2, horizon=3, seed=seed, **objective)
    return world.replace(critic=FixedCritic(torch.tensor([0.3, -0.8, 0.5, 0.0], dtype=torch.float64)))


def listed(world, arm, *, group, **settings):
    tree = exact(world, PROMPT)
    changed = dataclasses.replace(arm, settings={**arm.settings, **settings})
    return judge(arm.name, enumerated(world, tree, changed, group=group), true_gradient([tree]))


@SUMS
@pytest.mark.parametrize(
    "arm",
    [
        ARM["REINFORCE"],
        ARM["REINFORCE + baseline"],
        ARM["A2C, exact critic"],
        ARM["RLOO"],
        Arm("A2C at lambda 1, wrong critic", "a2c", learned, {"lam": 1.0}),
        Arm("A2C at lambda 0, exact critic", "a2c", true, {"lam": 0.0}),
    ],
    ids=lambda arm: arm.name,
)
@pytest.mark.parametrize("objective", [{}, {"kl_coef": 0.4, "timing": "token"}], ids=["score", "score-kl"])
def test_the_expected_gradient_is_the_exact_one(arm, reducer, objective):
    world = world_of(**objective)
    tree, truth = exact(world, PROMPT), true_gradient([exact(world, PROMPT)])
    changed = dataclasses.replace(arm, settings={**arm.settings, "reducer": reducer})
    gradients = enumerated(world, tree, changed, group=2)
    assert len(gradients.probs) == 15**2
    assert gradients.probs.sum().item() == pytest.approx(1.0, abs=1e-12)
    unit = world.max_new_tokens if reducer == "constant" else 1  # the constant divides by the width
    mean = unit * (gradients.probs[:, None] * gradients.values).sum(dim=0)
    assert (mean - truth).abs().max() <= TIGHT
    assert truth.norm() > 0.01


def test_the_group_mean_with_oneself_shrinks_and_the_deviation_turns():
    world = world_of()
    mean_only = listed(world, ARM["Dr. GRPO"], group=2)
    assert mean_only.length == pytest.approx(0.5, abs=TIGHT)
    assert mean_only.cosine == pytest.approx(1.0, abs=TIGHT)
    assert mean_only.bias == pytest.approx(0.5 * true_gradient([exact(world, PROMPT)]).norm().item(), abs=TIGHT)
    assert mean_only.mse == pytest.approx(mean_only.bias**2 + mean_only.variance, abs=TIGHT)
    scaled = listed(world, ARM["GRPO"], group=2, reducer="seq-mean-token-sum")
    assert scaled.is_biased
    assert scaled.cosine < 0.999


def test_a_wrong_critic_biases_below_lambda_1_and_the_bias_falls_with_lambda():
    world = world_of()
    rows = [listed(world, arm, group=1) for arm in gae_arms((0.0, 0.5, 0.9, 1.0))]
    biases = [row.bias for row in rows]
    assert biases == sorted(biases, reverse=True)
    assert [row.is_biased for row in rows] == [True, True, True, False]


def test_the_exact_critic_has_the_least_variance_and_no_bias():
    world = world_of()
    rows = {name: listed(world, ARM[name], group=1) for name in ("REINFORCE", "REINFORCE + baseline")}
    best = listed(world, Arm("exact, lambda 0", "a2c", true, {"lam": 0.0}), group=1)
    assert not best.is_biased
    assert best.variance < rows["REINFORCE + baseline"].variance
    assert best.mse == pytest.approx(best.variance, abs=TIGHT)
    lifted = dataclasses.replace(world.objective, reward=Lifted(world.reward))
    high = world.replace(reward=lifted.reward, objective=lifted)
    lifted_rows = {name: listed(high, ARM[name], group=1) for name in rows}
    assert lifted_rows["REINFORCE"].variance > 5 * rows["REINFORCE"].variance
    plain, moved = rows["REINFORCE + baseline"].variance, lifted_rows["REINFORCE + baseline"].variance
    assert moved == pytest.approx(plain, rel=1e-9)


class Lifted:
    """The same reward with 5 added to every whole text."""

    def __init__(self, reward):
        self.reward, self.name = reward, "lifted"

    def score(self, sequences, *, timing="end"):
        scores = self.reward.score(sequences, timing=timing)
        last = scores.per_token != 0
        return dataclasses.replace(scores, total=scores.total + 5, per_token=scores.per_token + 5.0 * last)

    def prefix_scores(self, sequences):
        return self.reward.prefix_scores(sequences) + 5.0 * sequences.response_mask


def test_the_variance_of_drawn_gradients_divides_by_one_less_than_their_number():
    values = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    row = judge("two", Gradients(torch.full((2,), 0.5, dtype=torch.float64), values, sampled=True), values[1])
    assert (row.variance, row.chance, row.bias, row.mse) == (2.0, 1.0, 1.0, 2.0)


def test_sampled_rows_agree_with_listed_ones():
    world = world_of()
    tree = exact(world, PROMPT)
    truth = true_gradient([tree])
    for name in ("REINFORCE", "A2C, exact critic", "RLOO"):
        known = listed(world, ARM[name], group=2)
        drawn = judge(name, sampled(world, [tree], ARM[name], rows=2, group=2, draws=400, seed=1), truth)
        assert not drawn.is_biased
        assert drawn.variance == pytest.approx(known.variance, rel=0.3)
        assert drawn.chance == pytest.approx((known.variance / 400) ** 0.5, rel=0.2)


def test_all_arms_are_compared_on_the_same_responses(tabular):
    world = tabular.replace(reward=tabular.gold)
    told = []
    rows = compare(
        world, prompts=world.prompts[:1], rows=8, group=4, draws=12, job=Job(report=lambda *one: told.append(one))
    )
    assert [row.name for row in rows] == [arm.name for arm in ARMS]
    assert told[-1][:2] == (len(ARMS), len(ARMS))
    again = compare(world, [ARM["RLOO"]], prompts=world.prompts[:1], rows=8, group=4, draws=12)
    assert again[0] == rows[5]


def test_kl_estimators_as_value_as_reward_and_as_loss():
    world = tree_world(words=3, horizon=1, seed=6)  # one token: a 4-way softmax
    rows = {(row.estimator, row.place): row for row in kl_rows(world, PROMPT)}
    exact_kl = exact(world, PROMPT).kl(world.reference)
    for name in ("k1", "k3"):
        assert rows[name, "loss"].mean == pytest.approx(exact_kl, abs=1e-12)
    assert abs(rows["k2", "loss"].mean - exact_kl) > 1e-3
    assert rows["k1", "loss"].exact == pytest.approx(exact_kl, abs=1e-12)
    assert rows["k1", "reward"].gradient.bias <= TIGHT  # k1 belongs into the reward
    assert rows["k1", "loss"].gradient.length <= 1e-9  # and does nothing in the loss
    assert rows["k2", "loss"].gradient.bias <= TIGHT  # k2 belongs into the loss
    assert rows["k3", "loss"].gradient.is_biased  # follows the KL of the other direction
    assert rows["k3", "reward"].gradient.is_biased


def test_kl_of_whole_responses_is_followed_by_k1_in_the_reward_alone():
    rows = {(row.estimator, row.place): row for row in kl_rows(tree_world(words=2, horizon=3, seed=6), PROMPT)}
    world = tree_world(words=2, horizon=3, seed=6)
    assert rows["k1", "reward"].exact == pytest.approx(exact(world, PROMPT).kl(world.reference), abs=1e-12)
    unbiased = [key for key, row in rows.items() if not row.gradient.is_biased]
    assert unbiased == [("k1", "reward")]


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda world, tree: enumerated(world, tree, ARM["RLOO"], group=5), "list at most 20,000"),
        (lambda world, tree: sampled(world, [tree], ARM["RLOO"], rows=6, group=4, draws=3), "a multiple of the group"),
        (lambda world, tree: sampled(world, [tree], ARM["RLOO"], rows=8, group=4, draws=1), "at least two"),
    ],
)
def test_bad_input_gets_a_sentence(act, sentence):
    world = world_of()
    with pytest.raises(LabError, match=sentence):
        act(world, exact(world, PROMPT))


def test_stop_is_heard():
    world, stop = world_of(), threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        sampled(world, [exact(world, PROMPT)], ARM["RLOO"], rows=4, group=4, draws=50, job=Job(stop))
    with pytest.raises(Stopped):
        enumerated(world, exact(world, PROMPT), ARM["RLOO"], group=2, job=Job(stop))


def test_every_arm_takes_the_objective_of_its_world():
    world = world_of(kl_coef=0.3, timing="token", temperature=1.2, gamma=0.9)
    for arm in (*ARMS, *gae_arms(), Arm("expected", "a2c", expected), Arm("none", "reinforce", no_critic)):
        config = arm.config(world, rows=8, group=4)
        assert config.gamma == (0.9 if "gamma" in get_algorithm(arm.algorithm).fields else 1.0)
        timing = "end" if get_algorithm(arm.algorithm).per_response else "token"  # a sum is the same under every timing
        assert (config.kl_coef, config.timing, config.temperature, config.whiten) == (0.3, timing, 1.2, False)
    assert len(trees_of(world)) == 1
