"""Sampled values agree with exact ones within their errors, and can be compared, stopped and watched."""

import dataclasses
import math

import pytest
import torch

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.policy.generation import Decoder, sample_tokens, sequences_from_ids
from rllab.truth import exact, monte_carlo
from rllab.truth.sampling import sample_mean
from rllab.worlds.environment import TokenEnv
from tests.small import gpt2_policy, small_world
from tests.truth.trees import PROMPT, tree_world

BOUND = 4.9  # standard errors; over 1,550 states chance exceeds it about once in 700 such tests


def exact_errors(tree, samples):
    """Return the exact standard error of the mean of `samples` returns from each state, in the order of prefixes."""
    squares, errors = [], []  # E[G^2] of each state, from the leaves up
    gamma = tree.objective.gamma
    for depth in reversed(range(len(tree.levels))):
        level, paid = tree.levels[depth], tree.paid[depth]
        child = level.child.clamp(min=0)
        later = [
            torch.where(level.child >= 0, one[child], 0.0) if one is not None else torch.zeros_like(paid)
            for one in ((squares[-1], tree.v[depth + 1]) if squares else (None, None))
        ]
        second = paid.square() + 2 * gamma * paid * later[1] + gamma**2 * later[0]
        squares.append((level.logprobs.exp() * second).sum(dim=1))
        errors.append(((squares[-1] - tree.v[depth].square()).clamp(min=0) / samples).sqrt())
    return torch.cat(errors[::-1]).tolist()


def prefixes_of(tree):
    return [tuple(row) for level in tree.levels for row in level.prefixes.tolist()]


def test_sampled_values_lie_within_exact_errors_of_exact_values_at_every_state_of_50_trees():
    worst, scaled = 0.0, []
    for seed in range(50):
        world = tree_world(words=2, horizon=5, seed=10 * seed, reference=False)
        tree = exact(world, PROMPT)
        prefixes = prefixes_of(tree)
        assert len(prefixes) == 31
        found = monte_carlo(world, PROMPT, prefixes, samples=1000, seed=seed)
        for one, prefix, error in zip(found, prefixes, exact_errors(tree, 1000), strict=True):
            assert (one.kind, one.samples, len(one.returns)) == ("monte-carlo", 1000, 1000)
            worst = max(worst, abs(one.mean - tree.V(prefix)) / error)
            scaled.append(one.standard_error / error)
    assert worst <= BOUND
    assert sum(scaled) / len(scaled) == pytest.approx(1.0, abs=0.01)  # the stated errors are right on average


@pytest.mark.parametrize(
    "objective",
    [
        {"kl_coef": 0.5},
        {"timing": "token", "gamma": 0.8, "kl_coef": 0.3, "temperature": 1.5},
        {"timing": "token", "prefix_pay": "level", "missing_eos_penalty": 0.7},
    ],
)
def test_the_whole_objective_is_sampled(objective):
    world = tree_world(words=2, horizon=4, seed=3, **objective)
    tree = exact(world, PROMPT)
    prefixes = prefixes_of(tree)
    found = monte_carlo(world, PROMPT, prefixes, samples=1000, seed=1)
    for one, prefix, error in zip(found, prefixes, exact_errors(tree, 1000), strict=True):
        assert abs(one.mean - tree.V(prefix)) <= BOUND * error + 1e-12


def test_the_transformer_of_micro_agrees_with_its_tree(micro):
    objective = dataclasses.replace(micro.objective, reward=micro.gold)
    tree = exact(micro, micro.prompts[1], objective=objective)
    prefixes = [(), (3,), (1, 4), (2, 2, 2), (6, 7, 3, 3)]
    found = monte_carlo(micro, micro.prompts[1], prefixes, samples=400, seed=0, objective=objective)
    for one, prefix in zip(found, prefixes, strict=True):
        assert abs(one.mean - tree.V(prefix)) <= BOUND * max(one.standard_error, 1e-3)


