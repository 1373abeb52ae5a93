"""The exact tree agrees with its definitions, with autograd and with itself."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rllab.core.errors import LabError
from rllab.maths.divergence import selected_logprobs
from rllab.policy.generation import generate, sequences_from_ids
from rllab.reward.reward import TokenReward
from rllab.truth import ExactCritic, exact
from rllab.truth.levels import open_prefixes
from rllab.value.evaluation import evaluate
from tests.truth.trees import PROMPT, ByHand, RandomWorth, responses, tree_world

TIGHT = 1e-10
OBJECTIVES = [
    {},
    {"kl_coef": 0.4},
    {"gamma": 0.7, "timing": "token", "kl_coef": 0.2},
    {"timing": "token", "prefix_pay": "level", "temperature": 1.6, "kl_coef": 0.3, "missing_eos_penalty": 0.5},
]


def prefixes_of(tree):
    return [tuple(row) for level in tree.levels for row in level.prefixes.tolist()]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_number_is_what_its_definition_says(objective):
    world = tree_world(seed=3, **objective)
    tree, hand = exact(world, PROMPT), ByHand(world)
    assert len(prefixes_of(tree)) == tree.states == 1 + 2 + 4
    for prefix in prefixes_of(tree):
        assert tree.V(prefix) == pytest.approx(hand.value(prefix), abs=1e-12)
        assert tree.pi(prefix).tolist() == pytest.approx(hand.probs(world.policy, prefix), abs=1e-14)
        for action in range(3):
            longer = (*prefix, action)
            response = next(one for one in hand.all if one[: len(longer)] == longer)
            behind = 0.0 if longer in hand.all else hand.value(longer)
            expected = hand.paid(response, len(prefix)) + world.objective.gamma * behind
            assert tree.Q(prefix)[action].item() == pytest.approx(expected, abs=1e-12)
        assert torch.equal(tree.A(prefix), tree.Q(prefix) - tree.V(prefix))
    assert tree.V(()) == tree.J


def test_leaves_are_all_responses_each_once_with_their_text():
    world = tree_world(words=3, horizon=4)
    tree = exact(world, PROMPT)
    listed = [tuple(tree.leaves.response_ids(row)) for row in range(len(tree.leaves))]
    assert sorted(listed) == sorted(responses(4, 4))
    assert tree.leaves.ended.tolist() == [one[-1] == 3 for one in listed]
    assert list(tree.leaves.responses) == [world.policy.decode(one) for one in listed]
    assert tree.leaf_logprobs.exp().sum().item() == pytest.approx(1.0, abs=1e-14)


def random_micro(tabular, seed):
    """Return the micro world with a random table, another one as its reference, and a random worth of every text."""
    generator = torch.Generator().manual_seed(seed)
    tables = []
    for _ in range(2):
        policy = tabular.policy.copy()
        with torch.no_grad():
            weight = policy.model.table.rows.weight
            weight.copy_(torch.randn(weight.shape, dtype=weight.dtype, generator=generator))
        policy.changed()
        tables.append(policy)
    return tabular.replace(policy=tables[0], reference=tables[1], reward=RandomWorth(8, 5, seed))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kl_coef=st.floats(0.05, 2.0), timing=st.sampled_from(["end", "token", "sentence"]))
def test_identities_hold_over_random_policies_and_rewards(tabular, seed, kl_coef, timing):
    world = random_micro(tabular, seed)
    tree = exact(
        world, world.prompts[0], objective=dataclasses.replace(world.objective, kl_coef=kl_coef, timing=timing)
    )
    probs, returns = tree.leaf_logprobs.exp(), tree.leaf_returns
    assert len(probs) == 19_608
    for level, q, v in zip(tree.levels, tree.q, tree.v, strict=True):
        assert (level.logprobs.exp() * (q - v[:, None])).sum(dim=1).abs().max() <= TIGHT
    assert bellman_residual(tree) <= TIGHT
    assert worst_against_the_leaves(tree) <= TIGHT
    assert abs((probs * returns).sum().item() - tree.J) <= TIGHT
    variance = (probs * (returns - tree.J).square()).sum()
    assert abs((variance - tree.variance_by_token().sum()).item()) <= TIGHT
    best = tree.optimum()
    assert abs(best.J - tree.J - kl_coef * tree.kl(best)) <= TIGHT
    partition = (tree.leaf_logprobs_of(world.reference) + tree.scores.total / kl_coef).logsumexp(0)
    assert abs(best.J - kl_coef * partition.item()) <= TIGHT


def bellman_residual(tree):
    """Return the largest |Q - (r - beta log pi/pi_ref + gamma V')| over all actions of all states."""
    worst = 0.0
    for depth, (level, q) in enumerate(zip(tree.levels, tree.q, strict=True)):
        price = tree.objective.kl_coef * (level.logprobs - tree.ref_logprobs[depth])
        behind = tree.v[depth + 1][level.child.clamp(min=0)] if depth + 1 < len(tree.v) else torch.zeros_like(q)
        target = tree.rewards[depth] - price + tree.objective.gamma * torch.where(level.child >= 0, behind, 0.0)
        worst = max(worst, (q - target).abs().max().item())
    return worst


def worst_against_the_leaves(tree):
    """Return the largest |V - mean of what is still to come| over all states, the means taken over the leaves."""
    tokens, lengths = tree.leaves.response_tokens, tree.leaves.lengths
    chance, per_token, gamma = tree.leaf_logprobs.exp(), tree.scores.per_token.double(), tree.objective.gamma
    own, ref = (
        logprobs_of_tokens(tree, levels) for levels in ([one.logprobs for one in tree.levels], tree.ref_logprobs)
    )
    paid = torch.where(tree.leaves.response_mask, per_token - tree.objective.kl_coef * (own - ref), 0.0)
    worst = 0.0
    for depth, level in enumerate(tree.levels):
        powers = gamma ** torch.arange(paid.shape[1] - depth, dtype=torch.float64)
        to_come = (paid[:, depth:] * powers).sum(dim=1)
        deeper = lengths > depth
        code = coded(tokens[deeper, :depth])
        wanted = coded(level.prefixes)
        place = torch.searchsorted(wanted.sort().values, code)
        sums, mass = torch.zeros(2, len(wanted), dtype=torch.float64)
        sums.index_add_(0, place, chance[deeper] * to_come[deeper])
        mass.index_add_(0, place, chance[deeper])
        worst = max(worst, (sums / mass - tree.v[depth][wanted.argsort()]).abs().max().item())
    return worst


def coded(prefixes):
    """Number prefixes (N, d) so that equal ones have equal numbers, (N,)."""
    code = torch.zeros(len(prefixes), dtype=torch.long)
    for column in prefixes.unbind(dim=1):
        code = code * 8 + column
    return code


def logprobs_of_tokens(tree, levels):
    """Return the log-prob of each token of each leaf (L, T), found by walking the leaf down the levels."""
    found = torch.zeros(tree.leaves.response_tokens.shape, dtype=torch.float64)
    row = torch.zeros(len(found), dtype=torch.long)
    for depth, level in enumerate(tree.levels):
        here = tree.leaves.lengths > depth
        token = tree.leaves.response_tokens[:, depth].clamp(min=0)
        found[here, depth] = levels[depth][row[here], token[here]]  # actions of a whole tree are in token order
        row = torch.where(here, level.child[row.clamp(min=0), token].clamp(min=0), 0)
    return found


def test_bellman_holds_between_a_state_and_the_states_behind_it(tabular):
    world = random_micro(tabular, 5)
    objective = dataclasses.replace(world.objective, kl_coef=0.3, gamma=0.9, timing="token")
    tree = exact(world, world.prompts[1], objective=objective)
    for prefix in [(), (3,), (4, 5), (1, 2, 6), (7, 7, 7, 7)]:
        for action in range(8):
            text = (*prefix, action)
            gap = tree.pi(prefix)[action].log() - exact_probs(world.reference, world.prompts[1], prefix)[action].log()
            behind = 0.0 if action == world.policy.eos_id or len(text) == 5 else tree.V(text)
            paid = paid_for_last(tree, text) - 0.3 * gap.item()
            assert tree.Q(prefix)[action].item() == pytest.approx(paid + 0.9 * behind, abs=TIGHT)


def exact_probs(policy, prompt, prefix):
    from rllab.policy.generation import Decoder

    return torch.softmax(Decoder(policy, [[*policy.encode(prompt), *prefix]]).logits[0], dim=0)


def paid_for_last(tree, text):
    """Return the reward at the last token of a text, from the tree's leaves."""
    rows = tree.leaves.response_tokens[:, : len(text)] == torch.tensor(text)
    row = int(rows.all(dim=1).nonzero()[0])
    return tree.scores.per_token[row, len(text) - 1].item()


@pytest.mark.parametrize("name", ["micro", "tabular"])
def test_the_gradient_is_that_of_expected_return_by_autograd(name, request):
    world = request.getfixturevalue(name)
    objective = dataclasses.replace(world.objective, reward=world.gold, gamma=1.0, temperature=1.2)
    tree = exact(world, world.prompts[0], objective=objective, horizon=3)
    parameters = list(world.policy.model.parameters())
    logits = world.policy.logits(tree.leaves, temperature=1.2)
    logprobs = (selected_logprobs(logits, tree.leaves.response_tokens) * tree.leaves.response_mask).sum(dim=1)
    expected = (logprobs.exp() * tree.leaf_returns).sum()
    total = torch.cat([one.flatten() for one in torch.autograd.grad(expected, parameters)])
    assert (tree.gradient() - total).abs().max() <= TIGHT
    assert total.abs().max() > 0.01
    assert all(parameter.grad is None for parameter in parameters)


def test_the_gradient_carries_the_kl_and_the_discount():
    world = tree_world(seed=8, kl_coef=0.3, gamma=0.8, timing="token")
    tree = exact(world, PROMPT)
    weight, step = world.policy.model.table.rows.weight, 1e-6
    gradient = tree.gradient().view_as(weight)
    for place in [(1, 0), (2, 1), (3, 2), (5, 0)]:
        moved = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * step
                moved.append(exact(world, PROMPT).J)
                weight[place] -= sign * step
        assert gradient[place].item() == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-8)


