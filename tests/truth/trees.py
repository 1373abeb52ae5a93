"""Small worlds whose every response can be listed: random tables, random worth of every text."""

import itertools
import math

import torch

from rllab.core.records import Scores, Sequences
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM
from rllab.reward.reward import per_token_scores
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Objective
from rllab.worlds import World
from tests.fakes import word_tokenizer

PROMPT = "a"


class RandomWorth:
    """A reward that gives every text, finished or not, its own score: N(0, 1), fixed by a seed."""

    name = "random worth"

    def __init__(self, vocabulary: int, horizon: int, seed: int) -> None:
        self.vocabulary, self.horizon = vocabulary, horizon
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn((vocabulary + 1) ** horizon, dtype=torch.float64, generator=generator)

    def score(self, sequences: Sequences, *, timing="end") -> Scores:
        scores = self.prefix_scores(sequences)
        total = scores.gather(1, sequences.lengths[:, None] - 1)[:, 0]
        return Scores(total, {self.name: total}, per_token_scores(scores, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences):
        digits = torch.where(sequences.response_mask, sequences.response_tokens + 1, 0)
        code, scores = torch.zeros(len(sequences), dtype=torch.long), []
        for column in digits.unbind(dim=1):
            code = code * (self.vocabulary + 1) + column
            scores.append(self.table[code])
        return torch.where(sequences.response_mask, torch.stack(scores, dim=1), 0.0)


def table_policy(words: int, horizon: int, *, seed: int, spread: float = 1.0) -> Policy:
    """Make a random table over `words` words and the end token, which has the last id."""
    tokenizer = word_tokenizer(*(chr(ord("a") + i) for i in range(words)), pad_is_eos=True)
    config = TabularConfig(
        vocab_size=words + 1, horizon=horizon, prompts=[[0]], width=words + 1, eos_token_id=words, pad_token_id=words
    )
    model = TabularForCausalLM(config).double()
    with torch.no_grad():
        weight = model.table.rows.weight
        weight.copy_(
            spread * torch.randn(weight.shape, dtype=weight.dtype, generator=torch.Generator().manual_seed(seed))
        )
    return Policy(model, tokenizer)


def tree_world(words: int = 2, horizon: int = 3, *, seed: int = 0, reference: bool = True, **objective) -> World:
    """Make a world of one prompt with random policy, reward and (where asked for) another reference."""
    policy = table_policy(words, horizon, seed=seed)
    world = World.starting_from(
        policy,
        name="tree",
        critic=ZeroCritic(),
        reward=RandomWorth(words + 1, horizon, seed + 1),
        gold=None,
        prompts=(PROMPT,),
        max_new_tokens=horizon,
        defaults={"all": {"reducer": "seq-mean-token-sum", "kl_coef": 0.0}},
        about="a random tree",
    )
    other = table_policy(words, horizon, seed=seed + 2)
    world = world.replace(reference=other) if reference else world
    settings = {"kl_coef": 0.0, "gamma": 1.0, "timing": "end", "temperature": 1.0} | objective
    return world.replace(objective=Objective(reward=world.reward, reference=world.reference, **settings))


def responses(vocabulary: int, horizon: int) -> list[tuple[int, ...]]:
    """List all responses one by one: the end token has the last id."""
    eos, found = vocabulary - 1, {}
    for full in itertools.product(range(vocabulary), repeat=horizon):
        length = full.index(eos) + 1 if eos in full else horizon
        found[full[:length]] = None
    return list(found)


class ByHand:
    """The truth of a tree by its definition: averages over listed responses, one state at a time, plain numbers."""

    def __init__(self, world: World) -> None:
        self.world, self.objective = world, world.objective
        self.all = responses(world.policy.vocabulary, world.max_new_tokens)

    def probs(self, policy: Policy, prefix: tuple[int, ...]):
        from rllab.policy.generation import Decoder

        logits = Decoder(policy, [[*policy.encode(PROMPT), *prefix]]).logits[0]
        return torch.softmax(logits / self.objective.temperature, dim=0).tolist()

    def paid(self, response: tuple[int, ...], t: int) -> float:
        from rllab.policy.generation import sequences_from_ids

        rows = sequences_from_ids(self.world.policy, [PROMPT], [response])
        own, ref = (self.probs(one, response[:t])[response[t]] for one in (self.world.policy, self.objective.reference))
        return self.objective.score(rows).per_token[0, t].item() - self.objective.kl_coef * math.log(own / ref)

    def value(self, prefix: tuple[int, ...]) -> float:
        """Average over all responses behind a prefix what they bring from there on."""
        total = 0.0
        for response in self.all:
            if response[: len(prefix)] == prefix and len(response) > len(prefix):
                chance = math.prod(
                    self.probs(self.world.policy, response[:t])[response[t]] for t in range(len(prefix), len(response))
                )
                rewards = [self.paid(response, t) for t in range(len(prefix), len(response))]
                total += chance * sum(self.objective.gamma**k * reward for k, reward in enumerate(rewards))
        return total
