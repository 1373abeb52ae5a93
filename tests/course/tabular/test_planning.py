"""Looking ahead in a world whose model is known, and old data for a new policy: exact on a small tree."""

import dataclasses

import pytest
import torch

from rllab import World, load_world
from rllab.core.errors import LabError
from rllab.course.tabular.planning import (
    critic_values,
    importance_weights,
    look_ahead,
    mixed_targets,
    planned_values,
    sampled_mean,
)
from rllab.truth import Tree, exact

PROMPT, HORIZON = "cat is", 3


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro")


@pytest.fixture(scope="module")
def tree(world: World) -> Tree:
    objective = dataclasses.replace(world.objective, kl_coef=0.0, timing="token")
    return exact(world, PROMPT, objective=objective, horizon=HORIZON)


@pytest.fixture(scope="module")
def old(world: World, tree: Tree) -> Tree:
    """Return the tree of another policy: the same one, trained a little in another direction."""
    other = world.policy.copy()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator))
    return exact(world, PROMPT, objective=tree.objective, policy=other, horizon=HORIZON)


def test_looking_to_the_end_finds_the_best_response(tree: Tree) -> None:
    plan = look_ahead(tree, tree.v, depth=HORIZON)
    assert plan.paid == pytest.approx(float(tree.scores.total.max()), abs=1e-12)
    assert plan.states_read > look_ahead(tree, tree.v, depth=1).states_read


def test_one_token_ahead_with_the_true_value_is_greedy_in_q(tree: Tree) -> None:
    q = planned_values(tree, tree.v, depth=1)
    for planned, true in zip(q, tree.q, strict=True):
        assert torch.allclose(planned, true, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_looking_ahead_with_the_true_value_is_never_worse_than_sampling(tree: Tree, depth: int) -> None:
    assert look_ahead(tree, tree.v, depth=depth).paid >= sampled_mean(tree)


def test_looking_further_helps_a_wrong_critic(tree: Tree) -> None:
    flat = [torch.zeros_like(values) for values in tree.v]
    paid = [look_ahead(tree, flat, depth=depth).paid for depth in (1, 2, 3)]
    assert paid[2] == pytest.approx(float(tree.scores.total.max()), abs=1e-12)
    assert paid[2] >= max(paid) - 1e-12


def test_the_learned_critic_is_read_at_every_state(world: World, tree: Tree) -> None:
    values = critic_values(tree, world.critic)
    assert [len(level) for level in values] == [len(level.actions) for level in tree.levels]
    direct = world.critic.state_values(tree.leaves).detach()
    assert float(values[0][0]) == pytest.approx(float(direct[0, 0]))
    assert look_ahead(tree, values, depth=2).paid > sampled_mean(tree)


def test_bad_depths_are_refused(tree: Tree, old: Tree) -> None:
    with pytest.raises(LabError, match="depth"):
        look_ahead(tree, tree.v, depth=0)
    with pytest.raises(LabError, match="depth"):
        mixed_targets(tree, old, tree.v, depth=HORIZON, shares=(0.5,))


def test_importance_weights_average_one_and_carry_the_value_over(tree: Tree, old: Tree) -> None:
    weights, law = importance_weights(tree, old), old.leaf_logprobs.exp()
    assert float(law @ weights) == pytest.approx(1.0, abs=1e-10)
    assert float(law @ (weights * old.leaf_returns)) == pytest.approx(tree.J, abs=1e-10)


def test_every_mix_is_what_sampling_gives(tree: Tree, old: Tree) -> None:
    wrong = [values + 0.3 for values in tree.v]
    share, depth, count = 0.4, 2, 40_000
    (mix,) = mixed_targets(tree, old, wrong, depth=depth, shares=(share,))
    generator = torch.Generator().manual_seed(1)
    played = torch.multinomial(old.leaf_logprobs.exp(), count, replacement=True, generator=generator)
    simulated = torch.multinomial(tree.leaf_logprobs.exp(), count, replacement=True, generator=generator)
    rewards = tree.scores.per_token.double()
    goes_on = tree.leaves.response_mask[:, depth]
    ahead = rewards[:, :depth].sum(dim=1) + goes_on * values_after(tree, wrong, depth)
    targets = share * old.leaf_returns[played] + (1 - share) * ahead[simulated]
    error = float(targets.std()) / count**0.5
    assert float(targets.mean()) - tree.J == pytest.approx(mix.bias, abs=4 * error)
    assert float(targets.var()) == pytest.approx(mix.variance, rel=0.05)


def values_after(tree: Tree, values: list[torch.Tensor], depth: int) -> torch.Tensor:
    """Return the value of the state that each response passes after `depth` tokens, (L,); 0 where it is over before."""
    rows = {tuple(prefix): row for row, prefix in enumerate(tree.levels[depth].prefixes.tolist())}
    prefixes = tree.leaves.response_tokens[:, :depth].tolist()
    going = tree.leaves.response_mask[:, depth].tolist()
    return torch.stack(
        [
            values[depth][rows[tuple(prefix)]] if more else torch.zeros((), dtype=torch.float64)
            for prefix, more in zip(prefixes, going, strict=True)
        ]
    )


def test_played_data_are_biased_and_simulated_ones_inherit_the_critic(tree: Tree, old: Tree) -> None:
    wrong = [values + 0.3 for values in tree.v]
    played, simulated = (mixed_targets(tree, old, wrong, depth=1, shares=(share,))[0] for share in (1.0, 0.0))
    assert played.bias == pytest.approx(old.J - tree.J)
    assert 0 < simulated.bias <= 0.3
    assert simulated.variance < played.variance
    honest = mixed_targets(tree, old, tree.v, depth=1, shares=(0.0,))[0]
    assert honest.bias == pytest.approx(0, abs=1e-12)
    assert honest.error == pytest.approx(honest.variance)