@pytest.mark.parametrize("objective", [{}, {"timing": "token", "gamma": 0.8, "kl_coef": 0.3, "temperature": 1.5}])
def test_a_continuation_that_is_taken_from_another_prefix_is_the_one_that_would_have_been_written(objective):
    world = tree_world(words=3, horizon=5, seed=8, **objective)
    line = (0, 1, 2, 1, 0)
    prefixes = [line[:t] for t in range(6)] + [(0, 2), (), (0, 1)]  # a line, a branch of it, and two asked for twice
    together = monte_carlo(world, PROMPT, prefixes, samples=200, seed=3)
    for prefix, one in zip(prefixes, together, strict=True):
        (alone,) = monte_carlo(world, PROMPT, [prefix], samples=200, seed=3)
        assert one.returns == pytest.approx(alone.returns, abs=1e-12)


def test_a_line_sampled_at_once_has_the_statistics_of_independent_samples(micro):
    prompt, line, n = micro.prompts[0], (1, 3, 5, 4), 1500
    objective = dataclasses.replace(micro.objective, kl_coef=0.0)
    together = monte_carlo(micro, prompt, [line[:t] for t in range(5)], samples=n, seed=5, objective=objective)
    for t, one in enumerate(together):
        rows = independent(micro, prompt, line[:t], n=n, seed=100 + t)
        returns = objective.score(rows).total.double()
        apart = math.hypot(one.standard_error, returns.std().item() / n**0.5)
        assert abs(one.mean - returns.mean().item()) <= BOUND * apart
        assert torch.tensor(one.returns).std().item() == pytest.approx(returns.std().item(), rel=0.15)
        assert one.standard_error == pytest.approx(torch.tensor(one.returns).std().item() / n**0.5)


def independent(world, prompt, prefix, *, n, seed):
    """Write a prefix on n times with the plain decoder, nothing shared but the prefix itself."""
    policy, generator = world.policy, torch.Generator().manual_seed(seed)
    decoder = Decoder(policy, [[*policy.encode(prompt), *prefix]] * n)
    columns = list(
        sample_tokens(decoder, max_new_tokens=world.max_new_tokens - len(prefix), temperature=1.0, generator=generator)
    )
    tokens, active = (
        torch.stack([getattr(column, name) for column in columns], dim=1) for name in ("tokens", "active")
    )
    ids = [[*prefix, *row[mask].tolist()] for row, mask in zip(tokens, active, strict=True)]
    return sequences_from_ids(policy, [prompt] * n, ids)


def test_without_some_first_tokens_the_others_are_valued_together():
    world = tree_world(words=4, horizon=4, seed=2, kl_coef=0.3)
    tree, barred = exact(world, PROMPT), (0, 2, 4)
    probs, q = tree.pi((1,)), tree.Q((1,))
    rest = [token for token in range(5) if token not in barred]
    (one,) = monte_carlo(world, PROMPT, [(1,)], samples=4000, seed=0, barred=barred)
    expected = (probs[rest] * q[rest]).sum() / probs[rest].sum()
    assert abs(one.mean - expected.item()) <= BOUND * one.standard_error
    assert abs(one.mean - tree.V((1,))) > BOUND * one.standard_error  # it is another number


def test_the_memory_budget_changes_the_pieces_and_nothing_else(micro, monkeypatch):
    prefixes = [(), (3,), (1, 4), (5, 5, 5), (0,)]
    whole = monte_carlo(micro, micro.prompts[0], prefixes, samples=24, seed=4)
    monkeypatch.setattr("rllab.truth.sampling.BUDGET", 2**19)  # 30 rows or so: every prefix by itself
    pieces = monte_carlo(micro, micro.prompts[0], prefixes, samples=24, seed=4)
    for one, other in zip(whole, pieces, strict=True):
        assert one.returns == pytest.approx(other.returns, abs=1e-9)


def test_what_fills_the_context_first_is_dropped_before_the_others_are_written_on():
    world = small_world(gpt2_policy(n_positions=6), max_new_tokens=50)  # a prompt of two tokens leaves room for four
    prefixes = [(), *((word,) for word in range(7)), (1, 1, 1)]
    tree = exact(world, world.prompts[0])
    assert len(tree.levels) == TokenEnv(world).horizon == 4
    for one, prefix in zip(monte_carlo(world, world.prompts[0], prefixes, samples=200, seed=0), prefixes, strict=True):
        assert abs(one.mean - tree.V(prefix)) <= BOUND * one.standard_error + 1e-9


def test_samples_that_do_not_fit_together_are_no_copies_of_each_other(monkeypatch):
    world = tree_world(words=3, horizon=4, seed=5)
    monkeypatch.setattr("rllab.truth.sampling.rows_at_once", lambda *_, **__: 8)
    root, word = monte_carlo(world, PROMPT, [(), (0,)], samples=24, seed=0)
    for returns in (root.returns, word.returns):
        assert len({returns[:8], returns[8:16], returns[16:]}) == 3


