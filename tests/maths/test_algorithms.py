"""The algorithms: advantages by hand, settings that each do something, and settings that are refused."""

import dataclasses

import pytest
import torch

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import Rollout
from rllab.maths.algorithms import ALGORITHMS, get_algorithm
from rllab.policy.generation import sequences_from_ids
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from tests.fakes import FixedCritic, fake_policy
from tests.small import gpt2_policy, reference_apart, run_state, same_weights, small_world

NAMES = [field.name for field in dataclasses.fields(Config)]
VALUES = torch.tensor([0.5, -1.0, 2.0, 4.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    """Give three rows of 3, 2 and 3 tokens: two that ended and one that was cut; rows 0 and 2 are a group."""
    policy = fake_policy("a", "b")
    rows = sequences_from_ids(policy, ["a", "b", "a"], [[0, 1, 2], [0, 2], [0, 0, 1]])
    return evaluate(policy, rows, critic=FixedCritic(VALUES))


def rewards_of(rollout):
    rewards = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0], [0.0, 0.0, 7.0]], dtype=torch.float64)
    return torch.where(rollout.response_mask, rewards, 0.0)


def advantages(name, rollout, **changes):
    return get_algorithm(name).advantages(rollout, rewards_of(rollout), Config(**changes))


def test_reinforce_takes_the_reward_to_come(rollout):
    found, returns = advantages("reinforce", rollout, gamma=0.5)
    assert found.tolist() == [[1 + 1 + 0.75, 2 + 1.5, 3], [0.5 - 0.5, -1, 0], [1.75, 3.5, 7]]
    assert torch.equal(found, returns)


@pytest.mark.parametrize("name", ["a2c", "ppo"])
def test_a_critic_is_what_was_to_be_expected(name, rollout):
    found, returns = advantages(name, rollout, lam=1.0, gamma=1.0)
    assert found.tolist() == [[5.5, 6, 1], [-1, 0, 0], [6.5, 8, 5]]
    assert returns.tolist() == [[6, 5, 3], [-0.5, -1, 0], [7, 7, 7]]


@pytest.mark.parametrize("name", ["a2c", "ppo"])
def test_a_cut_row_goes_on_by_the_discounted_value_under_bootstrap_alone(name, rollout):
    assert rollout.bootstrap.tolist() == [0.0, 0.0, 4.0]
    cut = {
        truncation: advantages(name, rollout, lam=1.0, gamma=0.5, truncation=truncation)[0]
        for truncation in ("terminate", "bootstrap", "mask")
    }
    difference = cut["bootstrap"] - cut["terminate"]
    assert difference.tolist() == [[0, 0, 0], [0, 0, 0], [0.5**3 * 4, 0.5**2 * 4, 0.5 * 4]]
    assert torch.equal(cut["mask"], cut["terminate"])


