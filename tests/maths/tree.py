"""A tree of all responses over three tokens, small enough that every expectation is a sum.

With an end token the rows have different lengths, so the masks are at work; without one all 27
responses of three tokens are leaves. The policy is one row of logits per state (a table).
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from rllab.maths.divergence import selected_logprobs
from rllab.maths.masking import masked_sum, until_end

VOCABULARY = 3
WIDTH = 3


@dataclass(frozen=True)
class Tree:
    tokens: Tensor  # (N, T) long, anything after the end
    mask: Tensor  # (N, T) bool
    states: Tensor  # (N, T) long: row of the logit table that column t is drawn from
    score: Tensor  # (N,): the reward of each leaf
    count: int  # number of states

    def logprobs(self, logits: Tensor) -> Tensor:
        return selected_logprobs(logits[self.states], self.tokens)  # (N, T)

    def probs(self, logits: Tensor) -> Tensor:
        return masked_sum(self.logprobs(logits), self.mask, dim=-1).exp()  # (N,)

    def objective(self, logits: Tensor, reward: Tensor | None = None) -> Tensor:
        return (self.probs(logits) * (self.score if reward is None else reward)).sum()

    def gradient(self, logits: Tensor, reward: Tensor | None = None) -> Tensor:
        leaf = logits.detach().requires_grad_()
        return torch.autograd.grad(self.objective(leaf, reward), leaf)[0]

    def values(self, logits: Tensor) -> Tensor:
        """V of the state before each column, from the leaves below it and nothing else, (N, T)."""
        probs = self.probs(logits)
        values = torch.zeros_like(self.score).unsqueeze(-1).repeat(1, WIDTH)
        for state in range(self.count):
            visits = (self.states == state) & self.mask  # (N, T)
            below = visits.any(dim=-1)
            values[visits] = (probs * self.score)[below].sum() / probs[below].sum()
        return values


def grow(*, end: int | None, seed: int = 0) -> Tree:
    """Enumerate the leaves; ``end`` is the token that closes a response."""
    leaves: dict[tuple[int, ...], None] = {}
    for full in product(range(VOCABULARY), repeat=WIDTH):
        length = full.index(end) + 1 if end in full else WIDTH
        leaves[full[:length]] = None
    names: dict[tuple[int, ...], int] = {}
    for leaf in leaves:
        for t in range(len(leaf)):
            names.setdefault(leaf[:t], len(names))
    tokens = torch.tensor([[*leaf, *[1] * (WIDTH - len(leaf))] for leaf in leaves])
    rows = [[names[leaf[:t]] for t in range(len(leaf))] for leaf in leaves]
    states = torch.tensor([[*row, *[0] * (WIDTH - len(row))] for row in rows])
    mask = until_end(torch.tensor([len(leaf) for leaf in leaves]), width=WIDTH)
    score = torch.randn(len(leaves), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Tree(tokens=tokens, mask=mask, states=states, score=score, count=len(names))


def table(tree: Tree, *, seed: int) -> Tensor:
    """Draw the logits of a policy on the tree."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tree.count, VOCABULARY, generator=generator, dtype=torch.float64)
