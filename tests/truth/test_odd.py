"""Unusual settings: all numbers of a tree equal plain sums over listed responses that share no code with it."""

import itertools
import math
import random

import pytest
import torch

from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM
from rllab.truth import exact, monte_carlo
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Objective
from rllab.worlds import World
from tests.fakes import word_tokenizer
from tests.truth.trees import RandomWorth

WORDS = ("a", "b.", "c")  # the second one ends a sentence
PROMPTS = ("a", "c b.")
CLOSE = 1e-9


def odd_policy(words, horizon, *, seed, end):
    """Make a random table of two prompts; `end` is added to every logit of the end token."""
    ids = [[0], [words - 1, min(1, words - 1)]]
    config = TabularConfig(
        vocab_size=words + 1,
        horizon=horizon,
        prompts=ids,
        width=words + 1,
        eos_token_id=words,
        pad_token_id=words,
    )
    model = TabularForCausalLM(config).double()
    with torch.no_grad():
        weight = model.table.rows.weight
        weight.copy_(torch.randn(weight.shape, dtype=weight.dtype, generator=torch.Generator().manual_seed(seed)))
        weight[:, words] += end
    return Policy(model, word_tokenizer(*WORDS[:words], pad_is_eos=True)), [
        " ".join(WORDS[i] for i in row) for row in ids
    ]


def odd_world(words, horizon, *, seed, end, **objective):
    policy, prompts = odd_policy(words, horizon, seed=seed, end=end)
    world = World.starting_from(
        policy,
        name="odd",
        critic=ZeroCritic(),
        reward=RandomWorth(words + 1, horizon, seed + 1),
        gold=None,
        prompts=prompts,
        max_new_tokens=horizon,
        defaults={"all": {}},
        about="a random tree",
    )
    world = world.replace(reference=odd_policy(words, horizon, seed=seed + 2, end=end / 2)[0])
    return world.replace(objective=Objective(reward=world.reward, reference=world.reference, **objective))


class Plain:
    """Everything by its definition: responses are listed, chances multiplied, sums added up in plain numbers."""

    def __init__(self, world, prompt, *, top_k):
        self.world, self.objective, self.top_k = world, world.objective, top_k
        self.ids, self.end = world.policy.tokenizer.encode(prompt), world.policy.eos_id
        self.rows = {}
        everything = itertools.product(range(self.end + 1), repeat=world.max_new_tokens)
        cut = (row[: row.index(self.end) + 1] if self.end in row else row for row in everything)
        self.all = [row for row in dict.fromkeys(cut) if all(row[t] in self.kept(row[:t]) for t in range(len(row)))]

    def raw(self, policy, prefix):
        """Return the logits of a state, read without a cache."""
        key = id(policy), prefix
        if key not in self.rows:
            with torch.no_grad():
                self.rows[key] = policy.model(input_ids=torch.tensor([[*self.ids, *prefix]])).logits[0, -1].tolist()
        return self.rows[key]

    def kept(self, prefix):
        logits = self.raw(self.world.policy, prefix)
        return sorted(range(len(logits)), key=lambda token: -logits[token])[: self.top_k or None]

    def log_prob(self, policy, prefix, token):
        scaled = [self.raw(policy, prefix)[one] / self.objective.temperature for one in self.kept(prefix)]
        top = max(scaled)
        whole = top + math.log(math.fsum(math.exp(one - top) for one in scaled))
        return self.raw(policy, prefix)[token] / self.objective.temperature - whole

    def log_probs(self, policy, row, start=0):
        return math.fsum(self.log_prob(policy, row[:t], row[t]) for t in range(start, len(row)))

    def score(self, row):
        code = 0
        for token in row:
            code = code * (self.end + 2) + token + 1
        return self.world.reward.table[code].item()

    def paid(self, row, t):
        """Return r_t without the KL."""
        last, objective = t + 1 == len(row), self.objective
        places = {
            "end": lambda at: at + 1 == len(row),
            "token": lambda at: True,
            "sentence": lambda at: at + 1 == len(row) or (row[at] == 1 and self.end > 1),
        }[objective.timing]
        if not places(t):
            return 0.0
        before = next((self.score(row[: at + 1]) for at in reversed(range(t)) if places(at)), 0.0)
        pay = self.score(row[: t + 1]) - (0.0 if objective.prefix_pay == "level" else before)
        return pay - (objective.missing_eos_penalty if last and row[-1] != self.end else 0.0)

    def net(self, row, t):
        own, ref = (self.log_prob(one, row[:t], row[t]) for one in (self.world.policy, self.world.reference))
        price = self.objective.kl_coef * (own - ref) if self.objective.kl_coef and math.exp(own) > 0 else 0.0
        return self.paid(row, t) - price

    def returned(self, row, start=0):
        return math.fsum(self.objective.gamma ** (t - start) * self.net(row, t) for t in range(start, len(row)))

    def value(self, prefix):
        below = [row for row in self.all if row[: len(prefix)] == prefix and len(row) > len(prefix)]
        n = len(prefix)
        return math.fsum(math.exp(self.log_probs(self.world.policy, row, n)) * self.returned(row, n) for row in below)

    def prefixes(self):
        return sorted({row[:t] for row in self.all for t in range(len(row))})

    def optimum(self, beta, prefix=()):
        """Return the value of the best policy behind a prefix by its own recursion."""
        parts = []
        for token in self.kept(prefix):
            longer = (*prefix, token)
            row = next(one for one in self.all if one[: len(longer)] == longer)
            behind = 0.0 if longer in self.all else self.optimum(beta, longer)
            worth = self.paid(row, len(prefix)) + self.objective.gamma * behind
            parts.append(self.log_prob(self.world.reference, prefix, token) + worth / beta)
        top = max(parts)
        return beta * (top + math.log(math.fsum(math.exp(part - top) for part in parts)))