def test_rloo_and_grpo_compare_with_the_other_answers_to_the_prompt(rollout):
    found, returns = advantages("rloo", rollout)
    assert found.tolist() == [[-1, -1, -1], [-0.5, -0.5, 0], [1, 1, 1]]  # totals 6, -0.5, 7; row 1 is alone
    assert returns.tolist() == [[6, 6, 6], [-0.5, -0.5, 0], [7, 7, 7]]
    assert advantages("grpo", rollout, scale_by_std=False)[0].tolist() == [[-0.5] * 3, [0.0] * 3, [0.5] * 3]
    assert advantages("grpo", rollout)[0].tolist() == [[-1.0] * 3, [0.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_rows_in_another_order_have_the_same_advantages(name, rollout):
    order = torch.tensor([2, 0, 1])
    fields = {field.name: getattr(rollout, field.name) for field in dataclasses.fields(rollout)}
    moved = {key: value[order] for key, value in fields.items() if isinstance(value, torch.Tensor)}
    moved |= {key: tuple(fields[key][row] for row in order) for key in ("prompts", "responses")}
    shuffled = Rollout(**(fields | moved))
    found = get_algorithm(name).advantages(shuffled, rewards_of(rollout)[order], Config())
    expected = advantages(name, rollout)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other[order], atol=1e-12)


# Every setting that an algorithm lists does something

LIVELY = {  # settings under which all others can be seen at work
    "batch_size": 6,
    "samples_per_prompt": 2,
    "micro_batch_size": 6,
    "epochs": 3,
    "lr": 0.05,
    "kl_coef": 0.3,
    "max_new_tokens": 4,
    "critic_lr": 0.05,
    "value_clip_eps": None,
}
PREFIX, LEVEL = {"timing": "token"}, {"prefix_pay": "level"}
OTHER = {  # setting -> what it becomes, and what has to be set besides for it to matter
    "timing": ({"timing": "token"}, LEVEL),  # increments have one sum, so a group's totals see no timing
    "prefix_pay": ({"prefix_pay": "level"}, PREFIX),
    "kl_in": ({"kl_in": "loss"}, {"kl_in": "reward"}),
    "kl_estimator": ({"kl_estimator": "k2"}, {"kl_estimator": "k1"}),
    "kl_coef": ({"kl_coef": 3.0}, {}),
    "kl_target": ({"kl_target": 0.1}, {"kl_horizon": 6}),
    "kl_horizon": ({"kl_horizon": 12}, {"kl_horizon": 6, "kl_target": 0.1}),
    "clip_mode": ({"clip_mode": "one-sided"}, {}),
    "clip_eps": ({"clip_eps": 0.01}, {}),
    "clip_eps_high": ({"clip_eps_high": 0.01}, {}),
    "value_clip_eps": ({"value_clip_eps": 0.001}, {}),
    "vf_coef": ({"vf_coef": 0.0}, {}),
    "ent_coef": ({"ent_coef": 0.3}, {}),
    "gamma": ({"gamma": 0.5}, {}),
    "lam": ({"lam": 0.1}, {}),
    "whiten": ({"whiten": True}, {"whiten": False}),
    "reducer": ({"reducer": "constant"}, {"reducer": "token-mean"}),
    "scale_by_std": ({"scale_by_std": False}, {}),
    "truncation": ({"truncation": "mask"}, {}),
    "missing_eos_penalty": ({"missing_eos_penalty": 2.0}, {}),
    "temperature": ({"temperature": 1.5}, {}),
    "samples_per_prompt": ({"samples_per_prompt": 3}, {}),
    "batch_size": ({"batch_size": 8}, {}),
    "micro_batch_size": ({"micro_batch_size": 2}, {}),
    "epochs": ({"epochs": 2}, {}),
    "lr": ({"lr": 0.01}, {}),
    "critic_lr": ({"critic_lr": 0.01}, {}),
    "adam_eps": ({"adam_eps": 0.1}, {}),
    "max_grad_norm": ({"max_grad_norm": 0.01}, {}),
    "trainable": ({"trainable": "biases"}, {}),
    "max_new_tokens": ({"max_new_tokens": 3}, {}),
}


@pytest.fixture(scope="module")
def world():
    made = small_world(gpt2_policy(n_layer=1, n_embd=8, initializer_range=0.2), defaults={"all": {}})
    return reference_apart(made, n_layer=1, n_embd=8)


@pytest.fixture(scope="module")
def outcomes(world):
    """Remember what runs came to, as most settings are compared with the same run."""
    return {}


def outcome(world, name, settings, outcomes):
    """Run two updates, and return all weights and how many slices the loss was computed in."""
    own = {key: value for key, value in (LIVELY | settings).items() if key in ALGORITHMS[name].fields}
    if ALGORITHMS[name].per_response and "prefix_pay" not in own:
        own.pop("timing", None)  # it has no effect there, and is refused
    key = name, tuple(sorted(own.items(), key=str))
    if key not in outcomes:
        trainer = Trainer(world, name, world.config(name, **own))
        slices = sum(phase.name == "loss" for phase in trainer.phases())
        trainer.update()
        outcomes[key] = run_state(trainer), slices
    return outcomes[key]


def test_the_table_of_other_values_is_complete():
    assert set(OTHER) == set(NAMES) == set().union(*(one.fields for one in ALGORITHMS.values()))


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name in ALGORITHMS for setting in sorted(ALGORITHMS[name].fields)]
)
def test_every_setting_that_an_algorithm_lists_changes_what_an_update_does(name, setting, world, outcomes):
    changes, besides = OTHER[setting]
    before, slices = outcome(world, name, besides, outcomes)
    after, more_slices = outcome(world, name, besides | changes, outcomes)
    if setting == "micro_batch_size":  # the one that must not: it only cuts the work
        assert more_slices == 3 * slices
        assert all(torch.allclose(before[key], after[key], atol=1e-10) for key in before)
    else:
        assert not same_weights(before, after)


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, setting) for name in ALGORITHMS for setting in NAMES if setting not in ALGORITHMS[name].fields],
)
def test_every_other_setting_is_refused_in_a_sentence(name, setting, world):
    usual = world.config(name)
    value = next(one for one in OTHER[setting][0].values())
    value = value if value != getattr(usual, setting) else next(iter(OTHER[setting][1].values()))
    with pytest.raises(LabError, match=f"^{setting} is .*{ALGORITHMS[name].title} does not read it"):
        world.config(name, **{setting: value})
    with pytest.raises(LabError, match=r"does not read it"):
        Trainer(world, name, usual.replace(**{setting: value}))


