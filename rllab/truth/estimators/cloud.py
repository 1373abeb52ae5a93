"""Single-sample gradients in the logits of one state, with their probabilities: small enough to be drawn and listed.

At the prompt of an exact tree the policy is a row of logits z. One sampled response with first token a and return G
says that the gradient is (G - b) (1[a] - pi); what it is on average is pi A, whatever the baseline b, as long as b
does not look at the token that was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import check_count
from rllab.core.errors import LabError
from rllab.truth import Tree

Judge = Callable[[Tree, Tensor, Tensor, float], Tensor]  # tree, first tokens (N,), returns (N,), shift -> weights (N,)


@dataclass(frozen=True, eq=False)
class Cloud:
    """All single-sample gradients of one estimator at the prompt."""

    truth: Tensor  # (A,) the exact gradient, pi A
    probs: Tensor  # (N,) of each response
    gradients: Tensor  # (N, A)

    @property
    def mean(self) -> Tensor:
        """Return the expected gradient, (A,)."""
        return self.probs @ self.gradients

    @property
    def bias(self) -> float:
        """Return |mean - truth|."""
        return float((self.mean - self.truth).norm())

    @property
    def variance(self) -> float:
        """Return the variance of one gradient, summed over the logits."""
        return float((self.probs @ (self.gradients - self.mean).square()).sum())

    @property
    def noise_to_signal(self) -> float:
        """Return variance over squared length: how many samples it takes until noise and signal are alike."""
        return self.variance / float(self.truth.square().sum())

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Draw some of the gradients as they would be met, (count, A)."""
        check_count("count", count)
        generator = torch.Generator().manual_seed(seed)
        return self.gradients[torch.multinomial(self.probs, count, replacement=True, generator=generator)]


def cloud(tree: Tree, judge: str = "nothing", *, shift: float = 0.0, scale: float = 1.0) -> Cloud:
    """List the gradients of every response under one judge, with `shift` added to all returns, then scaled."""
    if judge not in JUDGES:
        raise LabError("judge", judge, f"there are {', '.join(JUDGES)}")
    pi = tree.pi(())
    first = tree.leaves.response_tokens[:, 0].cpu()
    weights = scale * JUDGES[judge](tree, first, tree.leaf_returns, shift)
    scores = torch.eye(len(pi), dtype=torch.float64)[first] - pi
    truth = scale * pi * tree.A(())
    return Cloud(truth, tree.leaf_logprobs.exp(), weights[:, None] * scores)


def _nothing(_tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Take the return as it is: no baseline."""
    return returns + shift


def _mean(tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Subtract V of the prompt: what is usual."""
    return returns + shift - (tree.J + shift)


def _own(_tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Subtract half of the very return that is judged: a baseline that looks at the token."""
    return (returns + shift) / 2


def _advantage(tree: Tree, first: Tensor, _returns: Tensor, _shift: float) -> Tensor:
    """Take the exact advantage of the first token: the luck of everything that follows is gone."""
    return tree.A(())[first]


JUDGES: Mapping[str, Judge] = {
    "nothing": _nothing,
    "V": _mean,
    "its own reward": _own,
    "exact A": _advantage,
}