CHOICES = {
    "words": (1, 2, 3),
    "horizon": (1, 2, 3),
    "top_k": (0, 0, 1, 2, 3, 4),
    "end": (0.0, 0.0, 2.0, -2000.0, 2000.0),  # added to every logit of the end token: now and then, always or never
    "kl_coef": (0.0, 0.3, 50.0),
    "gamma": (1.0, 0.6, 0.0),
    "temperature": (1.0, 0.3, 4.0),
    "timing": ("end", "token", "sentence"),
    "prefix_pay": ("increment", "level"),
    "missing_eos_penalty": (0.0, 0.7),
    "prompt": (0, 1),
}


def drawn(seed):
    """Choose one setting of each kind by chance."""
    chance = random.Random(seed)
    return {name: chance.choice(some) for name, some in CHOICES.items()} | {"seed": seed}


def made(odd):
    shape = {name: odd[name] for name in ("words", "horizon", "seed", "end")}
    objective = {name: odd[name] for name in odd if name not in {*shape, "top_k", "prompt"}}
    world = odd_world(**shape, **objective)
    return world, world.prompts[odd["prompt"]]


@pytest.mark.parametrize("seed", range(60))
def test_a_tree_says_what_plain_sums_say_under_odd_settings(seed):
    odd = drawn(seed)
    world, prompt = made(odd)
    tree, plain = exact(world, prompt, top_k=odd["top_k"]), Plain(world, prompt, top_k=odd["top_k"])
    size = 1 + max(abs(plain.returned(row)) for row in plain.all)
    assert sorted(tuple(tree.leaves.response_ids(row)) for row in range(len(tree.leaves))) == sorted(plain.all)
    assert tree.states == len(plain.prefixes())
    for prefix in plain.prefixes():
        assert tree.V(prefix) == pytest.approx(plain.value(prefix), abs=CLOSE * size)
        for token in plain.kept(prefix):
            longer = (*prefix, token)
            row = next(one for one in plain.all if one[: len(longer)] == longer)
            behind = 0.0 if longer in plain.all else plain.value(longer)
            expected = plain.net(row, len(prefix)) + world.objective.gamma * behind
            assert tree.Q(prefix)[token].item() == pytest.approx(expected, abs=CLOSE * size)
            log_prob = plain.log_prob(world.policy, prefix, token)
            assert tree.pi(prefix)[token].item() == pytest.approx(math.exp(log_prob), abs=CLOSE)