def test_the_transformer_in_pieces_says_what_the_full_pass_says(micro, monkeypatch):
    world = micro.replace(reward=micro.gold)
    whole = exact(world, micro.prompts[1], horizon=4)
    gradient = whole.gradient()
    monkeypatch.setattr("rllab.truth.levels.BUDGET", 2**20)  # 40 prefixes at a time
    open_rows = []
    handle = micro.policy.model.register_forward_pre_hook(
        lambda _, __, inputs: open_rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    pieces = exact(world, micro.prompts[1], horizon=4)
    handle.remove()
    assert 8 < max(open_rows) <= open_prefixes(micro.policy, width=len(micro.policy.encode(micro.prompts[1])) + 4) < 50
    sequences = generate(micro.policy, [micro.prompts[1]], max_new_tokens=4, samples_per_prompt=20, seed=1)
    rollout = evaluate(micro.policy, sequences)
    for tree in (whole, pieces):
        for row in range(len(sequences)):
            ids = sequences.response_ids(row)
            for t, token in enumerate(ids):
                logprob = tree.pi(tuple(ids[:t]))[token].log().item()
                assert logprob == pytest.approx(rollout.logprobs[row, t].item(), abs=1e-12)
    assert (gradient - pieces.gradient()).abs().max() <= 1e-12


def test_kl_is_that_of_whole_responses():
    world = tree_world(words=3, horizon=4, seed=5)
    tree = exact(world, PROMPT)
    log_ref = tree.leaf_logprobs_of(world.reference)
    expected = (tree.leaf_logprobs.exp() * (tree.leaf_logprobs - log_ref)).sum().item()
    assert tree.kl(world.reference) == pytest.approx(expected, abs=1e-13)
    assert tree.kl(world.policy) == pytest.approx(0.0, abs=1e-14)


def test_the_optimum_is_the_tilted_reference_and_has_no_gradient():
    world = tree_world(words=3, horizon=4, seed=5, kl_coef=0.5)
    tree = exact(world, PROMPT)
    best = tree.optimum()
    tilted = tree.leaf_logprobs_of(world.reference) + tree.scores.total / 0.5
    assert torch.allclose(best.leaf_logprobs, tilted - tilted.logsumexp(0), atol=1e-12)
    assert pytest.approx(0.5 * tilted.logsumexp(0).item(), abs=1e-12) == best.J
    assert best.reward - 0.5 * best.kl == pytest.approx(best.J, abs=1e-12)
    weight = world.policy.model.table.rows.weight
    with torch.no_grad():  # write pi* into the table
        for level, logprobs in zip(tree.levels, best.logprobs, strict=True):
            texts = torch.tensor([[0, *prefix] for prefix in level.prefixes.tolist()])
            rows = world.policy.model.table._state_index(texts, torch.ones_like(texts, dtype=torch.bool))
            weight[rows[:, -1]] = logprobs
    world.policy.changed()
    there = exact(world, PROMPT)
    assert pytest.approx(best.J, abs=1e-12) == there.J
    assert there.gradient().abs().max() <= TIGHT


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_the_best_of_n_wins_as_often_as_counting_says(n):
    world = tree_world(words=2, horizon=2, seed=4)
    tied = dataclasses.replace(
        world.objective, reward=TokenReward("few values", torch.tensor([1.0, 1.0, 0.0]).double())
    )
    tree = exact(world, PROMPT, objective=tied)
    law, score, probs = tree.best_of(n), tree.scores.total, tree.leaf_logprobs.exp()
    assert law.logprobs.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    for row in range(len(probs)):  # all draws at or below, minus all below, shared out by probability
        same, below = probs[score == score[row]].sum(), probs[score < score[row]].sum()
        expected = ((same + below) ** n - below**n) * probs[row] / same
        assert law.logprobs[row].exp().item() == pytest.approx(expected.item(), abs=1e-13)
    assert law.kl <= law.bound + 1e-12
    assert law.reward >= tree.best_of(1).reward - 1e-12
    assert tree.best_of(1).kl == pytest.approx(0.0, abs=1e-13)


def test_a_cut_tree_is_the_truth_of_the_smaller_world():
    world = tree_world(words=4, horizon=3, seed=6, kl_coef=0.3)
    tree = exact(world, PROMPT, top_k=2)
    assert tree.label == "exact under top-k 2"
    assert exact(world, PROMPT).label == "exact"
    assert len(tree.leaves) <= 8
    for prefix in prefixes_of(tree):
        kept = tree.pi(prefix) > 0
        assert int(kept.sum()) == 2
        whole = exact_probs(world.policy, PROMPT, prefix)
        assert whole[kept].min() >= whole[~kept].max()
        assert torch.allclose(tree.pi(prefix)[kept], whole[kept] / whole[kept].sum(), atol=1e-14)
        assert torch.isnan(tree.Q(prefix)[~kept]).all()
        assert (tree.pi(prefix) * tree.A(prefix))[kept].sum().abs() <= TIGHT
    best = tree.optimum()
    assert pytest.approx(0.3 * tree.kl(best), abs=TIGHT) == best.J - tree.J


def test_the_exact_critic_sits_where_a_learned_one_does(micro):
    prompts = micro.prompts[:2]
    trees = [exact(micro, prompt) for prompt in prompts]
    sequences = generate(micro.policy, prompts, max_new_tokens=5, samples_per_prompt=5, seed=2)
    rollout = evaluate(micro.policy, sequences, critic=ExactCritic(trees))
    for row, prompt in enumerate(sequences.prompts):
        ids, tree = sequences.response_ids(row), trees[prompts.index(prompt)]
        expected = [tree.V(tuple(ids[:t])) for t in range(len(ids))]
        assert rollout.values[row, : len(ids)].tolist() == pytest.approx(expected, abs=1e-14)
        assert rollout.bootstrap[row].item() == 0.0  # behind the limit comes nothing
    with pytest.raises(LabError, match="there is no tree of it; choose one of"):
        ExactCritic(trees[:1]).state_values(sequences)


def test_the_exact_critic_values_the_state_that_an_unfinished_row_has_come_to_and_nothing_after_it(tabular):
    world, prompt = tabular.replace(reward=tabular.gold), tabular.prompts[0]
    tree, rows = exact(world, prompt, horizon=4), [(3,), (3, 5, 2, 0), (0,)]
    sequences = sequences_from_ids(world.policy, [prompt] * 3, rows)
    sequences.tokens[0, -3:] = 4  # what stands on padding is no text
    values = ExactCritic([tree]).state_values(sequences).tolist()
    assert values[0] == [tree.V(()), tree.V((3,)), 0.0, 0.0, 0.0]
    assert values[1] == [*(tree.V((3, 5, 2)[:t]) for t in range(4)), 0.0]
    assert values[2] == [tree.V(()), 0.0, 0.0, 0.0, 0.0]


BAD_TREES = [
    ({"max_leaves": 1000}, "too large to enumerate; ask for a horizon of at most 3 or a top_k of at most 3, or use"),
    ({"max_leaves": 19_607}, "19,608 leaves, .*: too large to enumerate; ask for a horizon of at most 4 or a top_k of"),
    ({"horizon": 0}, "horizon is 0"),
    ({"horizon": 50}, "the model reads"),
    ({"top_k": -1}, "top_k is -1"),
    ({"prompt": "cat flies"}, "no word 'flies'"),
]


@pytest.mark.parametrize(("wrong", "sentence"), BAD_TREES)
def test_what_cannot_be_enumerated_is_refused_in_a_sentence(wrong, sentence, tabular):
    asked = {"prompt": tabular.prompts[0]} | wrong
    with pytest.raises(LabError, match=sentence):
        exact(tabular, asked.pop("prompt"), **asked)


def test_a_large_model_is_refused_before_any_work(monkeypatch, micro):
    monkeypatch.setattr("rllab.truth.enumeration.SPEED", 1e3)
    monkeypatch.setattr("rllab.truth.enumeration.grow", None)
    with pytest.raises(LabError, match=r"19,608 leaves, .* MiB, .* s': too large"):
        exact(micro, micro.prompts[0])


@pytest.mark.parametrize(
    ("prefix", "sentence"),
    [
        ((9,), "token 1 has the id 9; this vocabulary has the ids 0 to 7"),
        (("cat",), "token 1 has the id 'cat'"),
        ((1.0,), "token 1 has the id 1.0"),
        (3, "prefix is 3: give the token ids of the response so far"),
        ((0, 1), "the response is over after token 1"),
        ((3, 3, 3), "at most 2 tokens"),
        ((0,), "no action is left"),
    ],
)
def test_a_prefix_that_is_no_continuation_is_refused_in_a_sentence(prefix, sentence, tabular):
    tree = exact(tabular, tabular.prompts[0], horizon=2)
    with pytest.raises(LabError, match=sentence):
        tree.Q(prefix)


def test_a_value_behind_the_end_is_zero(tabular):
    tree = exact(tabular, tabular.prompts[0], horizon=2)
    assert tree.V((0,)) == tree.V((3, 3)) == 0.0


def test_the_gradient_of_a_policy_that_has_moved_on_is_refused():
    world = tree_world()
    tree = exact(world, PROMPT)
    world.policy.changed()
    with pytest.raises(LabError, match="make a new one"):
        tree.gradient()


def test_a_reward_that_looks_ahead_is_refused():
    class Prophet(RandomWorth):
        def score(self, sequences, *, timing="end"):
            scores = super().score(sequences, timing=timing)
            ahead = scores.per_token.clone()
            ahead[:, 0] += scores.total
            return dataclasses.replace(scores, per_token=ahead)

    world = tree_world()
    objective = dataclasses.replace(world.objective, reward=Prophet(3, 3, 1), timing="token")
    with pytest.raises(LabError, match="by what is written after it"):
        exact(world, PROMPT, objective=objective)


def test_an_estimate_says_that_it_is_exact(tabular):
    tree = exact(tabular, tabular.prompts[0])
    made = tree.estimate((3,))
    assert (made.kind, made.standard_error, made.samples) == ("exact", 0.0, 19_608)
    assert made.mean == tree.V((3,))
    assert made.objective is tabular.objective