def test_a_state_whose_token_is_sure_takes_all_that_follows_from_the_next(monkeypatch):
    world = tree_world(words=2, horizon=4, seed=3, kl_coef=0.0)
    monkeypatch.setattr("rllab.truth.sampling.rows_at_once", lambda *_, **__: 8)  # every prefix by itself
    before, after = monte_carlo(world, PROMPT, [(), (1,)], samples=8, seed=0, barred=(0, 2))
    assert before.returns == pytest.approx(after.returns)
    assert len(set(after.returns)) > 1


def test_the_same_seed_draws_the_same_and_another_does_not(tabular):
    draws = [monte_carlo(tabular, tabular.prompts[0], [()], samples=50, seed=seed)[0].returns for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_common_numbers_make_a_difference_surer():
    world = tree_world(words=4, horizon=5, seed=1, reference=False)
    smooth = dataclasses.replace(world.objective, reward=Count(), timing="end")
    tree = exact(world, PROMPT, objective=smooth)
    one, other = monte_carlo(world, PROMPT, [(0,), (1,)], samples=2000, seed=0, objective=smooth)
    apart = math.hypot(one.standard_error, other.standard_error)
    together = (torch.tensor(one.returns) - torch.tensor(other.returns)).std().item() / 2000**0.5
    assert together < 0.8 * apart
    gap = one.mean - other.mean
    assert abs(gap - (tree.V((0,)) - tree.V((1,)))) <= BOUND * together


class Count:
    """Pay one for each word 'a': what comes later is worth the same whatever came before."""

    name = "count"

    def score(self, sequences, *, timing="end"):
        from rllab.core.records import Scores
        from rllab.reward.reward import per_token_scores

        scores = self.prefix_scores(sequences)
        total = scores.gather(1, sequences.lengths[:, None] - 1)[:, 0]
        return Scores(total, {self.name: total}, per_token_scores(scores, sequences, timing=timing))

    def prefix_scores(self, sequences):
        wanted = (sequences.response_tokens == 0) & sequences.response_mask
        return torch.where(sequences.response_mask, wanted.double().cumsum(dim=1), 0.0)


def test_behind_the_end_and_the_limit_nothing_comes(tabular):
    found = monte_carlo(tabular, tabular.prompts[0], [(0,), (3, 3, 3, 3, 3)], samples=3, seed=0)
    assert [(one.mean, one.standard_error, one.returns) for one in found] == [(0.0, 0.0, (0.0,) * 3)] * 2


def test_the_error_of_a_mean_divides_by_one_less_than_the_samples():
    made = sample_mean(torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64), tree_world().objective)
    assert made.standard_error == pytest.approx(math.sqrt((4 + 1 + 9) / 2 / 3))
    assert (made.mean, made.samples, made.returns) == (3.0, 3, (1.0, 2.0, 6.0))


def test_a_single_sample_has_no_known_error(tabular):
    (one,) = monte_carlo(tabular, tabular.prompts[0], [()], samples=1, seed=0)
    assert math.isnan(one.standard_error)


@pytest.mark.parametrize(
    ("prefixes", "samples", "sentence"),
    [
        ([()], 0, "samples is 0: draw at least one"),
        ([()], -3, "samples is -3"),
        ([(99,)], 4, "token 1 has the id 99; this vocabulary has the ids 0 to 7"),
        ([(0, 3)], 4, "the response is over after token 1"),
        ([(3,) * 6], 4, "at most 5 tokens"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_a_sentence(prefixes, samples, sentence, tabular):
    with pytest.raises(LabError, match=sentence):
        monte_carlo(tabular, tabular.prompts[0], prefixes, samples=samples, seed=0)


def test_progress_is_told_up_to_the_end(tabular, monkeypatch):
    monkeypatch.setattr("rllab.truth.sampling.BUDGET", 2**16)
    told = []
    prefixes = [(), (3,), (0,)]
    monte_carlo(
        tabular, tabular.prompts[0], prefixes, samples=600, seed=0, job=Job(report=lambda *one: told.append(one))
    )
    assert len(told) > 3
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (1200, 1200, "continuations")