@pytest.mark.parametrize("name", ["rloo", "grpo"])
def test_when_increments_are_paid_is_nothing_that_a_sum_can_see(name, world):
    with pytest.raises(LabError, match=r"^timing is 'token'.*same under every timing; leave it at end, or .*level"):
        world.config(name, timing="token")
    with pytest.raises(LabError, match=r"^timing is 'sentence'"):
        Trainer(world, name).configure(timing="sentence")
    assert world.config(name, timing="token", prefix_pay="level").timing == "token"
    assert not any(ALGORITHMS[other].per_response for other in ("reinforce", "a2c", "ppo"))


@pytest.mark.parametrize("name", [name for name, one in ALGORITHMS.items() if not one.uses_critic])
def test_without_a_critic_there_is_nothing_to_bootstrap_from(name, world):
    with pytest.raises(LabError, match=r"truncation is 'bootstrap'.*no critic"):
        world.config(name, truncation="bootstrap")


def test_an_unknown_algorithm_is_met_with_the_nearest(world):
    with pytest.raises(LabError, match=r"algorithm is 'pppo'.*ppo"):
        Trainer(world, "pppo")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_a_world_sets_for_an_algorithm_is_what_that_algorithm_reads(name, world, micro):
    for one in (world, micro):
        config, plain = one.config(name), Config()
        changed = {setting for setting in NAMES if getattr(config, setting) != getattr(plain, setting)}
        assert changed <= ALGORITHMS[name].fields | set(ALGORITHMS[name].defaults)


def test_reinforce_on_the_table_sees_no_level_of_the_reward(tabular):
    """It has no baseline but what whitening subtracts, so there whitening is on by default."""

    def weights(whiten, lift):
        def lifted(context, rows):
            scores = STAGES.score(context, rows)
            last = rows.response_mask & (rows.response_mask.cumsum(dim=1) == rows.lengths[:, None])
            return dataclasses.replace(scores, per_token=scores.per_token + lift * last)

        config = tabular.config("reinforce", **({} if whiten else {"whiten": False}))
        trainer = Trainer(tabular, "reinforce", config, stages=Stages(score=lifted))
        loop = trainer.phases()
        found = next(phase.record.policy_weights for phase in loop if phase.name == "targets")
        loop.close()
        return found

    assert torch.allclose(weights(True, 5.0), weights(True, 0.0), atol=1e-9)
    assert not torch.allclose(weights(False, 5.0), weights(False, 0.0), atol=1.0)