@pytest.mark.parametrize("seed", range(60))
def test_sums_over_whole_responses_are_what_listing_says_under_odd_settings(seed):
    odd = drawn(seed)
    world, prompt = made(odd)
    tree, plain = exact(world, prompt, top_k=odd["top_k"]), Plain(world, prompt, top_k=odd["top_k"])
    size = 1 + max(abs(plain.returned(row)) for row in plain.all)
    for row, chance in zip(range(len(tree.leaves)), tree.leaf_logprobs.tolist(), strict=True):
        response = tuple(tree.leaves.response_ids(row))
        assert chance == pytest.approx(plain.log_probs(world.policy, response), abs=CLOSE * 1e4)
        assert tree.leaf_returns[row].item() == pytest.approx(plain.returned(response), abs=CLOSE * size)
    assert pytest.approx(plain.value(()), abs=CLOSE * size) == tree.J
    chances = [math.exp(plain.log_probs(world.policy, row)) for row in plain.all]
    squares = [(plain.returned(row) - plain.value(())) ** 2 for row in plain.all]
    variance = math.fsum(chance * square for chance, square in zip(chances, squares, strict=True))
    assert tree.variance_by_token().sum().item() == pytest.approx(variance, abs=CLOSE * size**2)
    kl = math.fsum(
        math.exp(plain.log_probs(world.policy, row))
        * (plain.log_probs(world.policy, row) - plain.log_probs(world.reference, row))
        for row in plain.all
    )
    assert tree.kl(world.reference) == pytest.approx(kl, abs=CLOSE * (1 + abs(kl)))
    for beta in (0.4, 30.0):
        assert pytest.approx(plain.optimum(beta), abs=CLOSE * (1 + abs(plain.optimum(beta)))) == tree.optimum(beta).J
    best = tree.optimum(0.4)
    assert math.isfinite(best.kl)
    assert best.reward - 0.4 * best.kl == pytest.approx(best.J, abs=1e-7) or world.objective.gamma < 1


@pytest.mark.parametrize("seed", range(15))
def test_the_gradient_is_the_slope_of_j_under_odd_settings(seed):
    odd = drawn(seed)
    world, prompt = made(odd | {"horizon": min(odd["horizon"], 2)})
    weight, step = world.policy.model.table.rows.weight, 1e-5
    gradient = exact(world, prompt, top_k=odd["top_k"]).gradient().view_as(weight)
    for place in [*gradient.abs().flatten().topk(3).indices.tolist(), 0, weight.numel() - 1]:
        row, column = divmod(place, weight.shape[1])
        moved = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[row, column] += sign * step
            moved.append(Plain(world, prompt, top_k=odd["top_k"]).value(()))
            with torch.no_grad():
                weight[row, column] -= sign * step
        slope = (moved[0] - moved[1]) / (2 * step)
        assert gradient[row, column].item() == pytest.approx(slope, abs=1e-5 * (1 + odd["kl_coef"]))


@pytest.mark.parametrize("seed", range(15))
def test_the_best_of_n_is_what_listing_every_draw_says(seed):
    odd, n, ties = drawn(seed), 1 + seed % 3, seed % 2
    world, prompt = made(odd | {"horizon": min(odd["horizon"], 2), "words": min(odd["words"], 2)})
    if ties:
        world.reward.table.round_()
    tree = exact(world, prompt, top_k=odd["top_k"])
    probs, scores = tree.leaf_logprobs.exp().tolist(), tree.scores.total.tolist()
    wins = [0.0] * len(probs)
    for draw in itertools.product(range(len(probs)), repeat=n):
        best = [one for one in draw if scores[one] == max(scores[other] for other in draw)]
        for one in best:
            wins[one] += math.prod(probs[other] for other in draw) / len(best)
    law = tree.best_of(n)
    assert law.logprobs.exp().tolist() == pytest.approx(wins, abs=CLOSE)
    assert law.reward == pytest.approx(math.fsum(w * s for w, s in zip(wins, scores, strict=True)), abs=CLOSE)
    kl = math.fsum(w * math.log(w / p) for w, p in zip(wins, probs, strict=True) if w > 0)
    assert law.kl == pytest.approx(kl, abs=CLOSE)


@pytest.mark.parametrize("seed", range(30))
def test_every_sampled_return_is_one_that_can_be_and_none_that_cannot_under_odd_settings(seed):
    odd = drawn(seed)
    world, prompt = made(odd)
    plain = Plain(world, prompt, top_k=0)
    prefixes = plain.prefixes()[:12]
    for prefix, one in zip(prefixes, monte_carlo(world, prompt, prefixes, samples=6, seed=odd["seed"]), strict=True):
        below = [row for row in plain.all if row[: len(prefix)] == prefix]
        possible = torch.tensor([plain.returned(row, len(prefix)) for row in below], dtype=torch.float64)
        found = torch.tensor(one.returns, dtype=torch.float64)
        assert (found[:, None] - possible).abs().min(dim=1).values.max() <= 1e-7 * (1 + possible.abs().max())
